"""The JSON Schemas of ``docs/schemas`` describe what the program really prints and reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from commands import nvsim
from nvsim.batch import answer_line
from nvsim.host.datadir import data_dir
from nvsim.host.read import list_hosts
from nvsim.image.example import list_examples

FOLDER = Path(__file__).parent.parent / "docs/schemas"
SCHEMAS = sorted(FOLDER.glob("*.json"))


def check(name: str, value: Any) -> None:
    schema = json.loads((FOLDER / f"{name}.schema.json").read_text())
    errors = [f"{e.json_path}: {e.message[:200]}" for e in Draft202012Validator(schema).iter_errors(value)]
    assert not errors, errors[:5]


@pytest.mark.parametrize("file", SCHEMAS, ids=lambda p: p.name)
def test_each_schema_is_a_schema(file: Path) -> None:
    Draft202012Validator.check_schema(json.loads(file.read_text()))


RUNS = [
    "--host eks-al2-2021 -e NVIDIA_VISIBLE_DEVICES=all example:nix-torch",
    "--host debian12-535 --gpus all example:debian12",
    "--host debian12-535 --gpus all example:debian12 no-such-program",
    "--host debian12-535 --runtime runc example:alpine",
    "--host debian12-535 --gpus device=9 example:debian12",
    "--host debian12-535 -e NVIDIA_VISIBLE_DEVICES=all -e NVIDIA_DRIVER_CAPABILITIES=x --runtime nvidia example:debian12",
    "--host ubuntu2404-550 --runtime nvidia -e NVIDIA_VISIBLE_DEVICES=all example:ubi9",
    "--host nixos-550 --device nvidia.com/gpu=all example:debian12",
    "--host gke-cos-535 --dlopen libcuda.so.1 example:distroless-base",
]


@pytest.mark.parametrize("words", RUNS)
def test_results_and_plans(words: str) -> None:
    check("nvsim-result-1", json.loads(nvsim("run", "--format", "json", *words.split()).out))
    check("nvsim-plan-1", json.loads(nvsim("plan", "--format", "json", *words.split()).out))


@pytest.mark.parametrize("host", list_hosts(data_dir()))
def test_every_shipped_host_in_both_forms(host: str) -> None:
    check("nvsim-host-1", json.loads(nvsim("host", "show", host).out))
    check("nvsim-host-1", json.loads(nvsim("host", "show", "--expanded", host).out))


@pytest.mark.parametrize("image", list_examples(data_dir()))
def test_every_shipped_image_as_a_tree_file(image: str) -> None:
    check("nvsim-tree-1", json.loads(nvsim("image", "index", f"example:{image}").out))


def test_fixes_and_differences() -> None:
    both = ["--host", "eks-al2-2021", "--host", "eks-al2-535", "-e", "NVIDIA_VISIBLE_DEVICES=all", "example:nix-torch"]
    check("nvsim-fix-1", json.loads(nvsim("fix", "--format", "json", *both).out))
    check("nvsim-diff-1", json.loads(nvsim("diff", "--format", "json", *both).out))


def test_plans_beside_each_other() -> None:
    words = "--host debian12-535 --gpus all --against cdi example:debian12"
    for pair in json.loads(nvsim("plan", "--format", "json", *words.split()).out):
        assert set(pair) == {"plan", "against"}
        for plan in pair.values():
            check("nvsim-plan-1", plan)


def test_listings_of_programs() -> None:
    for arguments in (
        ("example:nix-torch", "python3"),
        ("--all", "example:debian12"),
        ("example:alpine", "cuda-probe", "--dlopen"),
    ):
        check("nvsim-ldd-1", json.loads(nvsim("ldd", "--format", "json", *arguments).out))


def test_traces() -> None:
    out = nvsim("ldd", "--trace", "--format", "json", "example:debian12", "cuda-probe").out
    check("nvsim-ldd-trace-1", json.loads(out))


def test_lines_of_batch() -> None:
    good = {"id": [1], "kind": "run", "input": {"host": "debian12-535", "image": "example:debian12"}}
    schema = json.loads((FOLDER / "nvsim-batch-1.schema.json").read_text())
    query = {"$schema": schema["$schema"], "$ref": "#/$defs/query", "$defs": schema["$defs"]}
    assert Draft202012Validator(query).is_valid(good)
    assert not Draft202012Validator(query).is_valid({"kind": "other", "input": {}})
    for line in (json.dumps(good), "{", '{"id": 1, "kind": "run", "input": {}}'):
        check("nvsim-batch-1", json.loads(answer_line(line)))
