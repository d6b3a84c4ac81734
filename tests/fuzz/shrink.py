"""Delta debugging: the smallest part of a scenario that still shows a difference.

Knows the shape of a scenario, not its meaning: entries of the tree, environment, dlopens and every list, path list and key of an
ELF file are left out as long as the difference stays; what means nothing any more is refused by the test itself.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from fuzz.scenario import Scenario

_PATH_LISTS = ("rpath", "runpath")
_KEEP = ("interp", "class", "machine")


def shrunk(scenario: Scenario, still: Callable[[Scenario], bool], budget: int = 1500) -> Scenario:
    """The smallest scenario found with at most `budget` tries for which `still` holds (it holds for `scenario`)."""
    best = copy.deepcopy(scenario)
    tries = 0
    progress = True
    while progress:
        progress = False
        for smaller in _smaller(best):
            tries += 1
            if tries > budget:
                return best
            if still(smaller):
                best, progress = smaller, True
                break
    return best


def _smaller(scenario: Scenario) -> Iterator[Scenario]:
    """Scenarios with a part less, large parts first."""
    yield from _trees(scenario)
    for i in range(len(scenario["dlopen"])):
        yield _edit(scenario, lambda s, i=i: s["dlopen"].pop(i))
    for name in scenario["env"]:
        yield _edit(scenario, lambda s, name=name: s["env"].pop(name))
    plain = {
        "cwd": "/",
        "uid": 0,
        "secure": False,
        "proc": True,
        "exec": scenario["program"],
        "argv": [scenario["exec"]],
    }
    for key, value in plain.items():
        if scenario[key] != value:
            yield _edit(scenario, lambda s, key=key, value=value: s.update({key: value}))
    for i, call in enumerate(scenario["dlopen"]):
        for key, value in (("flags", 2), ("from", "main")):
            if call[key] != value:
                yield _edit(scenario, lambda s, i=i, key=key, value=value: s["dlopen"][i].update({key: value}))
    for name, value in scenario["env"].items():
        for less in _shorter_text(value):
            yield _edit(scenario, lambda s, name=name, less=less: s["env"].update({name: less}))
    for path, entry in scenario["rootfs"]["tree"].items():
        yield from _entries(scenario, path, entry)


def _edit(scenario: Scenario, change: Callable[[Scenario], Any]) -> Scenario:
    out = copy.deepcopy(scenario)
    change(out)
    return out


def _trees(scenario: Scenario) -> Iterator[Scenario]:
    """Without some entries: halves, quarters, ..., one by one."""
    tree = scenario["rootfs"]["tree"]
    paths = [p for p in tree if p != scenario["program"] and "real" not in tree[p]]
    size = len(paths) // 2
    while size:
        for at in range(0, len(paths), size):
            gone = set(paths[at : at + size])
            less = {p: e for p, e in tree.items() if p not in gone and e.get("of") not in gone}
            yield {**scenario, "rootfs": {"tree": less}}
        size //= 2


def _entries(scenario: Scenario, path: str, entry: dict[str, Any]) -> Iterator[Scenario]:
    """With a simpler entry at `path`."""

    def put(new: dict[str, Any]) -> Scenario:
        return {**scenario, "rootfs": {"tree": {**scenario["rootfs"]["tree"], path: new}}}

    for key in ("mode", "write", "exit"):
        if key in entry:
            yield put({k: v for k, v in entry.items() if k != key})
    if "ldcache" in entry:
        for i in range(len(entry["ldcache"])):
            yield put({**entry, "ldcache": entry["ldcache"][:i] + entry["ldcache"][i + 1 :]})
    if "text" in entry:
        for less in _shorter_text(entry["text"]):
            yield put({**entry, "text": less})
    elf = entry.get("elf", {})
    for key, value in elf.items():
        if key not in _KEEP and key != "needed":
            yield put({**entry, "elf": {k: v for k, v in elf.items() if k != key}})
        for less in _less(key, value):
            yield put({**entry, "elf": {**elf, key: less}})


def _less(key: str, value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for i in range(len(value)):
            yield value[:i] + value[i + 1 :]
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield {k: v for k, v in value.items() if k != name}
            for less in _less(name, inner):
                yield {**value, name: less}
    elif key in _PATH_LISTS:
        yield from _shorter_text(value)


def _shorter_text(text: str) -> Iterator[str]:
    """Without one element of a list in text form."""
    for separator in (":", ";", "\n", " "):
        parts = text.split(separator)
        if len(parts) > 1:
            for i in range(len(parts)):
                yield separator.join(parts[:i] + parts[i + 1 :])
