"""What a directly run loader tells of itself: ``--help`` and ``--version``, which came with 2.33 (``elf/dl-usage.c``)."""

from __future__ import annotations

from collections.abc import Iterator

from nvsim.elf.facts import LoaderFacts
from nvsim.loader.glibc.lists import init_lists, rpath_list, runpath_list
from nvsim.loader.glibc.options import Options, masked_cpu
from nvsim.loader.glibc.state import Process, SearchList
from nvsim.loader.outcome import Cpu
from nvsim.loader.versions import libc_version

_HELP = """\
Usage: {argv0} [OPTION]... EXECUTABLE-FILE [ARGS-FOR-PROGRAM...]
You have invoked 'ld.so', the program interpreter for dynamically-linked
ELF programs.  Usually, the program interpreter is invoked automatically
when a dynamically-linked executable is started.

You may invoke the program interpreter program directly from the command
line to load and run an ELF executable file; this is like executing that
file itself, but always uses the program interpreter you invoked,
instead of the program interpreter specified in the executable file you
run.  Invoking the program interpreter directly provides access to
additional diagnostics, and changing the dynamic linker behavior without
setting environment variables (which would be inherited by subprocesses).

  --list                list all dependencies and how they are resolved
  --verify              verify that given object really is a dynamically linked
                        object we can handle
  --inhibit-cache       Do not use {cache}
  --library-path PATH   use given PATH instead of content of the environment
                        variable LD_LIBRARY_PATH
  --glibc-hwcaps-prepend LIST
                        search glibc-hwcaps subdirectories in LIST
  --glibc-hwcaps-mask LIST
                        only search built-in subdirectories if in LIST
  --inhibit-rpath LIST  ignore RUNPATH and RPATH information in object names
                        in LIST
  --audit LIST          use objects named in LIST as auditors
  --preload LIST        preload objects named in LIST
  --argv0 STRING        set argv[0] to STRING before running
  --list-tunables       list all tunables with minimum and maximum values
{diagnostics}\
  --help                display this help and exit
  --version             output version information and exit

This program interpreter self-identifies as: {name}

Shared library search path:
"""
_DIAGNOSTICS = "  --list-diagnostics    list diagnostics information\n"  # with the option
_SELF_NAMES = {
    "x86_64": "/lib64/ld-linux-x86-64.so.2",
    "i386": "/lib/ld-linux.so.2",
    "aarch64": "/lib/ld-linux-aarch64.so.1",
    "arm": "/lib/ld-linux-armhf.so.3",
}


def version_text(facts: LoaderFacts) -> str:
    """``--version``. The year follows the releases, two a year."""
    year = 2014 + (libc_version(facts.version)[1] - 19) // 2
    return (
        f"ld.so ({facts.vendor or 'GNU libc'}) stable release version {facts.version}.\n"
        f"Copyright (C) {year} Free Software Foundation, Inc.\nThis is free software; see the source for copying conditions.\n"
        "There is NO warranty; not even for MERCHANTABILITY or FITNESS FOR A\nPARTICULAR PURPOSE.\n"
    )


def help_text(process: Process, wishes: Options, argv0: str) -> tuple[str, tuple[str, ...]]:
    """``--help`` of a process whose main program, if one was named and could be mapped, is in the map; and what was assumed for it."""
    facts, v = process.facts, libc_version(process.facts.version)
    machine = process.image.elf.machine
    name, assumed = facts.self_name, []
    if name is None:
        name = _SELF_NAMES.get(machine, process.image.path)
        assumed.append(f"the loader is taken to know itself as {name}")
    cache = facts.cache or "/etc/ld.so.cache"
    text = _HELP.format(argv0=argv0, cache=cache, diagnostics=_DIAGNOSTICS if v >= (2, 34) else "", name=name)
    init_lists(process)
    lines = [*_directories(rpath_list(process, process.main)), *_directories(process.library_list)]
    lines += _directories(runpath_list(process, process.main))
    if process.use_cache or v < (2, 39):
        lines.append(f"  (libraries located via {cache})")
    lines += _directories(process.system_list)
    cpu = masked_cpu(process.machine.cpu, wishes.disabled)
    lines += ["", *_hwcaps(process, wishes, cpu)]
    if process.rules.legacy_names:
        lines += ["", *_legacy(process, cpu)]
    return text + "\n".join(lines) + "\n", tuple(assumed)


def _directories(found: SearchList | None) -> Iterator[str]:
    for directory in found.directories if found is not None else ():
        yield f"  {directory.shown[-1] or '.'} ({directory.what})"


def _hwcaps(process: Process, wishes: Options, cpu: Cpu) -> list[str]:
    mask = None if wishes.hwcaps_mask is None else wishes.hwcaps_mask.split(":")
    lines = [f"  {name} (searched)" for name in wishes.hwcaps_prepend.split(":") if name]
    for name, level in process.rules.hwcaps:
        listed = mask is None or name in mask
        words = ["supported"] if cpu.isa_level >= level else []
        words += ["masked"] if not listed else ["searched"] if words else []
        lines.append(f"  {name} ({', '.join(words)})" if words else f"  {name}")
    if not lines:
        return ["No subdirectories of glibc-hwcaps directories are searched."]
    return ["Subdirectories of glibc-hwcaps directories, in priority order:", *lines]


def _legacy(process: Process, cpu: Cpu) -> Iterator[str]:
    yield "Legacy HWCAP subdirectories under library search path directories:"
    if process.platform is not None:
        yield f"  {process.platform} (AT_PLATFORM; supported, searched)"
    yield "  tls (supported, searched)"
    bits = process.rules.legacy_bits
    for name in sorted((n for n in bits if n != "tls"), key=lambda n: -bits[n]):
        yield f"  {name} (supported, searched)" if name == "sse2" or name in cpu.hwcaps else f"  {name}"
