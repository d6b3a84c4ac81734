"""``docs/toolkit-releases.md``: the table of releases and the keys of config.toml by release, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from nvsim.frozen import evolve, has
from nvsim.toolkit.config_schema import Key, ToolkitConfig, all_keys
from nvsim.toolkit.generation_table import GENERATION
from nvsim.toolkit.releases import NEWEST_TREE, OLDEST
from nvsim.toolkit.releases_table import BEHAVIOURS, Behaviour

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
_GENERATION = """
## Generated CDI specs

What `nvidia-ctk cdi generate` (`nvsim cdi generate`) writes, and what the runtime generates in its modes jit-cdi and csv
(`nvsim.toolkit.generation_table`). 1.12 is the first release with a generator.

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
    tables = ["\n".join(_rows(table)) for table in (BEHAVIOURS, GENERATION)]
    keys = [
        f"| `{name}` | {_text(key.since) or 'always'} | {_text(key.until)} |"
        for name, key in _every_key(ToolkitConfig(), "", Key("", ""))
        if key.since or key.until
    ]
    return _HEAD + tables[0] + "\n" + _GENERATION + tables[1] + "\n" + _KEYS + "\n".join(keys) + "\n"


def _rows(table: Sequence[Behaviour]) -> Iterator[str]:
    """The lines of a table: the behaviour with its first value, then each value that replaced one."""
    for behaviour in table:
        for i, step in enumerate(behaviour.steps):
            what = f"{behaviour.about} (`{behaviour.name}`) | {step.since or 'always'}" if i == 0 else f"| {step.since}"
            yield f"| {what} | {step.text} |"


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
