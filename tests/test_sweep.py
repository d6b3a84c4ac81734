"""Sweeps: reading the file, cells and expectations, running on cores, taking over an interrupted run, and every form of the results."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from nvsim.batch import answer
from nvsim.cli.sweep import command
from nvsim.errors import InputError
from nvsim.host.datadir import data_dir
from nvsim.sweep.expect import cells, unanswered, unmet
from nvsim.sweep.model import Cell, CellResult, Expectation, ImageSource, Pattern, Sweep
from nvsim.sweep.read import read_sweep
from nvsim.sweep.run import Chunk, chunks_of, finished, merged, restored, run_here, run_on_cores, tasks_of
from nvsim.sweep.summary import failing, summarise

FLEET = """
name: fleet
hosts: [eks-al2-2021, eks-al2-535]
images: ["example:nix-torch", "example:debian12"]
settings:
  default: {env: [NVIDIA_VISIBLE_DEVICES=all], mode: legacy}
  compute: {env: {NVIDIA_VISIBLE_DEVICES: all, NVIDIA_DRIVER_CAPABILITIES: "compute,utility"}, mode: legacy}
exclude:
  - {host: "*-2021", image: "example:debian12", setting: default}
expect:
  - {image: "example:nix-torch", must: fail}
  - {image: "example:nix-torch", host: eks-al2-2021, setting: default, must: fail, with: [NVS101, NVS401]}
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    path = tmp_path / "fleet.yaml"
    path.write_text(FLEET)
    return path


def _read(path: Path, text: str) -> Sweep:
    path.write_text(text)
    return read_sweep(path, data_dir())


def test_the_matrix_is_the_product_less_the_excluded_with_the_last_expectation(fleet: Path) -> None:
    found = cells(read_sweep(fleet, data_dir()))
    assert len(found) == 2 * 2 * 2 - 1
    by = {(c.image.name, c.host, c.setting): c.expectation for c in found}
    assert by["example:nix-torch", "eks-al2-2021", "default"].codes == ("NVS101", "NVS401")
    assert by["example:nix-torch", "eks-al2-2021", "compute"] == Expectation(
        Pattern(image="example:nix-torch"), "fail", (), "expect[0]"
    )
    assert by["example:debian12", "eks-al2-535", "default"].must == "work"
    assert ("example:debian12", "eks-al2-2021", "default") not in by


def test_toml_says_the_same_as_yaml(fleet: Path, tmp_path: Path) -> None:
    toml = tmp_path / "fleet.toml"
    toml.write_text(
        """name = "fleet"
hosts = ["eks-al2-2021", "eks-al2-535"]
images = ["example:nix-torch", "example:debian12"]
[settings]
default = {env = ["NVIDIA_VISIBLE_DEVICES=all"], mode = "legacy"}
compute = {env = {NVIDIA_VISIBLE_DEVICES = "all", NVIDIA_DRIVER_CAPABILITIES = "compute,utility"}, mode = "legacy"}
[[exclude]]
host = "*-2021"
image = "example:debian12"
setting = "default"
[[expect]]
image = "example:nix-torch"
must = "fail"
[[expect]]
image = "example:nix-torch"
host = "eks-al2-2021"
setting = "default"
must = "fail"
with = ["NVS101", "NVS401"]
"""
    )
    assert cells(read_sweep(toml, data_dir())) == cells(read_sweep(fleet, data_dir()))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hosts: [eks-al2-2021", "bad YAML"),
        ("- 1", "a sweep file is a mapping"),
        ("host: x\nimages: []", "unknown key 'host'"),
        ("hosts: [eks-al2-2020]\nimages: ['example:alpine']", "hosts[0]: unknown host 'eks-al2-2020'"),
        ("hosts: ['nowhere-*']\nimages: ['example:alpine']", "no shipped host matches"),
        ("hosts: [./missing.json]\nimages: ['example:alpine']", "no such file"),
        ("hosts: [eks-al2-2021]\nimages: []", "at least one host and one image"),
        ("hosts: [eks-al2-2021]\nimages: [{docker: x}]", "images[0]: unknown key 'docker'"),
        ("hosts: [eks-al2-2021]\nimages: ['example:alpine']\nexpect: [{must: explode}]", "expect[0]: needs 'must'"),
        ("hosts: [eks-al2-2021]\nimages: ['example:alpine']\nexpect: [{must: fail, with: NVS1}]", "no finding is"),
        ("hosts: [eks-al2-2021]\nimages: ['example:alpine']\nsettings: {a: {host: b}}", "is an axis of its own"),
    ],
)
def test_a_fault_of_the_file_is_told_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as e:
        read_sweep(path, data_dir())
    assert said in str(e.value) and str(path) in str(e.value) and "\n" not in str(e.value)


