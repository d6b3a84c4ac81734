"""What nvidia-container-runtime does with a container's config.json: one test for each behaviour, and the laws of every run."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsim.elf.facts import ElfFacts
from nvsim.errors import InputError
from nvsim.inject.generate.driver import Driver
from nvsim.inject.generate.host import CdiHost
from nvsim.inject.log import ToolFailure, ToolLog
from nvsim.inject.runtime import RuntimeRun
from nvsim.queries import tool
from nvsim.queries.toolkit import answer
from nvsim.queries.toolkit_machine import runtime_run
from nvsim.rootfs.node import File, FileFacts
from nvsim.rootfs.resolve import Resolver
from nvsim.rootfs.tree import MemoryTree
from nvsim.toolkit.config import load_config
from nvsim.toolkit.generation import generation_rules
from nvsim.toolkit.go_json import JsonError
from nvsim.toolkit.hook_input import HostFiles
from nvsim.toolkit.oci_spec import decode_spec, encode_spec
from nvsim.toolkit.releases import release_of
from nvsim.toolkit.runtime import RuntimeFailure, RuntimeProcess
from nvsim.toolkit.runtime_log import runtime_log, shown

RELEASES = ("1.10.0", "1.12.1", "1.13.5", "1.14.6", "1.16.2", "1.17.9", "1.18.2", "1.19.1", "1.20.0", "1.20.0+27")
HOOK = "nvidia-container-runtime-hook"
SPECS = {
    "/etc/cdi/nvidia.json": {
        "cdiVersion": "0.5.0",
        "kind": "nvidia.com/gpu",
        "devices": [
            {"name": "0", "containerEdits": {"env": ["DEVICE=0"]}},
            {"name": "all", "containerEdits": {"env": ["DEVICE=all"]}},
        ],
        "containerEdits": {"mounts": [{"hostPath": "/usr/bin/nvidia-smi", "containerPath": "/usr/bin/nvidia-smi"}]},
    }
}


def mode(name: str, more: str = "") -> str:
    return f'[nvidia-container-runtime]\nmode = "{name}"\n{more}'


def spec(*env: str, **more: Any) -> dict[str, Any]:
    process = {"env": list(env), "cwd": "/", "user": {"uid": 0, "gid": 0}}
    return {"ociVersion": "1.0.2", "process": process, "root": {"path": "rootfs"}, **more}


def run(*env: str, release: str = "1.20.0", config: str | None = None, **query: Any) -> RuntimeRun:
    asked = {"spec": spec(*env), "config": config, "cdi_specs": SPECS, **query}
    done = runtime_run(asked, release_of(release))
    assert isinstance(done, RuntimeRun)
    return done


def hooks_of(done: RuntimeRun) -> list[str]:
    assert done.spec is not None
    return [h["path"] for h in (done.spec.get("hooks") or {}).get("prestart") or ()]


# ---- modes


def test_legacy_mode_adds_the_prestart_hook_and_leaves_the_devices_to_it() -> None:
    done = run("NVIDIA_VISIBLE_DEVICES=0", config=mode("legacy"))
    assert (done.exit, done.mode, hooks_of(done)) == (0, "legacy", [f"/usr/bin/{HOOK}"])
    assert done.argv is not None and done.argv[0] == "/usr/bin/runc"


def test_cdi_mode_edits_the_spec_itself_and_takes_the_legacy_hook_out() -> None:
    before = spec("NVIDIA_VISIBLE_DEVICES=0", hooks={"prestart": [{"path": f"/usr/bin/{HOOK}"}]})
    done = run(config=mode("cdi"), spec=before)
    assert done.spec is not None
    assert "DEVICE=0" in done.spec["process"]["env"]
    assert hooks_of(done) == []
    assert [m["destination"] for m in done.spec["mounts"]] == ["/usr/bin/nvidia-smi"]
    assert done.edits


def test_cdi_mode_names_the_devices_that_no_spec_has() -> None:
    done = run("NVIDIA_VISIBLE_DEVICES=7", config=mode("cdi"))
    assert (done.exit, done.spec) == (1, None)
    assert done.error is not None
    assert done.error.endswith("failed to inject CDI devices: unresolvable CDI devices nvidia.com/gpu=7")
    assert ("warning", "could not resolve CDI devices: [nvidia.com/gpu=7]") in done.log


@pytest.mark.parametrize(
    ("release", "named"), [("1.17.9", "nvidia.com/gpu=0/1"), ("1.18.2", "nvidia.com/gpu=nvidia.com/gpu=0/1")]
)
def test_a_mount_that_names_no_cdi_device_was_once_taken_as_it_is(release: str, named: str) -> None:
    mount = {"destination": "/var/run/nvidia-container-devices/cdi/nvidia.com/gpu/0/1", "source": "/dev/null"}
    config = mode("cdi", "[x]\n").replace(
        "[nvidia", "accept-nvidia-visible-devices-as-volume-mounts = true\n[nvidia", 1
    )
    done = run(release=release, config=config, spec=spec(mounts=[mount]))
    assert done.error is not None and done.error.endswith(f"unresolvable CDI devices {named}")


@pytest.mark.parametrize(("release", "changed"), [("1.10.0", True), ("1.11.0", False)])
def test_csv_mode_once_took_the_first_of_two_entries(release: str, changed: bool) -> None:
    disabled = "NVIDIA_DISABLE_REQUIRE=true"
    last_is_void = ("NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_VISIBLE_DEVICES=void", disabled)
    assert bool(run(*last_is_void, release=release, config=mode("csv")).edits) is changed
    first_is_void = ("NVIDIA_VISIBLE_DEVICES=void", "NVIDIA_VISIBLE_DEVICES=all", disabled)
    assert bool(run(*first_is_void, release=release, config=mode("csv")).edits) is not changed


def test_csv_mode_of_1_10_takes_a_bare_name_as_no_request() -> None:
    assert run("NVIDIA_VISIBLE_DEVICES", release="1.10.0", config=mode("csv")).exit == 0
    assert run("NVIDIA_VISIBLE_DEVICES", release="1.11.0", config=mode("csv")).exit == 1


@pytest.mark.parametrize(("bundle", "why"), [("/nope", "no such file or directory"), ("/b\0", "invalid argument")])
def test_a_bundle_that_cannot_be_opened_is_told_with_the_systems_words(bundle: str, why: str) -> None:
    told = answer("hook", {"state": {"pid": 1, "bundle": bundle}, "spec": spec()})
    assert told["stderr"] == f"could not open OCI spec: open {bundle}/config.json: {why}\n"


def test_what_is_told_of_the_devices_comes_before_the_crash_on_a_name_of_one_letter() -> None:
    mount = {"destination": "/var/run/nvidia-container-devices/cdi/a", "source": "/dev/null"}
    config = "accept-nvidia-visible-devices-as-volume-mounts = true\n"
    told = answer("hook", {"config": config, "spec": spec("NVIDIA_VISIBLE_DEVICES=A/b=c", mounts=[mount])})
    text = "Ignoring invalid mount request for CDI device cdi/a: invalid mount CDI device request: cdi/a"
    end = "Auto-detected mode as ''\nruntime error: slice bounds out of range [1:0]\n"
    assert told["stderr"] == f'level=warning msg="{text}"\n' * 2 + end


def test_automatic_devices_on_tegra_were_once_looked_for_in_spec_files() -> None:
    tegra = {"files": {"/etc/nv_tegra_release": ""}}
    old = run("NVIDIA_VISIBLE_DEVICES=runtime.nvidia.com/gpu=0", release="1.16.2", host=tegra)
    assert old.error is not None and old.error.endswith("unresolvable CDI devices runtime.nvidia.com/gpu=0")
    assert run("NVIDIA_VISIBLE_DEVICES=runtime.nvidia.com/gpu=0", release="1.18.2", host=tegra).exit == 0


def test_auto_is_legacy_in_old_releases_and_needs_nvml_in_new_ones() -> None:
    assert run("NVIDIA_VISIBLE_DEVICES=all", release="1.16.2").mode == "legacy"
    done = run("NVIDIA_VISIBLE_DEVICES=all")
    assert (done.exit, done.mode) == (1, "jit-cdi")
    assert done.error is not None and done.error.endswith("failed to initialize NVML: ERROR_LIBRARY_NOT_FOUND")


def test_auto_is_cdi_when_every_device_is_a_cdi_name() -> None:
    assert run("NVIDIA_VISIBLE_DEVICES=nvidia.com/gpu=0").mode == "cdi"


def test_an_unknown_mode_is_refused() -> None:
    done = run(config=mode("fast"))
    assert done.stderr == (
        'level=error msg="failed to create NVIDIA Container Runtime: failed to construct OCI spec modifier: invalid mode '
        '\\"fast\\""\n'
    )


def test_a_binary_that_stands_for_a_mode_wins_over_the_configuration() -> None:
    done = run("NVIDIA_VISIBLE_DEVICES=0", config=mode("cdi"), binary="nvidia-container-runtime.legacy")
    assert done.mode == "legacy"
    assert runtime_run({"binary": "nvidia-container-runtime.cdi"}, release_of("1.12.1")) == (
        "binary not part of this release"
    )


# ---- what the runtime reads


def test_only_create_is_edited() -> None:
    done = run("NVIDIA_VISIBLE_DEVICES=0", config=mode("legacy"), argv=["start", "c1"])
    assert (done.exit, done.argv, done.spec) == (0, ("/usr/bin/runc", "start", "c1"), None)


def test_a_field_that_the_specification_does_not_have_is_an_error_only_in_new_releases() -> None:
    before = spec(novelty=True)
    assert run(config=mode("legacy"), spec=before).error is not None
    allowed = mode("legacy", "[features]\nallow-unknown-oci-spec-fields = true\n")
    for release, config in (("1.20.0", allowed), ("1.18.2", mode("legacy"))):
        done = run(config=config, spec=before, release=release)
        assert done.spec is not None and "novelty" not in done.spec


def test_a_value_of_the_wrong_type_in_config_json_is_told_in_gos_words() -> None:
    done = run(config=mode("legacy"), spec={"ociVersion": 1})
    assert done.error is not None
    assert done.error.endswith("json: cannot unmarshal number into Go struct field Spec.ociVersion of type string")


def test_without_a_low_level_runtime_nothing_happens() -> None:
    done = run(host={"missing": ["/usr/bin/runc"]})
    assert done.error is not None and done.error.endswith("no runtime binary found from candidate list: [runc crun]")
    assert run(host={"missing": ["/usr/bin/runc"]}, argv=["start", "c1"]).exit == 1


def test_the_first_low_level_runtime_of_the_list_that_exists_is_taken() -> None:
    done = run(config=f'{mode("legacy")}runtimes = ["/opt/none", "crun"]\n', host={"executables": ["/usr/bin/crun"]})
    assert done.argv is not None and done.argv[0] == "/usr/bin/crun"


def test_a_relative_entry_of_path_gives_a_relative_hook_but_the_low_level_runtime_is_looked_for_below_the_root() -> (
    None
):
    done = run("NVIDIA_VISIBLE_DEVICES=all", config=mode("legacy"), environ={"PATH": "usr/bin"})
    assert hooks_of(done) == [f"usr/bin/{HOOK}"]
    assert done.argv is not None and done.argv[0] == "/usr/bin/runc"


def test_an_environment_entry_without_an_equals_sign_is_refused() -> None:
    assert run("NVIDIA_VISIBLE_DEVICES", config=mode("legacy")).exit == 1


# ---- the driver


def _driver(release: str, *paths: str) -> Driver:
    facts = FileFacts(elf=ElfFacts())
    host = CdiHost(Resolver(MemoryTree("host", {path: File(4096, ("host", path), facts) for path in paths})))
    return Driver(host, ToolLog(), "/", "/", rules=generation_rules(release_of(release)))


def test_the_driver_version_was_once_told_by_libcuda_alone() -> None:
    management = "/usr/lib64/libnvidia-ml.so.550.90.07"
    with pytest.raises(ToolFailure) as caught:
        _driver("1.18.2", management).version()
    assert caught.value.text == (
        "failed to locate libcuda.so: pattern libcuda.so.*.* not found\nlibcuda.so.*.*: not found"
    )
    assert _driver("1.19.1", management).version() == "550.90.07"


def test_a_driver_in_two_directories_was_once_found_in_the_first_alone() -> None:
    paths = ("/usr/lib64/libcuda.so.550.90.07", "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.550.90.07")
    assert _driver("1.19.1", *paths).library_dirs() == ("/usr/lib64",)
    assert set(_driver("1.20.0", *paths).library_dirs()) == {"/usr/lib64", "/usr/lib/x86_64-linux-gnu"}


# ---- log and version


@pytest.mark.parametrize(("release", "status"), [("1.15.0", 2), ("1.16.2", 0)])
def test_a_log_flag_joined_with_its_value_crashes_older_releases(release: str, status: int) -> None:
    done = run(config=mode("legacy"), argv=["--log=/out/log", "create", "--bundle", "/bundle"], release=release)
    assert done.exit == status


def test_nothing_is_logged_without_a_file_and_the_level_decides_what() -> None:
    quiet = run(config=mode("legacy"), argv=["create", "--bundle", "/bundle"])
    assert shown(quiet.log, quiet.log_level) == ()
    told = run(config=mode("legacy"))
    assert ("info", "Using requested mode 'legacy'") in shown(told.log, told.log_level)
    strict = run(config=mode("legacy", 'log-level = "error"\n'))
    assert shown(strict.log, strict.log_level) == ()
    unknown = run(config=mode("legacy", 'log-level = "loud"\n'))
    assert shown(unknown.log, unknown.log_level)[0] == ("warning", "invalid log-level 'loud'")


def test_a_debug_log_in_a_directory_that_is_not_there_stopped_the_first_releases() -> None:
    process = RuntimeProcess(("nvidia-container-runtime", "create"), {})
    files = HostFiles(lambda _: None, lambda _: False, lambda _: False)
    text = '[nvidia-container-runtime]\ndebug = "/var/log/nvidia/runtime.log"\n'
    old, new = release_of("1.12.1"), release_of("1.13.5")
    with pytest.raises(RuntimeFailure, match="failed to set up logger: error opening debug log file"):
        runtime_log(load_config(text, old), process, files, old)
    assert runtime_log(load_config(text, new), process, files, new) == ("info", ())


def test_version_is_told_and_the_low_level_runtime_asked_too() -> None:
    done = run(argv=["--version"])
    assert done.stdout == "NVIDIA Container Runtime version unknown\nspec: 1.3.0\n\n"
    assert done.argv == ("/usr/bin/runc", "--version")


# ---- queries


def test_the_chain_runs_the_hook_that_the_runtime_put_in() -> None:
    query = {"spec": spec("NVIDIA_VISIBLE_DEVICES=0"), "config": mode("legacy"), "host": {"nvml": "dgpu"}}
    (hook,) = answer("chain", query)["hook_runs"]
    assert hook["exit"] == 0
    assert "--device=0" in hook["argv"]


@pytest.mark.parametrize(
    "query",
    [{"argv": []}, {"argv": "create"}, {"argv": ["r", "create"], "cdi_files": []}, {"argv": ["r"], "toolkit": "new"}],
)
def test_a_bad_query_is_told_in_a_line(query: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        tool.answer("tool", {"program": "nvidia-container-runtime", "host": {"tree": {}}, **query})


# ---- laws

environments = st.lists(
    st.sampled_from(
        [
            "NVIDIA_VISIBLE_DEVICES=0",
            "NVIDIA_VISIBLE_DEVICES=all",
            "NVIDIA_VISIBLE_DEVICES=void",
            "NVIDIA_VISIBLE_DEVICES=nvidia.com/gpu=0",
            "NVIDIA_DRIVER_CAPABILITIES=compute",
            "CUDA_VERSION=12.4",
            "NVIDIA_GDS=enabled",
            "PATH=/bin",
            "broken",
        ]
    ),
    max_size=4,
)
configs = st.sampled_from([None, *(mode(m) for m in ("legacy", "cdi", "auto", "jit-cdi", "csv", "other"))])
hook_lists = st.lists(
    st.sampled_from(
        [{"path": f"/usr/bin/{HOOK}"}, {"path": "/usr/bin/other"}, {"path": "/x/nvidia-container-toolkit"}]
    ),
    max_size=3,
)


@given(st.sampled_from(RELEASES), environments, configs, hook_lists)
def test_a_run_ends_in_one_way(release: str, env: list[str], config: str | None, hooks: list[Any]) -> None:
    done = run(release=release, config=config, spec=spec(*env, hooks={"prestart": hooks}))
    assert (done.exit == 0) == (done.argv is not None)
    assert (done.exit == 0) == (done.stderr == "")
    if done.exit:
        assert done.spec is None


@given(st.sampled_from(RELEASES), environments, st.sampled_from(["legacy", "cdi"]), hook_lists)
def test_what_the_runtime_wrote_it_leaves_alone(release: str, env: list[str], name: str, hooks: list[Any]) -> None:
    """Up to what a CDI device adds anew each time: variables and mounts."""
    first = run(release=release, config=mode(name), spec=spec(*env, hooks={"prestart": hooks}))
    if first.spec is None:
        return
    second = run(release=release, config=mode(name), spec=first.spec)
    assert second.spec is not None
    assert hooks_of(second) == hooks_of(first)
    if name == "legacy":
        assert second.spec == first.spec
        assert any(path.endswith((HOOK, "nvidia-container-toolkit")) for path in hooks_of(first))


@given(st.sampled_from(RELEASES), environments)
def test_legacy_mode_never_adds_a_second_hook(release: str, env: list[str]) -> None:
    done = run(release=release, config=mode("legacy"), spec=spec(*env, hooks={"prestart": [{"path": f"/opt/{HOOK}"}]}))
    if done.spec is not None:
        assert hooks_of(done) == [f"/opt/{HOOK}"]


texts = st.sampled_from(["", "x", "/bin/sh", "NVIDIA_VISIBLE_DEVICES=0"])
lists = st.none() | st.lists(texts, max_size=2)
numbers = st.integers(0, 3)
anything = st.recursive(texts | numbers | st.none(), lambda inner: st.lists(inner) | st.dictionaries(texts, inner))
nodes = st.fixed_dictionaries(
    {}, optional={"path": texts, "type": texts, "major": numbers, "fileMode": numbers | st.none()}
)
documents: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "ociVersion": texts,
        "process": st.none()
        | st.fixed_dictionaries(
            {},
            optional={
                "env": lists,
                "args": lists,
                "cwd": texts,
                "user": st.fixed_dictionaries(
                    {}, optional={"uid": numbers, "additionalGids": st.lists(numbers, max_size=2)}
                ),
                "capabilities": st.none() | st.fixed_dictionaries({"bounding": lists}),
                "rlimits": st.lists(st.fixed_dictionaries({}, optional={"type": texts, "soft": numbers}), max_size=1),
            },
        ),
        "root": st.none() | st.fixed_dictionaries({}, optional={"path": texts, "readonly": st.booleans()}),
        "mounts": st.none()
        | st.lists(st.fixed_dictionaries({}, optional={"source": texts, "options": lists}), max_size=2),
        "annotations": st.none() | st.dictionaries(texts, texts, max_size=2),
        "hooks": st.none() | st.fixed_dictionaries({}, optional={"prestart": hook_lists, "poststop": st.none()}),
        "linux": st.none()
        | st.fixed_dictionaries(
            {},
            optional={
                "devices": st.none() | st.lists(nodes, max_size=2),
                "resources": st.none() | st.fixed_dictionaries({}, optional={"memory": st.just({}), "pids": st.none()}),
                "sysctl": st.none() | st.dictionaries(texts, texts, max_size=1),
            },
        ),
        "hostname": texts | anything,
        "novelty": anything,
    },
)


@given(st.sampled_from(RELEASES), documents, st.booleans())
def test_writing_a_spec_again_changes_nothing(release: str, document: dict[str, Any], strict: bool) -> None:
    version = release_of(release).version
    try:
        written = encode_spec(decode_spec(json.dumps(document), version, strict=strict), version)
    except JsonError as e:
        assert str(e).startswith("json: ")
        return
    again = encode_spec(decode_spec(json.dumps(written), version, strict=True), version)
    assert again == written
