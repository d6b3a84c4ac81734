"""The command line of ldconfig, and what it tells of itself (glibc ``elf/ldconfig.c``); argp reads and prints it (`nvsim.loader.argp`)."""

from __future__ import annotations

from collections.abc import Mapping

from nvsim.elf.facts import LdconfigFacts
from nvsim.frozen import evolve, frozen
from nvsim.loader.argp import Ended, Option, Program, Reading
from nvsim.loader.ldconfig.rules import generator_of
from nvsim.loader.versions import libc_version

_FORMATS = ("old", "compat", "new")
_DOC = "Configure Dynamic Linker Run Time Bindings."
_OPTIONS = (
    Option("print-cache", "p", None, "Print cache"),
    Option("verbose", "v", None, "Generate verbose messages"),
    Option("", "N", None, "Don't build cache"),
    Option("", "X", None, "Don't update symbolic links"),
    Option("", "r", "ROOT", "Change to and use ROOT as root directory"),
    Option("", "C", "CACHE", "Use CACHE as cache file"),
    Option("", "f", "CONF", "Use CONF as configuration file"),
    Option("", "n", None, "Only process directories specified on the command line.  Don't build cache."),
    Option("", "l", None, "Manually link individual libraries."),
    Option("format", "c", "FORMAT", "Format to use: new (default), old, or compat"),
    Option("ignore-aux-cache", "i", None, "Ignore auxiliary cache file"),
)
# Older texts: letter -> (first release with the text above, the text before)
_OLDER: Mapping[str, tuple[tuple[int, int], str]] = {
    "X": ((2, 24), "Don't generate links"),
    "c": ((2, 32), "Format to use: new, old or compat (default)"),
}
# Where bugs are to be reported: what the vendor calls the program -> the place (configure's --with-bugurl; before 2.31 with "http")
_BUGS = {"(Debian": "http://www.debian.org/Bugs/", "(GNU libc)": "https://www.gnu.org/software/libc/bugs.html"}


@frozen
class Options:
    """What a command line asks for. `flags` are the plain letters given; `format` None = the program's default."""

    conf: str | None = None
    cache: str | None = None
    root: str = ""
    format: str | None = None
    flags: frozenset[str] = frozenset()
    args: tuple[str, ...] = ()

    @property
    def links(self) -> bool:
        return "X" not in self.flags

    @property
    def build(self) -> bool:
        return not self.flags & {"N", "n"}

    @property
    def verbose(self) -> bool:
        return "v" in self.flags


def parse_options(argv: tuple[str, ...], program: str, facts: LdconfigFacts) -> Options | Ended:
    """Read the arguments after the program's name. Options may follow directories; ``--`` ends them.

    `Ended` for a command line that is not understood or only asks for help or the version. Raises `UnsupportedError` for the help of a
    vendor whose address for bugs is not known.
    """
    reading = Reading(_program(program, facts), argv)
    values: dict[str, str] = {}
    flags: set[str] = set()
    try:
        for option, value in reading.options():
            if value is None:
                flags.add(option.letter)
            elif option.letter != "c" or value in _FORMATS:  # an unknown format is ignored
                values[option.letter] = value
    except Ended as end:
        return end
    given = frozenset(flags), tuple(reading.operands)
    return Options(values.get("f"), values.get("C"), values.get("r", ""), values.get("c"), *given)


def _program(name: str, facts: LdconfigFacts) -> Program:
    return Program(name, options_of(facts.version), _DOC, extra=_bugs(facts), version=_version(facts))


def options_of(version: str) -> tuple[Option, ...]:
    """The options with the texts of a release."""
    v = libc_version(version)
    older = {letter: text for letter, (since, text) in _OLDER.items() if v < since}
    return tuple(evolve(o, doc=older[o.letter]) if o.letter in older else o for o in _OPTIONS)


def _bugs(facts: LdconfigFacts) -> str | None:
    vendor = generator_of(facts).removeprefix("ldconfig ")
    place = next((place for name, place in _BUGS.items() if vendor.startswith(name)), None)
    if place is None:
        return None
    if libc_version(facts.version) < (2, 31):
        place = place.replace("https:", "http:")
    return f"For bug reporting instructions, please see:\n<{place}>.\n"


def _version(facts: LdconfigFacts) -> str:
    """``print_version``. The year follows the releases, two a year, but 2.17 is of 2012 and nobody changed it after 2024."""
    minor = libc_version(facts.version)[1]
    year = 2012 if minor <= 17 else min(2014 + (minor - 19) // 2, 2024)
    vendor = generator_of(facts).removeprefix("ldconfig ").partition(" stable release")[0]
    return (
        f"ldconfig {vendor} {facts.version}\nCopyright (C) {year} Free Software Foundation, Inc.\n"
        "This is free software; see the source for copying conditions.  There is NO\n"
        "warranty; not even for MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE.\n"
        "Written by Andreas Jaeger.\n"
    )
