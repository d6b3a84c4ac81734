"""Laws of the request layer that hold for every container, configuration and release."""

from __future__ import annotations

import json
import posixpath
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nvsim.toolkit.capabilities import KNOWN, grant
from nvsim.toolkit.config_schema import ToolkitConfig, all_keys
from nvsim.toolkit.devices import env_list
from nvsim.toolkit.go_json import STRING, JsonError, ListOf, MapOf, Struct, decode
from nvsim.toolkit.go_strings import clean, items_of
from nvsim.toolkit.hook import run_hook
from nvsim.toolkit.hook_input import CONFIG_FILE, HostFiles
from nvsim.toolkit.image import ImageView
from nvsim.toolkit.mode import Platform
from nvsim.toolkit.releases import release_of
from nvsim.toolkit.request import ContainerRequest
from nvsim.toolkit.resolve import resolve_request

RELEASES = ("1.3.0", "1.10.0", "1.12.1", "1.13.5", "1.14.0", "1.14.6", "1.15.0", "1.16.2", "1.17.0", "1.17.3", "1.17.6")
RELEASES += ("1.17.9", "1.18.2", "1.19.1", "1.20.0", "1.20.0+27")
VALUES = {
    "NVIDIA_VISIBLE_DEVICES": ("all", "none", "void", "", "0", "0,1,0", " 1 , all", "nvidia.com/gpu=0", "a/b=c", "x=y"),
    "NVIDIA_DRIVER_CAPABILITIES": ("all", "", "compute", "utility, video", "compute,compute", "opengl", "graphics,all"),
    "CUDA_VERSION": ("", "12.4.1", "latest", "9.2"),
    "NVIDIA_REQUIRE_CUDA": ("", "cuda>=12.4"),
    "NVIDIA_REQUIRE_DRIVER": ("driver>=535",),
    "NVIDIA_DISABLE_REQUIRE": ("true", "yes"),
    "NVIDIA_IMEX_CHANNELS": ("all", "0,1", ""),
    "NVIDIA_MIG_CONFIG_DEVICES": ("all", ""),
    "NVIDIA_GDS": ("enabled", "1"),
    "SWARM": ("1", "", "none"),
    "PATH": ("/bin",),
}
CONFIGS = (
    None,
    "",
    "accept-nvidia-visible-devices-envvar-when-unprivileged = false\n",
    "accept-nvidia-visible-devices-as-volume-mounts = true\n",
    'swarm-resource = "SWARM"\n',
    'supported-driver-capabilities = "compute,utility"\n',
    "disable-require = true\n",
    '[nvidia-container-runtime]\nmode = "legacy"\n',
    '[nvidia-container-runtime]\nmode = "cdi"\n[nvidia-container-cli]\nno-cgroups = true\nenvironment = ["A=1"]\n',
    "[features]\nignore-imex-channel-requests = true\n",
)
ROOT = "/var/run/nvidia-container-devices"
MOUNTS = (("/dev/null", f"{ROOT}/0"), ("/dev/null", f"{ROOT}/imex/1"), ("/dev/null", f"{ROOT}/cdi/nvidia.com/gpu/0"))
ANNOTATIONS = ({}, {"cdi.k8s.io/gpu": "nvidia.com/gpu=0"}, {"cdi.k8s.io/gpu": "0, 1"}, {"other": "x"})

releases = st.sampled_from(RELEASES)
entries = st.sampled_from([f"{name}={value}" for name, values in VALUES.items() for value in values])
environments = st.lists(entries, max_size=8).map(tuple)
platforms = st.fixed_dictionaries(
    {"nvml": st.booleans(), "dxcore": st.booleans(), "tegra": st.booleans()}
    | {"gpu_names": st.sampled_from([(), ("NVIDIA A100",), ("Orin (nvgpu)",), ("NVIDIA Thor", "NVIDIA A100")])}
)
containers = st.fixed_dictionaries(
    {
        "env": environments,
        "config_toml": st.sampled_from(CONFIGS),
        "toolkit_version": releases,
        "bounding": st.sampled_from([(), ("CAP_SYS_ADMIN",), ("CAP_KILL",)]),
        "mounts": st.lists(st.sampled_from(MOUNTS), max_size=3, unique=True),
    }
)
annotations = st.sampled_from(ANNOTATIONS)
callers = st.sampled_from(("hook", "runtime"))


def config_keys(section: Any, path: str = "") -> set[str]:
    names = set()
    for attribute, key in all_keys(type(section)):
        value = getattr(section, attribute)
        is_table = hasattr(type(value), "__attrs_attrs__")
        names |= config_keys(value, f"{path}{key.name}.") if is_table else {f"{path}{key.name}"}
    return names


CONFIG_KEYS = config_keys(ToolkitConfig())


@given(st.permutations(KNOWN), st.integers(1, 7), st.integers(1, 7), st.integers(1, 7), releases)
def test_more_capabilities_never_grant_fewer(order: list[str], few: int, more: int, bound: int, version: str) -> None:
    few, more, bound = sorted((few, more, bound))
    supported = ",".join(order[:bound])
    a, b = (
        grant({"NVIDIA_DRIVER_CAPABILITIES": ",".join(order[:n])}, supported, False, release_of(version))
        for n in (few, more)
    )
    assert a.refused is None and b.refused is None
    assert set(a.words) <= set(b.words) == set(order[:more])


