"""The public Python interface: lazy names, documented examples, and agreement with the command and with batch queries."""

from __future__ import annotations

import doctest
import json
import subprocess
import sys
from pathlib import Path

import pytest

import nvsim
from commands import nvsim as run_nvsim
from nvsim import api
from nvsim.batch import answer_line

DOCS = Path(__file__).parent.parent / "docs"
SCENARIOS = [
    {"host": "eks-al2-2021", "image": "example:nix-torch", "env": ["NVIDIA_VISIBLE_DEVICES=all"]},
    {"host": "eks-al2-535", "image": "example:nix-torch-fixed", "env": ["NVIDIA_VISIBLE_DEVICES=all"]},
    {"host": "debian12-535", "image": "example:debian12", "gpus": "all"},
    {"host": "debian12-535", "image": "example:debian12", "runtime": "runc", "argv": ["/bin/sh"]},
    {"host": "rhel9-550", "image": "example:ubi9", "gpus": "device=0", "user": "1000", "read_only": True},
    {"host": "ubuntu2404-550", "image": "example:alpine", "gpus": "all", "cap_drop": ["ALL"], "workdir": "/tmp"},
    {"host": "gke-cos-535", "image": "example:distroless-base", "env": ["A=1", "A"], "dlopen": ["libcuda.so.1"]},
    {"host": "debian12-535", "image": "example:cuda-12.2-base-ubuntu2204", "gpus": "all", "toolkit_version": "1.10.0"},
    {"host": "eks-al2-535", "image": "example:debian12", "config_set": ["disable-require=true"], "gpus": "2"},
    {"host": "eks-al2023-550", "image": "example:amazonlinux2", "volume": ["/opt:/data:ro"], "tmpfs": ["/run"]},
]


def as_arguments(scenario: dict) -> list[str]:
    """The command line that says the same as a query."""
    words = []
    for name, value in scenario.items():
        if name in ("image", "argv"):
            continue
        flag = "--" + {"dlopen_from": "from"}.get(name, name).replace("_", "-")
        for item in value if isinstance(value, list) else [value]:
            words += [flag] if item is True else [flag, item]
    return [*words, scenario["image"], *scenario.get("argv", ())]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: f"{s['host']} {s['image']}")
def test_python_command_and_batch_give_the_same_answer(scenario: dict) -> None:
    options = {k: v for k, v in scenario.items() if k not in ("host", "image", "argv")}
    by_hand = nvsim.new_scenario(scenario["host"], scenario["image"], scenario.get("argv"), **options)
    python = nvsim.result_json(nvsim.diagnose(by_hand))
    batch = json.loads(answer_line(json.dumps({"id": 1, "kind": "run", "input": scenario})))["result"]
    command = run_nvsim("run", "--format", "json", *as_arguments(scenario))
    assert batch == json.loads(json.dumps(python))
    assert json.loads(command.out) == batch
    assert command.status == (1 if batch["verdict"] == "fails" else 0)


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, nvsim; print([m for m in sys.modules if m.split('.')[0] in ('attr', 'attrs', 'click', 'yaml', 'rich', 'elftools', 'typing', 'json')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_public_name_is_there_and_listed() -> None:
    assert set(api.__all__) == nvsim._NAMES
    for name in api.__all__:
        assert getattr(nvsim, name) is getattr(api, name)
        assert name in dir(nvsim)


def test_a_function_is_not_hidden_by_the_module_of_its_name() -> None:
    code = "import nvsim.simulate, nvsim; print(callable(nvsim.simulate))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "True\n"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        nvsim.nothing  # noqa: B018


def test_the_examples_of_the_documentation_are_true() -> None:
    found = doctest.testfile(str(DOCS / "api.md"), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted > 10
    assert found.failed == 0


def test_hosts_and_images_may_be_given_inline() -> None:
    tree = {"/bin/x": {"type": "file", "size": 64, "elf": {"needed": []}}}
    image = nvsim.load_image({"tree": tree, "config": {"Cmd": ["/bin/x"]}})
    host = nvsim.load_host(json.loads(run_nvsim("host", "show", "debian12-535").out))
    result = nvsim.simulate(nvsim.new_scenario(host, image))
    assert result.verdict == "ok"
    query = {"host": "debian12-535", "image": {"tree": tree, "config": {"Cmd": ["/bin/x"]}}}
    assert json.loads(answer_line(json.dumps({"kind": "run", "input": query})))["result"]["verdict"] == "ok"
