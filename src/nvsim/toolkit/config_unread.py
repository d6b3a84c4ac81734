"""Keys of a config.toml that the toolkit passes over without a word: what they are, and what was perhaps meant.

The real programs report nothing here. Which keys there are is in `nvsim.toolkit.config_schema`.
"""

from __future__ import annotations

from functools import lru_cache

from nvsim.frozen import has
from nvsim.toolkit.config_schema import Key, ToolkitConfig, Version, all_keys
from nvsim.toolkit.releases import Release
from nvsim.toolkit.toml_reader import read_toml
from nvsim.toolkit.toml_tree import Table, TomlError


@lru_cache(maxsize=64)
def unread_keys(text: str, release: Release) -> tuple[str, ...]:
    """One sentence for each key or table that the release does not know, in the order of the file; none for a text that is no TOML."""
    try:
        tree = read_toml(text, unsigned=release.toml_unsigned)
    except TomlError:
        return ()
    known = _known(ToolkitConfig(), "")
    return tuple(f"config.toml: {name} {_why(name, known, release)}" for name in _unread(tree, "", known, release))


def _known(section: object, path: str) -> dict[str, Key]:
    """Every key and table of a section by its dotted name, whichever release knows it."""
    out: dict[str, Key] = {}
    for attribute, key in all_keys(type(section)):
        out[f"{path}{key.name}"] = key
        value = getattr(section, attribute)
        if has(type(value)):
            out |= _known(value, f"{path}{key.name}.")
    return out


def _unread(table: Table, path: str, known: dict[str, Key], release: Release) -> list[str]:
    out: list[str] = []
    spelled = {form: name for name in known for form in (name, name.casefold())}
    for name, value in table.values.items():
        dotted = f"{path}{name}"
        meant = spelled.get(dotted, spelled.get(f"{path}{name.casefold()}"))
        if meant is None or not known[meant].known_to(release.version):
            out.append(dotted)
        elif isinstance(value, Table):
            out += _unread(value, f"{meant}.", known, release)
    return out


def _why(name: str, known: dict[str, Key], release: Release) -> str:
    version = _text(release.version)
    key = known.get(name)
    if key is None:
        return f"is ignored: toolkit {version} has no such key{_meant(name, known)}"
    have = f"from {_text(key.since)}" + (f" until {_text(key.until)}" if key.until else "")
    return f"is ignored: releases {have} know this key, {version} does not"


def _text(version: Version) -> str:
    return ".".join(map(str, version[:3]))


def _meant(name: str, known: dict[str, Key]) -> str:
    """The key of the same name in another section, else the one that is spelled nearly so."""
    import difflib

    same = [k for k in known if k.rpartition(".")[2] == name.rpartition(".")[2]]
    near = same or difflib.get_close_matches(name.casefold(), known, n=1, cutoff=0.8)
    return f" (did you mean {' or '.join(near[:3])}?)" if near else ""
