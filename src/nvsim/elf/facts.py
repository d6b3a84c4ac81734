"""What loaders, ldconfig and the toolkit look at in an ELF file, as values, and their JSON form (``nvsim-tree/1``).

Reading them from real files is `nvsim.elf.reader`; keeping them on disk is `nvsim.elf.store`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nvsim.errors import InputError
from nvsim.frozen import field, fields, frozen


@frozen
class VersionNeed:
    """One entry of DT_VERNEED: the versions needed of one file, in file order; `weak` names those with VER_FLG_WEAK."""

    file: str
    versions: tuple[str, ...]
    weak: frozenset[str] = frozenset()


@frozen
class ElfFacts:
    """Facts of one ELF file (glibc ``elf.h`` names; see the field list of ``nvsim-tree/1`` in ``docs/formats.md``).

    `defs`, `undef` and `undef_lazy` are None when unknown: then no symbol check is made. `undef` (bound when the file is loaded) and
    `undef_lazy` (those of DT_JMPREL: bound at the first call, unless `flags_1` holds DF_1_NOW) are in relocation order, strong
    references only, written NAME or NAME@VERSION. `stack` is "rw", "rwx" or None (no PT_GNU_STACK). `truncate` says that the file ends
    after that many bytes, which is too early. `malformed` is what a loader objects to although the ELF magic is there, in the words of
    glibc where it has some (see `nvsim.elf.terms`). `entry` False: e_entry is 0, as in most shared libraries: run as a program, it jumps to
    where it is mapped and crashes.
    """

    elf_class: int = 64
    machine: str = "x86_64"
    type: str = "DYN"
    interp: str | None = None
    soname: str | None = None
    needed: tuple[str, ...] = ()
    rpath: str | None = None
    runpath: str | None = None
    auxiliary: tuple[str, ...] = ()
    filter: tuple[str, ...] = ()
    flags_1: int = 0
    verneed: tuple[VersionNeed, ...] = ()
    verdef: tuple[str, ...] = ()
    defs: frozenset[str] | None = None
    undef: tuple[str, ...] | None = None
    undef_lazy: tuple[str, ...] | None = None
    abi_tag: str | None = None
    osabi: int = 0
    ev: int = 1
    data: int = 1
    stack: str | None = "rw"
    isa_needed: int = 0
    relr: bool = False
    tls: int = 0
    nodyn: bool = False
    truncate: int | None = None
    so_strings: tuple[str, ...] = ()
    malformed: str | None = None
    entry: bool = True
    extra: Mapping[str, Any] = field(factory=dict, hash=False)


_TUPLES = ("needed", "auxiliary", "filter", "undef", "undef_lazy", "so_strings", "verdef")
_PLAIN = (
    "machine",
    "type",
    "interp",
    "soname",
    "rpath",
    "runpath",
    "abi_tag",
    "osabi",
    "ev",
    "data",
    "stack",
    "isa_needed",
    "relr",
    "tls",
    "nodyn",
    "truncate",
    "malformed",
    "entry",
)


def _string_list(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list) or not all(isinstance(x, str) for x in value):
        raise InputError(f"elf.{name} must be a list of strings")
    return tuple(value)


def elf_from_json(data: Mapping[str, Any]) -> ElfFacts:
    """`ElfFacts` from the ``elf`` object of a tree entry. Unknown keys are kept in `extra`. Raises `InputError`."""
    if not isinstance(data, Mapping):
        raise InputError("elf must be an object")
    kw: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for key, value in data.items():
        if key == "class":
            kw["elf_class"] = value
        elif key in _PLAIN:
            if key == "stack" or value is not None:
                kw[key] = value
        elif key in _TUPLES:
            kw[key] = _string_list(key, value)
        elif key == "flags_1":
            try:
                kw[key] = int(value, 0) if isinstance(value, str) else int(value)
            except (TypeError, ValueError):
                raise InputError("elf.flags_1 must be a number or hex text") from None
        elif key == "verneed":
            if not isinstance(value, Mapping):
                raise InputError("elf.verneed must be an object of lists")
            kw[key] = tuple(_version_need(f, _string_list("verneed", v)) for f, v in value.items())
        elif key == "defs":
            kw[key] = None if value is None else frozenset(_string_list(key, value))
        else:
            extra[key] = value
    if kw.get("elf_class", 64) not in (32, 64):
        raise InputError("elf.class must be 32 or 64")
    for key in ("machine", "type"):
        if not isinstance(kw.get(key, ""), str):
            raise InputError(f"elf.{key} must be a string")
    return ElfFacts(**kw, extra=extra)


def _version_need(file: str, versions: tuple[str, ...]) -> VersionNeed:
    weak = frozenset(v.removeprefix("weak:") for v in versions if v.startswith("weak:"))
    return VersionNeed(file, tuple(v.removeprefix("weak:") for v in versions), weak)


def elf_to_json(elf: ElfFacts) -> dict[str, Any]:
    """The ``elf`` object of a tree entry; keys that have their default are left out (``needed`` is always there)."""
    out: dict[str, Any] = {"class": elf.elf_class, "machine": elf.machine, "type": elf.type, "needed": list(elf.needed)}
    default = ElfFacts()
    for key in (*_PLAIN, *_TUPLES):
        value = getattr(elf, key)
        if key not in out and value != getattr(default, key):
            out[key] = list(value) if isinstance(value, tuple) else value
    if elf.flags_1:
        out["flags_1"] = hex(elf.flags_1)
    if elf.verneed:
        out["verneed"] = {n.file: [f"weak:{v}" if v in n.weak else v for v in n.versions] for n in elf.verneed}
    if elf.defs is not None:
        out["defs"] = sorted(elf.defs)
    out.update(elf.extra)
    return out


@frozen
class LoaderFacts:
    """What a dynamic loader has built in (glibc ``elf/Makefile``, ``sysdeps``; musl ``ldso/dynlink.c``).

    `system_dirs` (glibc) are in search order and without a trailing slash; `system_path` and `path_file` (musl) are the
    default list and the file below the prefix of PT_INTERP that replaces it. `lib_token` is the value of ``$LIB``,
    `cache` the cache file that it reads (None = none is read). `assumed` names the facts that the file does not show. `vendor` is what
    ``--version`` names beside the release (None: "GNU libc") and `self_name` the path by which ``--help`` knows itself.
    """

    libc: str
    version: str
    system_dirs: tuple[str, ...] = ()
    lib_token: str = "lib"
    cache: str | None = "/etc/ld.so.cache"
    preload: str | None = "/etc/ld.so.preload"
    system_path: str = "/lib:/usr/local/lib:/usr/lib"
    path_file: str = "/etc/ld-musl-x86_64.path"
    assumed: tuple[str, ...] = ()
    vendor: str | None = None
    self_name: str | None = None


@frozen
class LdconfigFacts:
    """What an ldconfig program has built in: its glibc version and its default directories, in scan order.

    `machine` names the processor that it is built for (None: read off `system_dirs`), `conf` and `cache` the files that it uses,
    `generator` the text by which it signs a cache (None: that of an unpatched build).
    """

    version: str
    system_dirs: tuple[str, ...]
    libc: str = "glibc"
    assumed: tuple[str, ...] = ()
    machine: str | None = None
    conf: str = "/etc/ld.so.conf"
    cache: str = "/etc/ld.so.cache"
    generator: str | None = None


def loader_from_json(data: Mapping[str, Any]) -> LoaderFacts:
    """`LoaderFacts` from the ``loader`` object of a tree entry. Raises `InputError`."""
    return LoaderFacts(**_arguments(LoaderFacts, "loader", data, ("libc", "version")))


def ldconfig_from_json(data: Mapping[str, Any]) -> LdconfigFacts:
    """`LdconfigFacts` from the ``ldconfig`` object of a tree entry. Raises `InputError`."""
    return LdconfigFacts(**_arguments(LdconfigFacts, "ldconfig", data, ("version", "system_dirs")))


def _arguments(cls: type, what: str, data: Mapping[str, Any], required: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise InputError(f"{what} must be an object")
    missing = [k for k in required if k not in data]
    if missing:
        raise InputError(f"{what} lacks {', '.join(missing)}")
    names = {a.name for a in fields(cls)}
    return {k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k in names}


def program_facts_to_json(facts: LoaderFacts | LdconfigFacts) -> dict[str, Any]:
    """The ``loader`` or ``ldconfig`` object of a tree entry; keys that have their default are left out."""
    out: dict[str, Any] = {}
    for a in fields(type(facts)):
        value = getattr(facts, a.name)
        if value != a.default or a.name in ("libc", "cache"):
            out[a.name] = list(value) if isinstance(value, tuple) else value
    return out