@given(containers, callers, platforms, annotations)
def test_only_the_last_entry_of_a_variable_counts(
    container: dict[str, Any], caller: Any, platform: dict[str, Any], notes: dict[str, str]
) -> None:
    last = {e.partition("=")[0]: e for e in container["env"]}
    once = {**container, "env": tuple(last.values())}
    more: dict[str, Any] = {"caller": caller, "annotations": notes, **platform}
    assert resolve_request(**container, **more) == resolve_request(**once, **more)


@given(containers, callers, platforms, annotations)
def test_every_reason_names_an_input(
    container: dict[str, Any], caller: Any, platform: dict[str, Any], notes: dict[str, str]
) -> None:
    request = resolve_request(**container, caller=caller, annotations=notes, **platform)
    assert request.because
    refusal = request.refused.because if request.refused else ()
    for because in (*(b for _, b in request.because), *refusal):
        kind, _, name = because.input.partition(" ")
        assert because.text
        if kind == "env":
            assert all(n in VALUES or n == "NVIDIA_REQUIRE_*" for n in name.split(", "))
        elif kind == "config.toml":
            assert name in CONFIG_KEYS
        elif kind == "annotation":
            assert any(key.startswith(name) for key in notes)
        elif kind == "mount":
            assert container["mounts"]
        else:
            assert because.input in ("toolkit release", "host GPUs", "host libdxcore.so", "host /etc/nv_tegra_release")


@given(containers, callers, platforms)
def test_a_container_without_a_request_is_left_alone_and_one_with_a_request_is_not(
    container: dict[str, Any], caller: Any, platform: dict[str, Any]
) -> None:
    request = resolve_request(**container, caller=caller, **platform)
    injects = request.route != "none" and request.refused is None
    assert injects == (request.devices is not None and request.refused is None)
    assert bool(request.cli_args) == (request.route == "legacy")


@given(containers, platforms)
def test_a_whole_run_and_the_hook_as_a_program_agree(container: dict[str, Any], platform: dict[str, Any]) -> None:
    request = resolve_request(caller="hook", **container, **platform)
    spec = {
        "ociVersion": "1.0.2",
        "process": {"env": container["env"], "capabilities": {"bounding": container["bounding"]}},
        "mounts": [{"source": s, "destination": d} for s, d in container["mounts"]],
        "root": {"path": "/r"},
    }
    texts = {"/b/config.json": json.dumps(spec)}
    if container["config_toml"] is not None:
        texts[CONFIG_FILE] = container["config_toml"]
    run = run_hook(
        ["prestart"],
        state='{"bundle": "/b"}',
        environ={"PATH": "/usr/bin"},
        files=HostFiles(texts.get, texts.__contains__, lambda path: path == "/usr/bin/nvidia-container-cli"),
        platform=Platform(**platform),
        release=release_of(container["toolkit_version"]),
    )
    assert run.argv is None or run.argv[1:-2] == request.cli_args
    assert (run.argv is not None) == (request.route == "legacy")
    assert (request.refused.stderr if request.refused else None) == (run.stderr if run.exit else None)
    assert run.exit == (request.refused.exit if request.refused else 0)


@given(st.lists(st.sampled_from(["0", "1", "GPU-x", " 0 ", "", "a=b"]), max_size=6), st.sampled_from(RELEASES[2:]))
def test_no_requested_id_is_lost_and_none_is_added(items: list[str], version: str) -> None:
    view = ImageView({"NVIDIA_VISIBLE_DEVICES": ",".join(items)})
    found = env_list(view, ("NVIDIA_VISIBLE_DEVICES",), release_of(version)).ids or ()
    wanted = items_of(",".join(items))
    assert {i for i in found if i} == set(wanted)
    assert len(found) == len(wanted)


@given(containers, callers)
def test_the_same_question_has_the_same_answer(container: dict[str, Any], caller: Any) -> None:
    answers: list[ContainerRequest] = [resolve_request(**container, caller=caller) for _ in range(2)]
    assert answers[0] == answers[1] and repr(answers[0]) == repr(answers[1])


@given(st.text(st.sampled_from("ab./"), max_size=12))
def test_clean_paths_are_clean_and_mean_the_same(path: str) -> None:
    assert clean(clean(path)) == clean(path)
    assert clean(path).replace("//", "/") == posixpath.normpath(path).replace("//", "/")


@given(st.dictionaries(st.text(max_size=4), st.text(max_size=6), max_size=4), st.text(max_size=3))
def test_json_that_fits_the_type_is_read_as_it_is(entries_: dict[str, str], tail: str) -> None:
    assert decode(json.dumps(entries_) + tail, MapOf(STRING)) == entries_


@given(st.text(st.sampled_from('{}[],:"\\ntrue0.-e1 x\u00e9\n'), max_size=14))
def test_any_text_is_json_or_one_of_gos_messages(text: str) -> None:
    target = Struct("main.T", {"a": ListOf(STRING), "b": STRING})
    try:
        decode(text, target)
    except JsonError as e:
        message = str(e)
        assert message in ("EOF", "unexpected EOF") or message.startswith(("invalid character '", "json: cannot"))
    else:
        assert text.strip()