def test_a_dockerfile_stands_on_a_base_and_extends_its_environment(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "ARG TAG=1\nFROM builder:x AS build\nENV LOST=1\nFROM our/torch:${TAG}\nARG DIR=/usr/lib64\n"
        "ENV LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$DIR NVIDIA_VISIBLE_DEVICES=all\nENV NVIDIA_DRIVER_CAPABILITIES compute,utility\n"
        'WORKDIR /srv\nWORKDIR app\nENTRYPOINT ["/usr/bin/nvidia-smi", "-L"]\nCMD ["-i", "0"]\n'
    )
    told = _read(
        tmp_path / "f.yaml",
        'hosts: [eks-al2-2021]\nimages: [Dockerfile]\nbases: {"our/torch:*": "example:nix-torch"}\ncommands: [null, "-q"]',
    )
    own, given = (c.query for c in cells(told))
    assert own["image"] == "example:nix-torch"
    assert own["env"] == [
        "LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu:/usr/lib64",
        "NVIDIA_VISIBLE_DEVICES=all",
        "NVIDIA_DRIVER_CAPABILITIES=compute,utility",
    ]
    assert (own["entrypoint"], own["argv"]) == ("/usr/bin/nvidia-smi", ["-L", "-i", "0"])
    assert given["argv"] == ["-L", "-q"]
    assert own["workdir"] == "/srv/app"


def test_a_dockerfile_on_an_unknown_base_says_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM our/torch:1\n")
    with pytest.raises(InputError, match=r'bases: \{"our/torch:1": IMAGE\}'):
        _read(tmp_path / "f.yaml", "hosts: [eks-al2-2021]\nimages: [Dockerfile]")


def _result(verdict: str, codes: tuple[str, ...], expectation: Expectation) -> CellResult:
    cell = Cell("h", ImageSource("i", "i"), "default", None, {}, expectation)
    return CellResult(cell, "k", verdict, "reason", codes)


@pytest.mark.parametrize(
    ("verdict", "must", "codes", "holds"),
    [
        ("ok", "work", (), True),
        ("fails", "work", (), False),
        ("unknown", "work", (), False),
        ("fails", "fail", (), True),
        ("ok", "fail", (), False),
        ("unknown", "fail", (), False),
        ("fails", "fail", ("NVS101",), True),
        ("fails", "fail", ("NVS999",), False),
        ("unknown", "any", (), True),
        ("error", "any", (), False),
    ],
)
def test_whether_an_expectation_holds(verdict: str, must: str, codes: tuple[str, ...], holds: bool) -> None:
    expectation = Expectation(Pattern(), must, codes)
    assert (unmet(expectation, _result(verdict, ("NVS101",), expectation)) == "") is holds


def test_results_on_several_processes_are_those_of_one(fleet: Path) -> None:
    tasks = tasks_of(cells(read_sweep(fleet, data_dir())), "1")
    one = [r.as_json() for rs in run_here(chunks_of(tasks, 1)) for r in rs]
    many = [r.as_json() for rs in run_on_cores(chunks_of(tasks, 2), 2) for r in rs]
    assert one == many
    assert [r["met"] for r in one] == [True] * len(one)


def test_a_cell_says_what_a_batch_query_says(fleet: Path) -> None:
    for task in tasks_of(cells(read_sweep(fleet, data_dir())), "1"):
        (result,) = next(run_here([Chunk((task,))]))
        told = answer("run", task.cell.query)
        assert (result.verdict, result.reason) == (told["verdict"], told["process"]["reason"])
        assert set(result.codes) == {f["code"] for f in told["findings"] if not f["after"]}
        assert set(result.later) == {f["code"] for f in told["findings"] if f["after"]}


def test_what_cannot_be_answered_is_a_result(tmp_path: Path) -> None:
    told = _read(
        tmp_path / "f.yaml",
        "hosts: [eks-al2-2021]\nimages: [./nothing.tar, 'example:nix-torch-fixed']\n"
        "settings: {a: {env: [NVIDIA_VISIBLE_DEVICES=all, 'NVIDIA_DRIVER_CAPABILITIES=all'], mode: legacy}}",
    )
    results = [r for rs in run_here(chunks_of(tasks_of(cells(told), "1"), 1)) for r in rs]
    assert [r.verdict for r in results] == ["error", "ok"]
    assert "nothing.tar" in results[0].why


