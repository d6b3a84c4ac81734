"""Generated CDI specs by release: recorded runs of ``nvidia-ctk cdi generate`` and of the runtime, and what must hold of every release."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

import cdi_vectors
from nvsim.api import load_host
from nvsim.errors import InputError
from nvsim.frozen import evolve
from nvsim.host.profile import KeptSpec
from nvsim.inject.cdi.dump import dump_sorted_yaml, dump_yaml
from nvsim.inject.cdi.spec import spec_from_json
from nvsim.inject.generate.command import run_generate
from nvsim.queries import tool
from nvsim.scenario.engine_specs import generated_spec
from nvsim.toolkit.generation import generation_rules
from nvsim.toolkit.releases import release_of, version_key
from test_cdi_generate import CHANGES

RELEASES = (
    *("1.12.1", "1.13.5", "1.14.0", "1.14.6", "1.15.0", "1.16.2"),
    *("1.17.3", "1.17.6", "1.17.9", "1.18.2", "1.19.1", "1.20.0", "1.20.0+27"),
)
_ORDERED = version_key("1.17.8")  # before, mounts come out of a Go map
_LISTS = ("create-symlinks", "update-ldcache", "chmod")


def _query(record: dict[str, Any]) -> dict[str, Any]:
    query = cdi_vectors.query({k: v for k, v in record.items() if k not in ("tree_changes", "change")})
    if "change" in record or "tree_changes" in record:
        query["host"] = copy.deepcopy(query["host"])
    if "change" in record:
        CHANGES[record["change"]](query["host"])
    tree = query["host"]["tree"]
    for path, entry in record.get("tree_changes", {}).items():
        if entry is None:
            query["host"]["tree"] = tree = {p: e for p, e in tree.items() if p != path and not p.startswith(f"{path}/")}
        else:
            tree[path] = entry
    return query


def _comparable(value: Any, release: str) -> Any:
    """A spec or config.json; mounts, and what hooks make of them, sorted where the program takes them from a Go map."""
    value = cdi_vectors.normal(value)
    if version_key(release) >= _ORDERED:
        return value
    if isinstance(value, dict):
        out = {k: _comparable(v, release) for k, v in value.items()}
        for name in ("mounts", "deviceNodes"):
            if name in out:
                out[name] = sorted(out[name], key=repr)
        args = out.get("args", ())
        start = next((i for i, a in enumerate(args) if a in _LISTS), None)
        if start is not None:
            pairs = zip(args[start + 1 :: 2], args[start + 2 :: 2], strict=True)
            out["args"] = [*args[: start + 1], sorted(pairs)]
        return out
    return [_comparable(v, release) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize("record", cdi_vectors.rows("generate_releases"), ids=lambda r: r["id"])
def test_a_release_generates_the_same_specs_and_says_the_same(record: dict[str, Any]) -> None:
    got = tool.answer("tool", {"program": "nvidia-ctk", **_query(record)})
    want, release = record["expect"], record["toolkit"]
    assert _comparable(got["specs"], release) == _comparable(want["specs"], release)
    assert got["rc"] == want["rc"]
    assert [line for line in got["log"] if not line[1].startswith("panic: ")] == want["log"]
    if "text" in want:
        dump = dump_yaml if generation_rules(release_of(release)).spec_text == "ordered" else dump_sorted_yaml
        assert dump(spec_from_json(got["specs"][0])) == want["text"]


@pytest.mark.parametrize("record", cdi_vectors.rows("runtime_releases"), ids=lambda r: r["id"])
def test_the_runtime_of_a_release_leaves_the_same_config(record: dict[str, Any]) -> None:
    got = tool.answer("tool", {"program": "nvidia-container-runtime", **_query(record)})
    left = got["config_out"] if got["config_out"] is not None else record["config_in"]
    release = record["toolkit"]
    assert _comparable(left, release) == _comparable(record["expect"]["config_out"], release)
    assert got["rc"] == record["expect"]["rc"]


@pytest.mark.parametrize("release", RELEASES)
def test_an_option_is_known_from_its_release_on(release: str) -> None:
    from nvsim.queries.cdi import host_of_query

    host = host_of_query({"host": cdi_vectors.table("hosts")["no-nvidia-driver"]})
    rules = generation_rules(release_of(release))
    for name in generation_rules(release_of("1.20.0")).options:
        result = run_generate(host, (f"--{name}=/x",), rules=rules)
        refused = ("error", f"flag provided but not defined: -{name}") in result.log
        assert refused == (name not in rules.options)


def test_a_release_without_the_program_is_the_callers_mistake() -> None:
    query = {
        "program": "nvidia-ctk",
        "argv": ["nvidia-ctk", "cdi", "generate"],
        "toolkit": "1.11.0",
        "host": {"tree": {}},
    }
    with pytest.raises(InputError, match=r"toolkit 1\.11\.0 has no 'nvidia-ctk cdi generate'"):
        tool.answer("tool", query)


def test_a_kept_spec_is_as_the_hosts_toolkit_writes_it() -> None:
    host = load_host("ubuntu2404-550-cdi")
    for release, program in (("1.14.6", "nvidia-ctk"), ("1.20.0", "nvidia-cdi-hook")):
        own = evolve(host, toolkit=evolve(host.toolkit, version=release))
        text = generated_spec(own, KeptSpec("/var/run/cdi/nvidia.yaml"))
        assert text is not None
        assert {hook["path"].rsplit("/", 1)[-1] for hook in json.loads(text)["containerEdits"]["hooks"]} == {program}
    none = evolve(host, toolkit=evolve(host.toolkit, version="1.11.0"))
    assert generated_spec(none, KeptSpec("/var/run/cdi/nvidia.yaml")) is None
