"""What a directly run loader prints up to 2.32 when no program is named (``elf/rtld.c``)."""

from __future__ import annotations

_USAGE = """\
Usage: ld.so [OPTION]... EXECUTABLE-FILE [ARGS-FOR-PROGRAM...]
You have invoked `ld.so', the helper program for shared library executables.
This program usually lives in the file `/lib/ld.so', and special directives
in executable files using ELF shared libraries tell the system's program
loader to load the helper program from this file.  This helper program loads
the shared libraries needed by the program executable, prepares the program
to run, and runs it.  You may invoke this helper program directly from the
command line to load and run an ELF executable file; this is like executing
that file itself, but always uses this helper program from the file you
specified, instead of the helper program file specified in the executable
file you run.  This is mostly of use for maintainers to test new versions
of this helper program; chances are you did not intend to run this program.

  --list                list all dependencies and how they are resolved
  --verify              verify that given object really is a dynamically linked
\t\t\tobject we can handle
  --inhibit-cache       Do not use {cache}
  --library-path PATH   use given PATH instead of content of the environment
\t\t\tvariable LD_LIBRARY_PATH
  --inhibit-rpath LIST  ignore RUNPATH and RPATH information in object names
\t\t\tin LIST
  --audit LIST          use objects named in LIST as auditors
"""
_PRELOAD = "  --preload LIST        preload objects named in LIST\n"  # with the option


def usage(cache: str, *, preload: bool) -> str:
    """The text of a loader whose cache is at `cache`."""
    return _USAGE.format(cache=cache) + (_PRELOAD if preload else "")
