"""The architecture: a module imports only from lower floors and from its own package."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import nvsim

ROOT = Path(nvsim.__file__).parent
FLOORS = [
    ("errors", "memo", "frozen"),
    ("elf", "ldcache"),
    ("rootfs",),
    ("loader",),
    ("toolkit", "host", "image"),
    ("inject",),
    ("scenario", "programs", "simulate"),
    ("diagnosis",),
    ("report", "batch", "queries", "sweep"),
    ("cli", "lab"),
]
# within these floors packages may import each other; elsewhere packages of one floor must not
TOGETHER = {"scenario", "programs", "simulate", "sweep", "report", "batch", "queries"}
FLOOR_OF = {package: number for number, packages in enumerate(FLOORS) for package in packages}
ENTRY_POINTS = {"__init__", "__main__", "api"}
MODULES = sorted(p.relative_to(ROOT) for p in ROOT.rglob("*.py"))


def package_of(path: Path) -> str:
    return path.parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Top-level packages of nvsim that a module imports anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names = [f"nvsim.{a.name}" for a in node.names] if node.module == "nvsim" else [node.module]
        found |= {n.split(".")[1] for n in names if n.startswith("nvsim.")}
    return found


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_imports_only_from_lower_floors(path: Path) -> None:
    own = package_of(path)
    if own in ENTRY_POINTS:
        return
    assert own in FLOOR_OF, f"{path} stands on no floor"
    for other in imported(path) - {own}:
        assert other in FLOOR_OF, f"{path} imports nvsim.{other}, which stands on no floor"
        lower = FLOOR_OF[other] < FLOOR_OF[own]
        beside = FLOOR_OF[other] == FLOOR_OF[own] and own in TOGETHER
        assert lower or beside, f"{path} (floor {FLOOR_OF[own]}) imports nvsim.{other} (floor {FLOOR_OF[other]})"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_says_what_lives_in_it(path: Path) -> None:
    assert ast.get_docstring(ast.parse((ROOT / path).read_text())), f"{path} has no docstring"
