"""Each failure that files can show has its finding, read off the result, and its fixes are what a second simulation says of them."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

import nvsim
import nvsim.diagnosis
from nvsim.diagnosis.catalogue import CATALOGUE
from nvsim.diagnosis.explain import with_changes, works
from nvsim.diagnosis.model import Proposal
from nvsim.diagnosis.topics import TOPICS, look_up
from nvsim.errors import InputError
from nvsim.host.datadir import data_dir
from nvsim.host.read import host_to_json
from nvsim.image.example import read_example
from nvsim.scenario.changes import SetEnv
from nvsim.scenario.changes_host import UseDevice, UseRuntime

HOST = "debian12-535"
ALL = ["NVIDIA_VISIBLE_DEVICES=all"]
LIB = "/usr/lib/x86_64-linux-gnu"
LOADER = "/lib64/ld-linux-x86-64.so.2"


def elf(*needed: str, size: int = 4096, **more: Any) -> dict[str, Any]:
    return {"type": "file", "size": size, "elf": {"needed": list(needed), **more}}


def link(target: str) -> dict[str, Any]:
    return {"type": "symlink", "target": target}


@cache
def example(name: str) -> dict[str, Any]:
    return read_example(name, data_dir())


def image(extra: dict[str, Any] | None = None, env: tuple[str, ...] = (), base: str = "debian12") -> nvsim.Image:
    """A shipped example with other files and variables on top."""
    document = example(base)
    config = dict(document["config"])
    config["Env"] = [*config.get("Env", []), *env]
    return nvsim.load_image({"tree": {**document["tree"], **(extra or {})}, "config": config, "name": base})


def host(name: str = HOST, **driver: Any) -> nvsim.HostProfile:
    loaded = nvsim.load_host(name)
    return evolve(loaded, driver=evolve(loaded.driver, **driver))


def codes(diagnosis: nvsim.Diagnosis, *severities: str) -> list[str]:
    return [f.code for f in diagnosis.findings if not severities or f.severity in severities]


def program(*needed: str, **more: Any) -> dict[str, Any]:
    behaviour = more.pop("behaviour", None)
    entry = elf(*needed, "libc.so.6", interp=LOADER, **more)
    return {**entry, "behaviour": behaviour} if behaviour else entry


def files_of(name: str, drop: tuple[str, ...] = ()) -> nvsim.HostProfile:
    """A shipped host without some of its files; its ld.so.cache stays as it was."""
    profile = host_to_json(nvsim.load_host(name))
    return nvsim.load_host({**profile, "tree": {p: e for p, e in profile["tree"].items() if p not in drop}})


def spec(host_path: str, hook: str) -> dict[str, str]:
    """A CDI specification with one mount and one hook."""
    edits = {
        "mounts": [{"hostPath": host_path, "containerPath": "/usr/lib64/libcuda.so.1", "options": ["ro", "bind"]}],
        "hooks": [
            {
                "hookName": "createContainer",
                "path": hook,
                "args": ["nvidia-cdi-hook", "update-ldcache", "--folder", "/usr/lib64"],
            }
        ],
    }
    devices = [{"name": "all", "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia0"}]}}]
    document = {"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": devices, "containerEdits": edits}
    return {"name": "/etc/cdi/nvidia.json", "text": json.dumps(document)}


CDI = {"device": ["nvidia.com/gpu=all"]}
CUDA = f"{LIB}/nvidia/current/libcuda.so.535.309.01"
HOOK = "/usr/bin/nvidia-cdi-hook"
GPUS = {"gpus": "all"}
RUNC = {"runtime": "runc"}
CASES: dict[str, tuple[Any, ...]] = {
    # code: host, image, command, options, what the first fix says (None = no fix is proposed)
    "NVS101": (host(), image(), None, {**GPUS, "dlopen": ["libnvcuvid.so.1"]}, "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video"),
    "NVS102": (host(), image(), None, {"runtime": "nvidia"}, "NVIDIA_VISIBLE_DEVICES=all"),
    "NVS103": (host(), image(), None, {**RUNC, "env": ALL}, "--runtime=nvidia"),
    "NVS105": (host(), image(), None, {"runtime": "nvidia", "env": [*ALL, "NVIDIA_REQUIRE_CUDA=cuda>=13.0"]}, "NVIDIA_DISABLE_REQUIRE=1"),
    "NVS106": (host("bottlerocket-535"), image(), None, {"env": ALL}, "accept-nvidia-visible-devices-envvar-when-unprivileged=true"),
    "NVS107": (host(), image(), None, {"gpus": "device=GPU-none"}, "--gpus all"),
    "NVS108": (host("nixos-550"), image(), None, GPUS, "--device nvidia.com/gpu=all"),
    "NVS109": (host(), image(), None, {**RUNC, **GPUS, "config_set": ["nvidia-container-runtime.mode=cdi"]}, "--runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=all"),
    "NVS114": (host("gke-cos-535"), image(), None, {"runtime": "nvidia"}, "in the pod's spec, without runtimeClassName"),
    "NVS115": (host("aks-ubuntu2204-550"), image(), None, CDI, None),
    "NVS111": (host("rhel9-550"), image(base="cuda-12.2-base-ubuntu2204"), None, {"runtime": "nvidia"}, "NVIDIA_VISIBLE_DEVICES=0"),
    "NVS202": (files_of(HOST, ("/etc/ld.so.cache",)), image(), None, GPUS, None),
    "NVS208": (host(), image(), None, {**RUNC, "gpus": "all,capabilities=graphics"}, None),
    "NVS210": (files_of(HOST, (f"{LIB}/libnvidia-tls.so.535.309.01",)), image(), None, GPUS, None),
    "NVS212": (host(), image(), None, {**CDI, "cdi_spec": [spec("/usr/lib/libcuda.so.old", HOOK)]}, "nvidia-ctk cdi generate --output=/etc/cdi/nvidia.json"),
    "NVS213": (host(), image(), None, {**CDI, "cdi_spec": [spec(CUDA, "/nope/nvidia-cdi-hook")]}, None),
    "NVS215": (files_of(HOST, ("/dev/nvidia-modeset",)), image(), None, {"gpus": "all,capabilities=display", "toolkit_version": "1.10.0"}, None),
    "NVS206": (host(), image(base="distroless-base"), None, {**GPUS, "toolkit_version": "1.10.0", "config": '[nvidia-container-cli]\nldconfig = "/sbin/ldconfig"\n'}, None),
    "NVS408": (host("eks-al2-535"), image({"/nix/store/x-env/lib/python3.11/site-packages/triton/x.py": elf()}, (), "nix-torch"), None, {"env": ALL}, "TRITON_LIBCUDA_PATH=/usr/lib64"),
    "NVS405": (host(), image(base="distroless-base"), None, {**GPUS, "toolkit_version": "1.10.0", "config": '[nvidia-container-cli]\nldconfig = "/sbin/ldconfig"\n'}, "ln -s libcuda.so.535.309.01"),
    "NVS110": (host(), image(), None, {"runtime": "nvidia", "env": [*ALL, "NVIDIA_DRIVER_CAPABILITIES=computer"]}, "NVIDIA_DRIVER_CAPABILITIES=all"),
    "NVS113": (host(), image(), None, {"device": ["nvidia.com/gpu=all"]}, "nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"),
    "NVS201": (host("gpu-operator-ubuntu2204-535"), image(), None, {**GPUS, "config": ""}, "nvidia-container-cli.root=/run/nvidia/driver"),
    "NVS203": (host(kernel_module="535.274.02"), image(), None, GPUS, None),
    "NVS204": (host(), image({f"{LIB}/libnvidia-ml.so.535.309.01": link("x")}), None, {**GPUS, "toolkit_version": "1.12.0"}, f"RUN rm {LIB}/libnvidia-ml.so.535.309.01"),
    "NVS205": (host(), image(), None, {**GPUS, "config": '[nvidia-container-cli]\nldconfig = "@/sbin/nope"\n'}, "nvidia-container-cli.ldconfig=@/sbin/ldconfig"),
    "NVS219": (host(kernel_module=None), image(), None, GPUS, None),
    "NVS301": (host("eks-al2-535"), image(base="nix-torch"), None, {"env": ALL}, "/lib64/ld-linux-x86-64.so.2"),
    "NVS302": (host(), image(), ["nvidia-smi"], {"gpus": "all,capabilities=compute"}, "capabilities=compute,utility"),
    "NVS303": (host(), image(), ["/nope"], RUNC, None),
    "NVS304": (host(), image({"/x": {"type": "file", "size": 5, "mode": "0644", "text": "hello"}}), ["/x"], RUNC, None),
    "NVS305": (host(), image({"/x": elf(machine="aarch64")}), ["/x"], RUNC, None),
    "NVS307": (host(), image({"/x": {"type": "file", "size": 20, "text": "#!/bin/zsh\n"}}), ["/x"], RUNC, None),
    "NVS401": (host("eks-al2-535"), image(base="nix-torch"), None, {"env": ALL}, "LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu:/usr/lib64"),
    "NVS402": (host(), image(), None, {**GPUS, "dlopen": ["libnowhere.so.1"]}, None),
    "NVS403": (host(), image({"/usr/local/lib/libcuda.so.1": {"type": "file", "size": 0, "text": ""}}, ("LD_LIBRARY_PATH=/usr/local/lib",)), None, GPUS, "RUN rm /usr/local/lib/libcuda.so.1"),
    "NVS404": (host(), image({"/usr/local/lib/libcuda.so.1": elf(machine="i386", **{"class": 32})}, ("LD_LIBRARY_PATH=/usr/local/lib",)), None, RUNC, None),
    "NVS407": (host(), image({"/x": program("liba.so"), f"{LIB}/liba.so": elf("libXext.so.6")}), ["/x"], RUNC, None),
    "NVS501": (host(), image({"/x": program(verneed={"libc.so.6": ["GLIBC_2.99"]})}), ["/x"], RUNC, None),
    "NVS503": (host(), image({"/x": program(isa_needed=8)}), ["/x"], {**RUNC, "cpu": "x86-64"}, None),
    "NVS505": (host(), image({"/usr/lib64/libc.so.6": elf(verdef=["GLIBC_2.2.5"], soname="libc.so.6")}, ("LD_LIBRARY_PATH=/usr/lib64",), "nix-torch"), None, RUNC, "remove ENV LD_LIBRARY_PATH"),
    "NVS506": (
        host(),
        image(
            {
                "/x": program("liba.so", runpath="/pip"),
                "/pip/liba.so": elf("libjit.so", runpath="/pip", verneed={"libjit.so": ["JIT_2"]}),
                "/pip/libjit.so": elf(soname="libjit.so", verdef=["JIT_2"]),
                "/cuda/libjit.so": elf(soname="libjit.so", verdef=["JIT_1"]),
            },
            ("LD_LIBRARY_PATH=/cuda",),
        ),
        ["/x"],
        RUNC,
        "remove ENV LD_LIBRARY_PATH",
    ),
    "NVS604": (host(), image({f"{LIB}/libnvidia-ml.so.565.57.01": elf("libc.so.6", soname="libnvidia-ml.so.1")}), ["nvidia-smi"], GPUS, f"RUN rm {LIB}/libnvidia-ml.so.565.57.01"),
    "NVS606": (host(), image({"/stubs/libcuda.so.1": elf("libc.so.6", soname="libcuda.so.1", size=40000)}, ("LD_LIBRARY_PATH=/stubs",)), None, GPUS, "remove ENV LD_LIBRARY_PATH"),
    "NVS607": (host(), image({f"{LIB}/libcudart.so.99": elf("libc.so.6", soname="libcudart.so.99"), "/x": program("libcudart.so.99", behaviour={"dlopen": [{"name": "libcuda.so.1"}]})}), ["/x"], GPUS, None),
    "NVS609": (host(), image(), None, {"runtime": "nvidia", "env": ["NVIDIA_VISIBLE_DEVICES=none"]}, None),
    "NVS112": (host(), image({"/usr/local/cuda-12.2/lib64/libcudart.so.12.2.140": elf("libc.so.6")}), None, {"runtime": "nvidia"}, None),
    "NVS901": (host(), image(), None, {**GPUS, "env": ["LD_AUDIT=/x"]}, None),
}  # fmt: skip


@pytest.mark.parametrize("code", sorted(CASES))
def test_a_failure_has_its_finding_and_verified_fix(code: str) -> None:
    at, of, command, options, fix = CASES[code]
    scenario = nvsim.new_scenario(at, of, command, **options)
    diagnosis = nvsim.diagnose(scenario)
    found = next((f for f in diagnosis.findings if f.code == code), None)
    assert found is not None, codes(diagnosis)
    assert found.slug == CATALOGUE[code].slug
    assert "\n" not in found.message
    if fix is None:
        return
    assert found.fixes and fix in found.fixes[0].change.how(), [p.change.how() for p in found.fixes]
    assert found.fixes[0].verified
    if not found.after:
        again = nvsim.diagnose(with_changes(scenario, (found.fixes[0].change,)))
        assert (code, found.subject) not in [(f.code, f.subject) for f in again.findings if not f.after]


def test_a_cache_that_the_hook_made_leads_to_the_wrong_libc() -> None:
    """The host's ldconfig does not scan the image's /lib64; the only libc of the new cache is one that a conf file names."""
    facts = {"libc": "glibc", "version": "2.34", "system_dirs": ["/lib64"], "lib_token": "lib64"}
    tree = {
        LOADER: {**elf(soname="ld-linux-x86-64.so.2"), "loader": facts},
        "/lib64/libc.so.6": elf(soname="libc.so.6", verdef=["GLIBC_2.2.5", "GLIBC_2.34"]),
        "/opt/old/libc.so.6": elf(soname="libc.so.6", verdef=["GLIBC_2.2.5"]),
        "/etc/ld.so.conf": {"type": "file", "size": 9, "text": "/opt/old\n"},
        "/app": program(verneed={"libc.so.6": ["GLIBC_2.34"]}),
    }
    other = nvsim.load_image({"tree": tree, "config": {"Cmd": ["/app"]}})
    assert nvsim.simulate(nvsim.new_scenario(HOST, other, runtime="runc")).verdict == "ok"
    found = nvsim.diagnose(nvsim.new_scenario(HOST, other, gpus="all")).findings[0]
    assert found.code == "NVS209"
    assert "libc is /opt/old/libc.so.6" in " ".join(found.evidence)


def test_a_socket_in_the_image_stands_in_the_way() -> None:
    other = image({"/run/nvidia-persistenced/socket": {"type": "socket"}})
    found = nvsim.diagnose(nvsim.new_scenario(HOST, other, gpus="all")).findings[0]
    assert (found.code, found.fixes[0].change.how()) == ("NVS204", "RUN rm /run/nvidia-persistenced/socket")
    assert found.fixes[0].verified


def test_a_link_that_leads_nowhere_is_named() -> None:
    other = image({"/run": {"type": "symlink", "target": "var/run"}})
    scenario = nvsim.new_scenario(HOST, other, gpus="all", toolkit_version="1.12.0")
    found = nvsim.diagnose(scenario).findings[0]
    assert found.code == "NVS204"
    assert found.evidence == ("the image's symlink /run -> var/run leads nowhere",)


def test_the_capability_of_the_64_bit_library_is_named() -> None:
    """The host has a 32-bit file of the same name, which belongs to another capability."""
    diagnosis = nvsim.diagnose(
        nvsim.new_scenario(HOST, "example:debian12", gpus="all,capabilities=graphics", runtime="runc")
    )
    found = diagnosis.findings[0]
    assert found.code == "NVS101" and "capability compute" in found.message
    assert found.fixes[0].change.how() == """docker run --gpus 'all,"capabilities=compute,graphics"' ..."""


def test_a_driver_directory_without_a_cache_needs_both_variables() -> None:
    fix = nvsim.find_fix(nvsim.new_scenario("gke-cos-535", "example:debian12", ["nvidia-smi"], gpus="all"))
    assert fix is not None
    names = sorted(c.name for c in fix.changes if isinstance(c, SetEnv))
    assert names == ["LD_LIBRARY_PATH", "PATH"]


@pytest.mark.parametrize(
    ("at", "options", "how"),
    [
        ("gke-cos-535", {}, "resources: limits: nvidia.com/gpu: 1"),
        ("gke-cos-535", {"runtime": "nvidia"}, "resources: limits: nvidia.com/gpu: 1"),
        ("nixos-550", {}, "docker run --device nvidia.com/gpu=all"),
        ("nixos-550", GPUS, "docker run --device nvidia.com/gpu=all"),
        ("ubuntu2204-550-stale-cdi", CDI, "nvidia-ctk cdi generate"),
        ("ubuntu2404-550", {"mode": "cdi", "env": ALL}, "nvidia-ctk cdi generate"),
    ],
)
def test_what_is_proposed_is_a_way_that_the_host_has(at: str, options: dict[str, Any], how: str) -> None:
    scenario = nvsim.new_scenario(at, "example:debian12", **options)
    first = nvsim.diagnose(scenario).findings[0]
    assert [p.verified for p in first.fixes] == [True]
    assert first.fixes[0].change.how().startswith(how)
    fix = nvsim.find_fix(scenario)
    assert fix is not None and first.fixes[0].change in fix.changes


@pytest.mark.parametrize(
    ("request_text", "how"),
    [
        ("0", "docker run --gpus all ..."),
        ("driver=amd", "docker run --gpus all ..."),
        ("all,capabilities=tpu", "docker run --gpus all ..."),
        ("device=0,1", """docker run --gpus '"device=0,1"' ..."""),
        ("2,device=0", "docker run --gpus device=0 ..."),
    ],
)
def test_a_request_that_gives_no_gpu_is_put_right(request_text: str, how: str) -> None:
    found = nvsim.diagnose(nvsim.new_scenario("ubuntu2204-535", "example:debian12", gpus=request_text)).findings[0]
    assert [p.change.how() for p in found.fixes] == [how]
    assert found.fixes[0].verified and found.fixes[0].result == "then everything works"
    assert "install nvidia-container-toolkit" not in found.advice


@pytest.mark.parametrize("at", ["rhel9-550-podman", "ubuntu2404-550-cdi"])
def test_a_host_that_keeps_a_spec_needs_one_change(at: str) -> None:
    scenario = nvsim.new_scenario(at, "example:debian12")
    found = nvsim.diagnose(scenario).findings[0]
    assert [type(p.change) for p in found.fixes] == [UseDevice, UseRuntime]
    fix = nvsim.find_fix(scenario)
    assert fix is not None and [c.how() for c in fix.changes] == ["docker run --device nvidia.com/gpu=all ..."]


def test_a_change_after_which_the_engine_refuses_the_container_does_not_help() -> None:
    """A host whose toolkit is gone: the engine knows no such runtime, which only hides the cause."""
    at = nvsim.load_host("nixos-550")
    at = evolve(at, toolkit=evolve(at.toolkit, path="/nowhere", cdi_specs=(), engine_version="27.0"))
    found = nvsim.diagnose(nvsim.new_scenario(at, "example:debian12", **RUNC, env=ALL)).findings[0]
    change = UseDevice("nvidia.com/gpu=all")
    scenario = nvsim.new_scenario(at, "example:debian12", **RUNC, env=ALL)
    assert found.code == "NVS103"
    assert nvsim.simulate(change.apply(scenario)).call.refusal is not None
    checked = nvsim.diagnosis.explain._verified(nvsim.simulate(scenario), evolve(found, fixes=(Proposal(change),)), ())
    assert not checked.fixes[0].verified and "refuses" in checked.fixes[0].result


def test_a_finding_that_shows_later_names_the_changes_that_reveal_it() -> None:
    diagnosis = nvsim.diagnose(nvsim.new_scenario("eks-al2-2021", "example:nix-torch", env=ALL))
    later = next(f for f in diagnosis.findings if f.code == "NVS401")
    assert [c.how() for c in later.after] == ["ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility"]
    assert all(not f.after for f in diagnosis.findings if f.code in ("NVS101", "NVS301"))


def test_a_fix_that_causes_the_next_failure_says_so() -> None:
    """The directory of the driver holds another libc: naming it in LD_LIBRARY_PATH mends the search and breaks the process."""
    other = image({"/usr/lib64/libc.so.6": elf(verdef=["GLIBC_2.2.5"], soname="libc.so.6")}, (), "nix-torch")
    diagnosis = nvsim.diagnose(nvsim.new_scenario("eks-al2-535", other, env=ALL))
    found = next(f for f in diagnosis.findings if f.code == "NVS401")
    by_env, by_link = found.fixes
    assert "python3 still fails" in by_env.result and "/usr/lib64/libc.so.6" in by_env.result
    assert by_link.verified and by_link.change.how().endswith("ln -s /usr/lib64 /run/opengl-driver/lib")
    assert "python3" not in by_link.result


def test_what_works_has_no_errors() -> None:
    diagnosis = nvsim.diagnose(nvsim.new_scenario(HOST, "example:debian12", gpus="all"))
    assert diagnosis.result.verdict == "ok"
    assert codes(diagnosis, "error") == []


@pytest.mark.parametrize(
    "code", ["NVS101", "NVS102", "NVS103", "NVS105", "NVS107", "NVS110", "NVS204", "NVS205", "NVS403", "NVS506"]
)
def test_a_fix_is_minimal_and_found_again(code: str) -> None:
    at, of, command, options, _ = CASES[code]
    scenario = nvsim.new_scenario(at, of, command, **options)
    fix = nvsim.find_fix(scenario)
    assert fix is not None and fix.changes
    assert all(works(r) for r in fix.results)
    assert works(nvsim.simulate(with_changes(scenario, fix.changes)))
    for change in fix.changes:
        fewer = tuple(c for c in fix.changes if c != change)
        assert not works(nvsim.simulate(with_changes(scenario, fewer)))
    again = nvsim.find_fix(scenario)
    assert again is not None and again.changes == fix.changes


def test_what_cannot_be_mended_has_no_fix() -> None:
    at, of, command, options, _ = CASES["NVS305"]
    assert nvsim.find_fix(nvsim.new_scenario(at, of, command, **options)) is None


def test_the_catalogue_is_one_table_of_stable_codes() -> None:
    assert list(CATALOGUE) == sorted(CATALOGUE)
    assert not [s for s, n in Counter(e.slug for e in CATALOGUE.values()).items() if n > 1]
    for entry in CATALOGUE.values():
        assert entry.severity in ("error", "warning", "info")
        assert len(entry.explanation) > 60, entry.code
        assert look_up(entry.code.lower()) == look_up(entry.slug) == (entry, None)


def test_every_code_has_a_rule() -> None:
    rules = "".join(p.read_text() for p in Path(nvsim.diagnosis.__file__).parent.glob("find*.py"))
    assert [code for code in CATALOGUE if f'"{code}"' not in rules] == []


def test_topics_name_codes_that_exist() -> None:
    for topic in TOPICS:
        assert set(topic.findings) <= set(CATALOGUE)
        assert look_up(topic.name) == (None, topic) or look_up(topic.name)[0] is not None
    with pytest.raises(InputError, match="no finding or topic is called 'zzz'"):
        look_up("zzz")


def test_two_hosts_differ_by_the_decision_that_made_it() -> None:
    first, second = (nvsim.new_scenario(h, "example:nix-torch", env=ALL) for h in ("eks-al2-2021", "eks-al2-535"))
    found = nvsim.compare(first, second)
    assert [c.what for c in found.request] == ["driver capabilities"]
    assert all("NVIDIA_DRIVER_CAPABILITIES is unset" in (b or "") for b in found.request[0].because)
    assert any(c.what == "/usr/lib64/libcuda.so.VERSION" and c.first is None for c in found.plan)
    assert nvsim.compare(first, first).same
