"""The pages of ``docs`` are true: options, commands that can be run, links."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from commands import nvsim
from nvsim.diagnosis.catalogue import CATALOGUE
from nvsim.scenario.options import OPTIONS

ROOT = Path(__file__).parent.parent
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


def test_the_page_on_commands_has_every_option() -> None:
    page = (ROOT / "docs/cli.md").read_text()
    rows = []
    for option in OPTIONS:
        flags = ", ".join(f"`{f}`" for f in option.flags)
        metavar = f" `{option.metavar}`" if option.metavar else ""
        again = "; repeatable" if option.kind == "texts" else ""
        rows.append(f"| {flags}{metavar} | `{option.name}` | {option.help.rstrip('.')}{again} |")
    table = re.search(r"\| option \| key \| \|\n\| --- \| --- \| --- \|\n(.*?)\n\n", page, re.DOTALL)
    assert table is not None
    assert table[1].splitlines() == rows


def test_the_page_on_findings_is_the_catalogue() -> None:
    page = (ROOT / "docs/findings.md").read_text()
    rows = [f"| {e.code} | `{e.slug}` | {e.severity} | {e.title} |" for e in CATALOGUE.values()]
    assert [line for line in page.splitlines() if line.startswith("| NVS")] == rows


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize(
    "command",
    sorted({c for p in PAGES for c in re.findall(r"`nvsim ((?:ldd|explain|image|host|plan|run) [^`]*)`", p.read_text()) if "example:" in c or c.startswith(("explain NVS", "host list", "image list"))}),
)  # fmt: skip
def test_commands_of_the_pages_can_be_run(command: str) -> None:
    if any(word.isupper() and word not in ("-o",) for word in shlex.split(command) if not word.startswith("NVS")):
        pytest.skip("has a placeholder")
    done = nvsim(*shlex.split(command))
    assert done.status in (0, 1) and done.err == ""
