"""``docs/toolkit-releases.md``: the table of releases and the keys of config.toml by release, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nvsim.frozen import evolve, has
from nvsim.toolkit.config_schema import Key, ToolkitConfig, all_keys
from nvsim.toolkit.releases import NEWEST_TREE, OLDEST
from nvsim.toolkit.releases_table import BEHAVIOURS

_HEAD = f"""\
# What toolkit releases do differently

`nvsim` models the NVIDIA Container Toolkit from {OLDEST} to {NEWEST_TREE} (the development tree after 1.20.0); `--toolkit-version`
chooses. Below is every difference that it knows, written from the tables that the program asks
(`nvsim.toolkit.releases_table`, `nvsim.toolkit.config_schema`). A release before 1.10 counts as 1.10 with its own default driver
capabilities, one that is newer as the newest.

## Behaviour

| what | from | then |
| --- | --- | --- |
"""
_KEYS = """
## Keys of config.toml that not every release knows

A release that does not know a key ignores it.

| key | from | until |
| --- | --- | --- |
"""


def releases_page() -> str:
    """The page's text."""
    rows = [
        f"| {b.about} (`{b.name}`) | {s.since or 'always'} | {s.text} |" if i == 0 else f"| | {s.since} | {s.text} |"
        for b in BEHAVIOURS
        for i, s in enumerate(b.steps)
    ]
    keys = [
        f"| `{name}` | {_text(key.since) or 'always'} | {_text(key.until)} |"
        for name, key in _every_key(ToolkitConfig(), "", Key("", ""))
        if key.since or key.until
    ]
    return _HEAD + "\n".join(rows) + "\n" + _KEYS + "\n".join(keys) + "\n"


def _every_key(section: Any, path: str, above: Key) -> Iterator[tuple[str, Key]]:
    """The dotted names of all keys below a section, each with the releases that know it."""
    for attribute, key in all_keys(type(section)):
        known = evolve(key, since=max(key.since, above.since), until=key.until or above.until)
        value = getattr(section, attribute)
        if has(type(value)):
            yield from _every_key(value, f"{path}{key.name}.", known)
        else:
            yield f"{path}{key.name}", known


def _text(version: tuple[int, ...] | None) -> str:
    return ".".join(map(str, version)) if version else ""
