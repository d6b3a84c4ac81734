"""What a loader prints when it is only to list the objects: LD_TRACE_LOADED_OBJECTS=1, ``--list``, LD_VERBOSE (``elf/rtld.c``).

Addresses are not known: ``0x...`` stands for them.
"""

from __future__ import annotations

from nvsim.loader.glibc.options import Options
from nvsim.loader.glibc.state import Object, Process

ADDRESS = "(0x...)"


def listing(process: Process, wishes: Options) -> str:
    """The lines on stdout, without that of the vdso."""
    if not process.main.elf.needed:
        return "\tstatically linked\n"
    lines = []
    for obj in process.map if wishes.trace_program else process.map[1:]:
        name = obj.name or ""
        path = process.label(obj)
        if obj.faked:
            lines.append(f"\t{name} => not found\n")
        elif name == obj.path:
            lines.append(f"\t{name} {ADDRESS}\n")
        else:
            lines.append(f"\t{name or process.argv0} => {path} {ADDRESS}\n")
    if wishes.verbose:
        lines += _versions(process)
    return "".join(lines)


def _versions(process: Process) -> list[str]:
    """The needs of every object, and the file that meets each."""
    lines: list[str] = []
    for obj in process.map:
        if not obj.elf.verneed:
            continue
        if not lines:
            lines.append("\n\tVersion information:\n")
        lines.append(f"\t{process.label(obj)}:\n")
        for need in obj.elf.verneed:
            provider = _provider(process, need.file)
            for version in need.versions:
                met = provider is not None and (version in provider.elf.verdef or version == provider.elf.soname)
                weak = "[WEAK] " if version in need.weak else ""
                where = provider.path if met and provider is not None else "not found"
                lines.append(f"\t\t{need.file} ({version}) {weak}=> {where}\n")
    return lines


def _provider(process: Process, file: str) -> Object | None:
    return next((o for o in reversed(process.main.search_list or []) if file in o.names or file == o.path), None)
