"""Where a layout puts the files of a driver set: roles and names to paths, links with their targets.

Works on JSON entries (``nvsim-layout/1``, ``nvsim-driver/1``; see ``docs/formats-data.md``), which are valid when they come here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from posixpath import relpath
from typing import Any

Entries = dict[str, Any]


def variables(driver: Mapping[str, Any] | None, kernel: str) -> dict[str, str]:
    """The variables of a layout's paths besides ``{lib}``."""
    version = driver["driver"] if driver else ""
    return {"driver": version, "branch": version.partition(".")[0], "kernel": kernel}


def fill(text: str, names: Mapping[str, str]) -> str:
    """`text` with ``{name}`` replaced; other braces stay."""
    for name, value in names.items():
        text = text.replace("{" + name + "}", value)
    return text


def fill_all(value: Any, names: Mapping[str, str]) -> Any:
    """A JSON value with the variables of all its strings and keys replaced."""
    if isinstance(value, str):
        return fill(value, names)
    if isinstance(value, list):
        return [fill_all(v, names) for v in value]
    if isinstance(value, Mapping):
        return {fill(k, names): fill_all(v, names) for k, v in value.items()}
    return value


class Placement:
    """The directories of one layout for one driver version."""

    def __init__(self, layout: Mapping[str, Any], names: Mapping[str, str]):
        self._dirs: Mapping[str, Any] = layout.get("dirs", {})
        self._place: Mapping[str, Any] = layout.get("place", {})
        self._names = names

    def library_dir(self, arch: str) -> str | None:
        """The directory that ``{lib}`` stands for; None = libraries of this word size are not installed."""
        rule = self._dirs.get("lib", {}).get(arch)
        if isinstance(rule, list):
            rule = next((directory for _, directory in reversed(rule) if directory is not None), None)
        return None if rule is None else fill(rule, self._names)

    def directory(self, role: str, arch: str, name: str) -> str | None:
        """The directory of one file; None = not installed here."""
        library = self.library_dir(arch)
        for pattern, directory in self._place.items():
            if fnmatchcase(name, fill(pattern, self._names)):
                return self._filled(directory, library, arch)
        rule = self._dirs.get(role)
        if role == "lib":
            rule = rule.get(arch) if rule else None
        if isinstance(rule, list):
            rule = next((d for pattern, d in rule if fnmatchcase(name, fill(pattern, self._names))), None)
        return self._filled(rule, library, arch, own=role == "lib")

    def _filled(self, rule: str | None, library: str | None, arch: str, own: bool = False) -> str | None:
        """A 32-bit file has a place only where that depends on the library directory of its word size."""
        if rule is None or library is None or (arch == "32" and not own and "{lib}" not in rule):
            return None
        return fill(rule, {**self._names, "lib": library})


def driver_entries(driver: Mapping[str, Any], layout: Mapping[str, Any], names: Mapping[str, str]) -> Entries:
    """The tree entries of a driver set in a layout, without alternatives and extra files."""
    placement = Placement(layout, names)
    modes = layout.get("mode", {})
    out: Entries = {}
    placed: dict[tuple[str, str], str] = {}
    for item in driver["files"]:
        role, arch, name = item["role"], item["arch"], item["name"]
        directory = placement.directory(role, arch, name)
        if directory is None:
            continue
        placed[arch, name] = directory
        entry = {"type": "file", "size": item["size"], "mode": modes.get(role, item["mode"])}
        entry.update({k: item[k] for k in ("elf", "text") if k in item})
        for pattern, change in layout.get("patch", {}).items():
            if "interp" in change and "interp" not in entry.get("elf", {}):
                continue
            if "elf" in entry and fnmatchcase(name, pattern):
                entry["elf"] = {**entry["elf"], **fill_all(change, names)}
        out[f"{directory}/{name}"] = entry
    kinds = layout.get("links", ["soname", "dev"])
    for item in _links_after_targets(driver["links"]):
        role, arch, name, to = item["role"], item["arch"], item["name"], item["to"]
        if role == "lib" and ("dev" if name.endswith(".so") else "soname") not in kinds:
            continue
        directory, target_dir = placement.directory(role, arch, name), placed.get((arch, to))
        if directory is None or target_dir is None:
            continue
        placed[arch, name] = directory
        target = to if target_dir == directory else f"{relpath(target_dir, directory)}/{to}"
        out[f"{directory}/{name}"] = {"type": "symlink", "target": target}
    return out


def _links_after_targets(links: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Links whose target is another link of the set come last."""
    names = {(item["arch"], item["name"]) for item in links}
    yield from (item for item in links if (item["arch"], item["to"]) not in names)
    yield from (item for item in links if (item["arch"], item["to"]) in names)


def alternative_entries(layout: Mapping[str, Any], names: Mapping[str, str], present: Mapping[str, Any]) -> Entries:
    """The links of Debian's alternatives (``update-alternatives(1)``): link -> /etc/alternatives/NAME -> target.

    An alternative whose target is not `present`, as a file or as the link of another alternative, is not made.
    """
    out: Entries = {}
    wanted = {fill(name, names): fill_all(pair, names) for name, pair in layout.get("alternatives", {}).items()}
    open_names = list(wanted)
    while True:
        made = [name for name in open_names if wanted[name][1] in present or wanted[name][1] in out]
        if not made:
            return out
        for name in made:
            link, target = wanted[name]
            out[f"/etc/alternatives/{name}"] = {"type": "symlink", "target": target}
            out[link] = {"type": "symlink", "target": f"/etc/alternatives/{name}"}
        open_names = [name for name in open_names if name not in made]
