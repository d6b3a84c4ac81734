"""The CDI library's rules: names, versions, validation, the registry, injection into an OCI config."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cdi_vectors
from nvsim.inject.cdi.dump import dump_json, dump_yaml
from nvsim.inject.cdi.inject import apply_edits, clean_path, inject_devices
from nvsim.inject.cdi.load import parse_spec
from nvsim.inject.cdi.registry import load_registry
from nvsim.inject.cdi.spec import (
    CdiDevice,
    CdiHook,
    CdiMount,
    CdiNode,
    CdiSpec,
    Edits,
    minimum_version,
    spec_from_json,
    spec_to_json,
    with_minimum_version,
)
from nvsim.inject.cdi.spec_files import spec_files
from nvsim.inject.cdi.validate import spec_error
from nvsim.inject.log import ToolFailure
from nvsim.queries import cdi
from nvsim.rootfs.node import File, FileFacts, Symlink
from nvsim.rootfs.resolve import Resolver
from nvsim.rootfs.tree import MemoryTree
from nvsim.toolkit.cdi_name import NamePanic, parse_name

# Two devices conflict in two files: the library reports them in the order of a Go map, which is different in each run
UNORDERED = {"cache/conflict-in-higher"}
NOWHERE = Resolver(MemoryTree("host", {}))


def _in_any_order(answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "errors": {k: sorted(v) for k, v in answer["errors"].items()}}


@pytest.mark.parametrize("record", cdi_vectors.rows("spec_rules_more"), ids=lambda r: r["id"])
def test_made_up_specs_are_read_as_the_library_reads_them(record: dict[str, Any]) -> None:
    got = cdi.answer("cdi-rules", cdi_vectors.query(record))
    assert cdi_vectors.normal(got) == cdi_vectors.normal(record["expect"])


@pytest.mark.parametrize("record", cdi_vectors.rows("spec_rules"), ids=lambda r: r["id"])
def test_the_library_says_the_same(record: dict[str, Any]) -> None:
    got = cdi.answer("cdi-rules", cdi_vectors.query(record))
    want = record["expect"]
    if record["id"] in UNORDERED:
        got, want = _in_any_order(got), _in_any_order(want)
    assert cdi_vectors.normal(got) == cdi_vectors.normal(want)


LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9))


def test_a_one_letter_vendor_crashes_the_library() -> None:
    with pytest.raises(NamePanic, match="slice bounds out of range"):
        parse_name("v/gpu=0")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("cdiVersion: '0.6.0'\nkind: a.b/c\ndevices: x\n", "cannot unmarshal string into Go struct field Spec.devices"),
        ("kind: [1]\n", "cannot unmarshal array into Go struct field Spec.kind of type string"),
        ("[]", "cannot unmarshal array into Go value of type specs.Spec"),
        ("devices: [{name: a, containerEdits: {env: 1}}]\n", "field ContainerEdits.devices.containerEdits.env of type"),
        ("a: 1\nb: [\n", "yaml: line 2: did not find expected node content"),
        ("a: b: c\n", "mapping values are not allowed in this context"),
        ("kind: &a [*a]\n", "yaml: anchor 'a' value contains itself"),
        (LAUGHS, "yaml: document contains excessive aliasing"),
    ],
)
def test_a_broken_spec_is_told_in_the_words_of_the_library(text: str, error: str) -> None:
    with pytest.raises(ToolFailure) as e:
        parse_spec(text)
    assert error in e.value.text


def test_numbers_and_booleans_become_text_where_text_is_wanted() -> None:
    spec = parse_spec("cdiVersion: 0.6\nkind: yes\ndevices:\n- name: 010\n  containerEdits: {env: [A=1]}\n")
    assert spec is not None
    assert (spec.version, spec.kind, spec.devices[0].name) == ("0.6", "true", "8")


def test_only_the_first_document_counts() -> None:
    spec = parse_spec("---\nkind: a.b/c\n---\nkind: d.e/f\n")
    assert spec is not None and spec.kind == "a.b/c"


def test_a_spec_directory_that_is_a_symlink_is_not_entered() -> None:
    file = File(2, ("t", 1), FileFacts(text="{}"))
    tree = MemoryTree("host", {"/run/cdi/a.json": file, "/etc/cdi": Symlink("/run/cdi"), "/var/run": Symlink("/run")})
    assert spec_files(tree, ("/etc/cdi",)) == {}
    assert spec_files(tree, ("/var/run/cdi",)) == {"/var/run/cdi/a.json": "{}"}


names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9_.:-]{0,6}[A-Za-z0-9])?", fullmatch=True)
paths = st.from_regex(r"(/[A-Za-z0-9._-]{1,6}){1,3}", fullmatch=True)
words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12)
variables = st.builds(lambda k, v: f"{k}={v}", st.from_regex(r"[A-Z]{1,4}", fullmatch=True), words)
nodes = st.builds(
    CdiNode,
    paths,
    st.just("") | paths,
    st.sampled_from(["", "c", "b", "p"]),
    st.integers(0, 300),
    st.integers(0, 300),
    st.none() | st.integers(0, 0o777),
    st.sampled_from(["", "r", "rwm"]),
    st.none(),
    st.none() | st.integers(0, 99),
)
mounts = st.builds(CdiMount, paths, paths, st.tuples() | st.just(("ro", "rbind")), st.sampled_from(["", "bind"]))
hooks = st.builds(
    CdiHook,
    st.sampled_from(["createContainer", "prestart", "poststop"]),
    paths,
    st.lists(words, max_size=3).map(tuple),
    st.lists(variables, max_size=2).map(tuple),
    st.none() | st.integers(0, 9),
)
edits = st.builds(
    Edits,
    env=st.lists(variables, min_size=1, max_size=3).map(tuple),
    nodes=st.lists(nodes, max_size=2).map(tuple),
    hooks=st.lists(hooks, max_size=2).map(tuple),
    mounts=st.lists(mounts, max_size=2).map(tuple),
    gids=st.lists(st.integers(0, 99), max_size=2).map(tuple),
)
specs = st.builds(
    lambda devices, common: with_minimum_version(CdiSpec("", "vendor.com/class", tuple(devices), common)),
    st.lists(st.builds(CdiDevice, names, edits), min_size=1, max_size=3, unique_by=lambda d: d.name),
    edits | st.just(Edits()),
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # drawing whole specs takes long on a busy machine
@given(specs)
def test_a_spec_survives_json_and_yaml(spec: CdiSpec) -> None:
    assert parse_spec(dump_json(spec)) == spec
    assert parse_spec(dump_yaml(spec)) == spec
    assert spec_from_json(spec_to_json(spec)) == spec


@settings(suppress_health_check=[HealthCheck.too_slow])  # drawing whole specs takes long on a busy machine
@given(specs)
def test_a_spec_with_its_minimum_version_is_valid_and_any_lower_is_not(spec: CdiSpec) -> None:
    assert spec_error(spec) is None
    lower = {"1.1.0": "1.0.0", "0.7.0": "0.6.0", "0.6.0": "0.5.0", "0.5.0": "0.4.0", "0.4.0": "0.3.0", "0.3.0": "0.2.0"}
    worse = CdiSpec(lower[minimum_version(spec)], spec.kind, spec.devices, spec.edits)
    assert spec_error(worse) == f"the spec version must be at least v{minimum_version(spec)}"


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(specs, st.data())
def test_injecting_devices_adds_what_the_spec_says(spec: CdiSpec, data: st.DataObject) -> None:
    registry = load_registry({"/etc/cdi/s.json": dump_json(spec)}, ("/etc/cdi",))
    device = data.draw(st.sampled_from(spec.devices))
    numbered = all(n.type and (n.major or n.type == "p") for n in (*device.edits.nodes, *spec.edits.nodes))
    config: dict[str, Any] = {"process": {"env": ["PATH=/bin"]}}
    before = json.dumps(config)
    try:
        out = inject_devices(config, registry, [f"vendor.com/class={device.name}"], NOWHERE)
    except ToolFailure as e:
        assert not numbered and "failed to stat CDI host device" in e.text
        return
    assert json.dumps(config) == before
    assert out["process"]["env"][0] == "PATH=/bin"
    assert {e.partition("=")[0] for e in device.edits.env} <= {e.partition("=")[0] for e in out["process"]["env"]}
    depths = [clean_path(m["destination"]).count("/") for m in out.get("mounts", ())]
    assert depths == sorted(depths)
    assert {m.container_path for m in device.edits.mounts} <= {m["destination"] for m in out.get("mounts", ())}


@given(edits)
def test_applying_nothing_changes_nothing(edit: Edits) -> None:
    config = {"process": {"env": list(edit.env)}, "mounts": [{"destination": "/b/c"}, {"destination": "/a"}]}
    assert apply_edits(config, Edits(), NOWHERE) == config


@given(st.text(max_size=60))
def test_hostile_text_is_read_or_refused(text: str) -> None:
    try:
        spec = parse_spec(text)
    except ToolFailure:
        return
    if spec is not None:
        try:
            spec_error(spec)
        except NamePanic as e:
            assert "slice bounds" in str(e)