def test_an_interrupted_sweep_goes_on_where_it_stopped(fleet: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    runner = CliRunner()
    whole = runner.invoke(command, [str(fleet), "--jobs", "1", "--format", "json", "--resume", str(kept)])
    lines = kept.read_bytes().splitlines(keepends=True)
    assert whole.stdout.encode() == b"".join(lines)
    kept.write_bytes(b"".join(lines[:3]) + lines[3][:40])
    again = runner.invoke(command, [str(fleet), "--jobs", "1", "--format", "json", "--resume", str(kept)])
    assert again.stdout == whole.stdout and again.exit_code == whole.exit_code == 0
    assert kept.read_bytes() == b"".join(lines)


def test_an_expectation_that_changed_is_held_against_the_kept_result(fleet: Path) -> None:
    tasks = tasks_of(cells(read_sweep(fleet, data_dir())), "1")
    row = unanswered(tasks[0].cell, tasks[0].key, "x").as_json() | {"verdict": "ok", "met": True, "why": ""}
    again = restored(tasks[0], row)
    assert again is not None and not again.met and again.why.startswith("must fail")
    assert restored(tasks[0], {"key": tasks[0].key}) is None


def test_a_file_that_holds_no_results_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine\nalso mine\n")
    with pytest.raises(InputError, match="is no line of a sweep's results"):
        finished(path)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=40), st.integers(1, 8), st.data())
def test_merging_keeps_the_order_whatever_was_done(images: list[int], jobs: int, data: st.DataObject) -> None:
    tasks = tasks_of(
        (Cell(f"h{n}", ImageSource(f"i{i}", f"i{i}"), "s", None, {}) for n, i in enumerate(sorted(images))), "1"
    )
    results = {t.key: CellResult(t.cell, t.key, "ok", "") for t in tasks}
    done = {t.key: results[t.key] for t in tasks if data.draw(st.booleans())}
    todo = [t for t in tasks if t.key not in done]
    chunks = list(chunks_of(todo, jobs))
    assert all(len({t.cell.image.name for t in c.tasks}) == 1 for c in chunks)
    fresh = ([results[t.key] for t in c.tasks] for c in chunks)
    assert [r.key for r in merged(tasks, done, fresh)] == [t.key for t in tasks]


@pytest.mark.parametrize(("fail_on", "fails"), [("unmet", False), ("fails", True), ("unknown", True), ("never", False)])
def test_what_makes_the_exit_status_one(fail_on: str, fails: bool) -> None:
    summary = summarise("s", [_result("fails", ("NVS101",), Expectation(Pattern(), "fail"))])
    assert failing(summary, fail_on) is fails


def _forms(fleet: Path, form: str) -> str:
    fleet.write_text(FLEET.replace("must: fail}", "must: work}"))
    result = CliRunner().invoke(command, [str(fleet), "--jobs", "1", "--format", form])
    assert result.exit_code == 1, result.output
    return result.stdout


def test_the_text_says_first_what_is_not_as_expected(fleet: Path) -> None:
    lines = _forms(fleet, "text").splitlines()
    assert lines[0].startswith("fleet: 7 scenarios, 3 of 7 NOT as expected")
    assert lines[1].startswith("  example:nix-torch on eks-al2-2021 [compute]: must work, but it fails")


def test_junit_has_a_case_for_each_scenario(fleet: Path) -> None:
    suite = ET.fromstring(_forms(fleet, "junit"))[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("7", "3", "0")
    assert sum(case.find("failure") is not None for case in suite) == 3


def test_sarif_points_at_the_sweep_file_with_known_rules(fleet: Path) -> None:
    run = json.loads(_forms(fleet, "sarif"))["runs"][0]
    rules = {r["id"] for r in run["tool"]["driver"]["rules"]}
    assert run["results"] and {r["ruleId"] for r in run["results"]} <= rules
    place = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert place == str(fleet)


def test_html_escapes_and_needs_nothing_from_outside(fleet: Path) -> None:
    fleet.write_text(FLEET.replace("name: fleet", "name: '<b>fleet</b>'"))
    page = CliRunner().invoke(command, [str(fleet), "--jobs", "1", "--format", "html"]).stdout
    assert "<h1>&lt;b&gt;fleet&lt;/b&gt;</h1>" in page
    assert not any(word in page for word in ("<script", "<link", "src=", "href=", "url("))
