"""`nvsim ldd`: listing, tree, misses with every place considered, versions, dlopen candidates, and the summary of a whole image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nvsim.report.style import PLAIN, Style, columns, wrapped

if TYPE_CHECKING:
    from nvsim.diagnosis.linkage import Linkage, Linked
    from nvsim.diagnosis.wishes import Wish
    from nvsim.loader.outcome import Search

_RUNTIME = ("GLIBC_", "GLIBCXX_", "CXXABI_", "GCC_")


class Where:
    """What to call the places of a search; `env_from` tells who set a variable (" of the image's config")."""

    def __init__(self, env_from: Mapping[str, str] | None = None):
        self._env = env_from or {}

    def reason(self, item: Linked) -> str:
        """The rule by which a library was found."""
        return self.by(item.set_by)

    def by(self, set_by: str) -> str:
        """Who put a directory into the search, or an entry into the cache."""
        if set_by == "env LD_LIBRARY_PATH":
            return f"LD_LIBRARY_PATH{self._env.get('LD_LIBRARY_PATH', '')}"
        cache, of, line = set_by.partition(", directory of ")
        return f"cache, by {line}" if of and cache == "/etc/ld.so.cache" else set_by


def linkage_text(found: Linkage, where: Where, style: Style = PLAIN, *, tree: bool = False) -> str:
    """One file: what it loads, what is missing and where it was looked for."""
    head = f"{style.paint(found.path, 'bold')}: {_kind(found)}"
    lines = [head]
    if found.problem:
        lines += wrapped(found.problem, "      ", f"  {style.paint('✗', 'red')} ")
    lines += _tree_lines(found, where, style) if tree else _list_lines(found, where, style)
    for item in found.missing:
        lines += _miss(found, item, where, style)
    lines += _version_lines(found, style)
    lines += [f"  assumed: {a}" for a in found.assumptions]
    return "\n".join(lines) + "\n"


def _kind(found: Linkage) -> str:
    if found.kind == "static":
        return "statically linked"
    if found.kind in ("script", "other"):
        return "a script, its interpreter loads libraries, not it" if found.kind == "script" else "no ELF file"
    count = len({i.path for i in found.linked if i.path is not None})
    missing = f", {len(found.missing)} not found" if found.missing else ""
    return f"{found.kind} for {found.machine}, loads {count} object{'' if count == 1 else 's'}{missing}"


def _list_lines(found: Linkage, where: Where, style: Style) -> list[str]:
    rows = []
    for item in found.linked:
        if item.again or item.path is None:
            continue
        name = item.name if item.name != item.path else item.path.rpartition("/")[2]
        rows.append([f"  {name}", f"=> {item.path}", style.paint(f"({where.reason(item)})", "dim")])
    rows += [
        [f"  {item.name}", style.paint("=> not found", "red"), f"(needed by {item.requester})"]
        for item in found.missing
    ]
    return columns(rows)


def _tree_lines(found: Linkage, where: Where, style: Style) -> list[str]:
    """Needs below the object that needs them; an object that was shown before is not opened again."""
    below: dict[str, list[Linked]] = {}
    for item in found.linked:
        below.setdefault(item.requester, []).append(item)
    lines: list[str] = []
    shown: set[str] = set()

    def put(requester: str, prefix: str) -> None:
        every = below.get(requester, [])
        items = [i for i in every if i.path is None or not (i.again or i.path in shown)]
        seen = [i.name for i in every if i not in items]
        for number, item in enumerate(items):
            last = number == len(items) - 1 and not seen
            branch = "└─ " if last else "├─ "
            if item.path is None:
                lines.append(f"{prefix}{branch}{style.paint(f'{item.name} => not found', 'red')}")
                continue
            shown.add(item.path)
            lines.append(f"{prefix}{branch}{item.name} => {item.path} {style.paint(f'({where.reason(item)})', 'dim')}")
            put(item.path, prefix + ("   " if last else "│  "))
        if seen:
            lines.append(prefix + "└─ " + style.paint(f"loaded already: {', '.join(seen)}", "dim"))

    put(found.path, "  ")
    return lines


def _miss(found: Linkage, item: Linked, where: Where, style: Style) -> list[str]:
    lines = [f"  {style.paint(item.name, 'red')}, needed by {item.requester}, was looked for in:"]
    return lines + [f"    {number}. {text}" for number, text in enumerate(places(item.search, where), 1)]


def places(search: Search | None, where: Where) -> list[str]:
    """The places of a search in order, a line each: directory, who named it, what was there."""
    if search is None:
        return []
    from nvsim.diagnosis.places import places_of

    return [
        f"{p.path} ({where.by(p.set_by)}): {p.result}" if p.set_by else f"{p.path}: {p.result}"
        for p in places_of(search)
    ]


def _version_lines(found: Linkage, style: Style) -> list[str]:
    """Version needs beside what the libraries found define: those of the C and C++ runtime, and every one that is not met."""
    rows = []
    for use in found.versions:
        short = use.found is None or _less(use.found, use.version)
        runtime = use.version.startswith(_RUNTIME) and use.version.partition("_")[2][:1].isdigit()
        if not short and (not runtime or not use.library.startswith(("libc.", "libstdc++", "libgcc_s"))):
            continue
        there = use.found or "no version of that name"
        rows.append(
            [
                f"  needs {use.version}",
                f"of {use.library}",
                f"there: {style.paint(there, *(['red'] if short else []))}",
                f"(for {use.needed_by})",
            ]
        )
    return columns(rows)


def _less(have: str, need: str) -> bool:
    def numbers(text: str) -> tuple[int, ...]:
        return tuple(int(p) for p in text.partition("_")[2].split(".") if p.isdigit())

    return numbers(have) < numbers(need)


def wishes_text(path: str, found: Sequence[Wish], style: Style = PLAIN) -> str:
    """What a file may dlopen, and where its loader would find that."""
    rows = []
    for wish in found:
        where = f"=> {wish.path}" if wish.path else style.paint("=> not found", "yellow")
        rows.append([f"    {wish.name}", where, style.paint(f"({_source(wish)})", "dim")])
    return "\n".join([f"  {path} may dlopen:", *columns(rows)]) + "\n"


def _source(wish: Wish) -> str:
    if wish.source == "string":
        return "a string in the file"
    return f"metadata, {wish.priority or 'no priority'}{f': {wish.description}' if wish.description else ''}"


def summary_text(found: Iterable[Linkage], name: str, where: Where, style: Style = PLAIN) -> str:
    """A whole image: how many files are fine, and every name that is missing, with who needs it."""
    every = list(found)
    bad = [f for f in every if not f.ok]
    programs = sum(f.kind == "program" for f in every)
    word = style.paint("COMPLETE", "bold", "green") if not bad else style.paint("INCOMPLETE", "bold", "red")
    lines = [
        f"{word}  {name}: {programs} programs and {len(every) - programs} libraries, {len(bad)} with something missing"
    ]
    missing: dict[str, list[Linkage]] = {}
    for item in bad:
        for miss in item.missing:
            missing.setdefault(miss.name, []).append(item)
    counted = Counter({n: len(f) for n, f in missing.items()})
    if missing:
        lines += ["", style.paint(f"Not found ({len(missing)})", "bold")]
    for library, count in sorted(counted.items(), key=lambda i: (-i[1], i[0])):
        needers = missing[library]
        more = f" and {count - 3} more" if count > 3 else ""
        lines += wrapped(
            f"{style.paint(library, 'red')}: needed by {', '.join(f.path for f in needers[:3])}{more}", "      ", "  "
        )
    odd = [f for f in bad if f.problem and not f.missing]
    if odd:
        lines += ["", style.paint(f"Other problems ({len(odd)})", "bold")]
        for item in odd:
            lines += wrapped(f"{item.path}: {item.problem}", "      ", "  ")
    needs = _highest(every)
    if needs:
        lines += ["", style.paint("Highest versions needed", "bold"), *columns(needs, "  ")]
    return "\n".join(lines) + "\n"


def _highest(every: Sequence[Linkage]) -> list[list[str]]:
    best: dict[tuple[str, str], tuple[tuple[int, ...], list[str]]] = {}
    for found in every:
        for use in found.versions:
            family = use.version.partition("_")[0]
            if family not in ("GLIBC", "GLIBCXX", "CXXABI", "GCC"):
                continue
            order = tuple(int(p) for p in use.version.partition("_")[2].split(".") if p.isdigit())
            row = [use.version, f"of {use.library}", f"there: {use.found or 'none'}", f"(for {use.needed_by})"]
            key = (use.library, family)
            if order and (key not in best or order > best[key][0]):
                best[key] = (order, row)
    return [best[key][1] for key in sorted(best) if not key[0].startswith("ld-linux")]


def linkage_json(found: Linkage, where: Where) -> dict[str, Any]:
    """One file of ``nvsim ldd --format json``."""
    return {
        "path": found.path,
        "kind": found.kind,
        "machine": found.machine,
        "interpreter": found.interpreter,
        "ok": found.ok,
        "problem": found.problem or None,
        "objects": [
            {
                "name": i.name,
                "needed_by": i.requester,
                "path": i.path,
                "because": where.reason(i),
                "stage": i.stage,
                "already_loaded": i.again,
            }
            for i in found.linked
            if i.path is not None
        ],
        "missing": [
            {"name": i.name, "needed_by": i.requester, "places": places(i.search, where)} for i in found.missing
        ],
        "versions": [
            {"library": u.library, "version": u.version, "needed_by": u.needed_by, "found": u.found}
            for u in found.versions
        ],
        "assumptions": list(found.assumptions),
    }


def wish_json(wish: Wish) -> dict[str, Any]:
    """One dlopen candidate."""
    told = {"priority": wish.priority, "feature": wish.feature, "description": wish.description}
    return {
        "name": wish.name,
        "source": wish.source,
        "path": wish.path,
        **({"metadata": told} if wish.source == "note" else {}),
    }
