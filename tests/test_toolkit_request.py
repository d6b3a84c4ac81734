"""What the toolkit decides about a container: one test for each behaviour that surprises its users."""

from __future__ import annotations

from typing import Any

import pytest

from nvsim.toolkit.hook import HookRun, run_hook
from nvsim.toolkit.hook_input import HostFiles
from nvsim.toolkit.mode import Platform
from nvsim.toolkit.releases import release_of
from nvsim.toolkit.request import ContainerRequest
from nvsim.toolkit.resolve import resolve_request

NEWEST = "1.20.0"
DEVICES = "/var/run/nvidia-container-devices"


def asked(
    *env: str, caller: str = "hook", release: str = NEWEST, config: str | None = None, **more: Any
) -> ContainerRequest:
    return resolve_request(caller=caller, env=env, config_toml=config, toolkit_version=release, **more)  # type: ignore[arg-type]


def reason(request: ContainerRequest, what: str) -> str:
    return dict(request.because)[what].input


# ---- devices


def test_an_image_that_says_nothing_gets_no_gpu_and_no_message() -> None:
    request = asked("PATH=/usr/bin")
    assert (request.route, request.devices, request.refused, request.lines) == ("none", None, None, ())
    assert reason(request, "devices") == "env NVIDIA_VISIBLE_DEVICES"


@pytest.mark.parametrize(
    ("value", "devices"),
    [
        ("all", ("all",)),
        (" 0 , 1 ", ("0", "1")),
        ("0,all", ("all",)),
        ("none,0", ("",)),
        ("0,void", None),
        (",", None),
        ("0,1,0", ("", "1", "0")),
        ("None", ("None",)),
    ],
)
def test_the_device_list_is_read_by_its_keywords(value: str, devices: tuple[str, ...] | None) -> None:
    assert asked(f"NVIDIA_VISIBLE_DEVICES={value}").devices == devices


def test_releases_before_1_12_pass_the_device_list_on_as_it_stands() -> None:
    request = asked("NVIDIA_VISIBLE_DEVICES= 0 ,void", release="1.11.0")
    assert "--device= 0 ,void" in request.cli_args


def test_the_last_of_two_entries_of_a_variable_counts() -> None:
    assert asked("NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_VISIBLE_DEVICES=void").devices is None


def test_a_legacy_image_asks_for_everything_by_itself() -> None:
    request = asked("CUDA_VERSION=9.2.148")
    assert request.devices == ("all",)
    assert len(request.capabilities or ()) == 7
    assert request.requirements == ("cuda>=9.2",)
    assert reason(request, "devices") == "env CUDA_VERSION"


def test_an_unprivileged_container_may_be_kept_from_asking_by_environment() -> None:
    config = "accept-nvidia-visible-devices-envvar-when-unprivileged = false\n"
    request = asked("NVIDIA_VISIBLE_DEVICES=all", config=config)
    assert request.devices is None and request.refused is None
    assert "Ignoring devices requested by environment variable(s)" in request.lines[0]
    assert reason(request, "devices").startswith("config.toml accept-")
    assert asked("NVIDIA_VISIBLE_DEVICES=all", config=config, bounding=("CAP_SYS_ADMIN",)).devices == ("all",)


def test_volume_mounts_come_before_the_environment_when_they_are_accepted() -> None:
    mounts = (("/dev/null", f"{DEVICES}/0"), ("/dev/null", f"{DEVICES}/imex/3"), ("/dev/zero", f"{DEVICES}/9"))
    config = "accept-nvidia-visible-devices-as-volume-mounts = true\n"
    request = asked("NVIDIA_VISIBLE_DEVICES=1", config=config, mounts=mounts)
    assert (request.devices, request.imex_channels) == (("0",), ("3",))
    assert reason(request, "devices") == f"mount {DEVICES}"
    assert asked("NVIDIA_VISIBLE_DEVICES=1", mounts=mounts).devices == ("1",)


def test_a_swarm_resource_replaces_the_variable_even_when_it_is_empty() -> None:
    config = 'swarm-resource = "DOCKER_RESOURCE_GPU"\n'
    env = ("NVIDIA_VISIBLE_DEVICES=all",)
    assert asked(*env, "DOCKER_RESOURCE_GPU=1", config=config).devices == ("1",)
    assert asked(*env, "DOCKER_RESOURCE_GPU=", config=config).devices is None
    assert asked(*env, config=config).devices == ("all",)


def test_imex_channels_all_asks_for_none() -> None:
    gpu = "NVIDIA_VISIBLE_DEVICES=all"
    assert asked(gpu, "NVIDIA_IMEX_CHANNELS=0,1").imex_channels == ("0", "1")
    assert asked(gpu, "NVIDIA_IMEX_CHANNELS=all").imex_channels == ()
    assert "--imex-channel=all" in asked(gpu, "NVIDIA_IMEX_CHANNELS=all", release="1.16.2").cli_args
    assert asked(gpu, "NVIDIA_IMEX_CHANNELS=0", release="1.14.0").imex_channels == ()


def test_mig_configuration_needs_a_privileged_container() -> None:
    env = ("NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_MIG_CONFIG_DEVICES=all")
    refused = asked(*env).refused
    assert refused is not None
    assert (refused.exit, refused.stderr) == (1, "cannot set MIG_CONFIG_DEVICES in non privileged container\n")
    assert "--mig-config=all" in asked(*env, bounding=("CAP_SYS_ADMIN",)).cli_args


# ---- capabilities and requirements


@pytest.mark.parametrize(
    ("release", "capabilities"),
    [("1.3.0", ("utility",)), ("1.10.0", ("utility", "compute")), ("1.14.1", ("compute", "utility"))],
)
def test_the_default_capabilities_depend_on_the_release(release: str, capabilities: tuple[str, ...]) -> None:
    assert asked("NVIDIA_VISIBLE_DEVICES=all", release=release).capabilities == capabilities


def test_an_unknown_capability_is_refused_with_the_part_that_was_accepted() -> None:
    refused = asked("NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=opengl,video").refused
    assert refused is not None
    assert refused.stderr == "unsupported capabilities found in 'opengl,video' (allowed 'video')\n"
    assert refused.because[0].input == "env NVIDIA_DRIVER_CAPABILITIES"


def test_a_blank_in_the_capability_list_fails_up_to_1_13() -> None:
    env = ("NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=compute, utility")
    assert asked(*env).capabilities == ("compute", "utility")
    assert asked(*env, release="1.13.5").refused is not None


def test_only_blanks_in_the_capability_list_grant_nothing() -> None:
    assert asked("NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES= ").capabilities == ()


def test_a_bad_cuda_version_of_a_legacy_image_is_an_error_unless_requirements_are_off() -> None:
    refused = asked("CUDA_VERSION=latest").refused
    assert refused is not None and "invalid CUDA version latest" in refused.stderr
    assert asked("CUDA_VERSION=latest", "NVIDIA_DISABLE_REQUIRE=true").refused is None
    assert asked("CUDA_VERSION=latest", "NVIDIA_DISABLE_REQUIRE=yes").refused is not None
    assert asked("CUDA_VERSION=latest", config="disable-require = true\n").refused is None


def test_csv_mode_checks_requirements_itself_and_not_the_setting() -> None:
    env = ("NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_REQUIRE_CUDA=cuda>=12.4")
    more: dict[str, Any] = {"caller": "runtime", "tegra": True, "nvml": False, "config": "disable-require = true\n"}
    refused = asked(*env, properties={"cuda": "11.4"}, **more).refused
    assert refused is not None
    assert refused.stderr.endswith("requirements not met: unsatisfied condition: cuda>=12.4 (cuda=11.4)\n")
    request = asked(*env, properties={"cuda": "12.6"}, **more)
    assert (request.route, request.refused, request.requirements) == ("csv", None, ("cuda>=12.4",))


# ---- mode


def test_the_same_settings_give_two_modes_in_hook_and_runtime_since_1_18() -> None:
    env = ("NVIDIA_VISIBLE_DEVICES=all",)
    assert asked(*env).mode == "legacy"
    assert asked(*env, caller="runtime").mode == "jit-cdi"
    assert asked(*env, caller="runtime", release="1.17.9").mode == "legacy"


def test_cdi_names_make_the_runtime_use_spec_files_and_the_hook_refuse() -> None:
    env = ("NVIDIA_VISIBLE_DEVICES=nvidia.com/gpu=0",)
    request = asked(*env, caller="runtime")
    assert (request.route, request.cdi_devices) == ("cdi", ("nvidia.com/gpu=0",))
    refused = asked(*env).refused
    assert refused is not None and refused.stderr.startswith("Auto-detected mode as 'cdi'\ninvoking the NVIDIA")


def test_a_mixed_list_of_cdi_names_and_ids_is_refused() -> None:
    refused = asked("NVIDIA_VISIBLE_DEVICES=nvidia.com/gpu=0,1", caller="runtime").refused
    assert refused is not None
    assert "vendor 'runtime.nvidia.com' is not supported when requesting other CDI devices" in refused.stderr


def test_a_cdi_name_with_one_letter_crashes_the_programs() -> None:
    env = ("NVIDIA_VISIBLE_DEVICES=a/b=c",)
    by_hook, by_runtime = asked(*env).refused, asked(*env, caller="runtime").refused
    assert by_hook is not None and by_runtime is not None
    assert by_hook.stderr == "Auto-detected mode as ''\nruntime error: slice bounds out of range [1:0]\n"
    assert (by_hook.exit, by_runtime.exit) == (1, 2)


def test_annotations_count_in_cdi_mode_alone_and_a_blank_in_them_undoes_it() -> None:
    def runtime(value: str) -> ContainerRequest:
        more: dict[str, Any] = {"annotations": {"cdi.k8s.io/gpu": value}, "caller": "runtime"}
        return asked("NVIDIA_VISIBLE_DEVICES=all", **more)

    assert runtime("nvidia.com/gpu=0,nvidia.com/gpu=1").cdi_devices == ("nvidia.com/gpu=0", "nvidia.com/gpu=1")
    fallen = runtime("nvidia.com/gpu=0, nvidia.com/gpu=1")
    assert (fallen.route, fallen.devices) == ("jit-cdi", ("all",))


def test_before_1_18_annotations_replace_the_environment_in_cdi_mode_and_a_bad_name_is_an_error() -> None:
    def runtime(value: str) -> ContainerRequest:
        more: dict[str, Any] = {"annotations": {"cdi.k8s.io/gpu": value}, "caller": "runtime", "mode": "cdi"}
        return asked("NVIDIA_VISIBLE_DEVICES=all", release="1.17.9", **more)

    request = runtime("nvidia.com/gpu=1")
    assert request.devices == request.cdi_devices == ("nvidia.com/gpu=1",)
    assert reason(request, "devices") == "annotation cdi.k8s.io/gpu"
    refused = runtime("1").refused
    assert refused is not None
    assert 'invalid device name "1" in annotation "cdi.k8s.io/gpu"' in refused.stderr


def test_gated_features_come_with_generated_devices_and_not_with_spec_files() -> None:
    def gated(device: str) -> tuple[str, ...]:
        env = (f"NVIDIA_VISIBLE_DEVICES={device}", "NVIDIA_GDS=enabled", "NVIDIA_MOFED=1")
        return asked(*env, caller="runtime", mode="cdi").gated

    assert gated("runtime.nvidia.com/gpu=0") == ("gds",)
    assert gated("nvidia.com/gpu=0") == ()


def test_one_integrated_gpu_makes_a_host_a_tegra_since_1_19() -> None:
    more: dict[str, Any] = {"caller": "runtime", "gpu_names": ("NVIDIA RTX A6000", "Orin (nvgpu)")}
    assert asked("NVIDIA_VISIBLE_DEVICES=all", **more).mode == "csv"
    assert asked("NVIDIA_VISIBLE_DEVICES=all", release="1.18.2", **more).mode == "jit-cdi"


def test_tegra_files_make_a_host_a_tegra_only_without_nvml_and_wsl_is_none() -> None:
    def mode(release: str = NEWEST, **host: bool) -> str:
        return asked("NVIDIA_VISIBLE_DEVICES=all", caller="runtime", release=release, tegra=True, **host).mode

    assert mode(nvml=False) == "csv"
    assert mode(nvml=True) == "jit-cdi"
    assert mode(nvml=False, dxcore=True) == "jit-cdi"
    assert mode("1.15.0", nvml=False, dxcore=True) == "csv"


def test_gated_features_in_legacy_mode_of_1_19_leave_the_container_without_a_gpu() -> None:
    env = ("NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_GDS=enabled")
    request = asked(*env, caller="runtime", mode="legacy")
    assert (request.route, request.devices, request.gated) == ("none", None, ("gds",))
    assert reason(request, "devices") == "env NVIDIA_GDS"
    assert asked(*env, caller="runtime", mode="legacy", release="1.18.2").devices == ("all",)


def test_the_graphics_step_does_not_trim_what_the_hook_trims() -> None:
    def graphics(value: str) -> ContainerRequest:
        env = ("NVIDIA_VISIBLE_DEVICES=all", f"NVIDIA_DRIVER_CAPABILITIES={value}")
        return asked(*env, caller="runtime", mode="legacy")

    assert graphics("utility,graphics").graphics
    assert not graphics("utility, graphics").graphics
    assert graphics("utility, graphics").capabilities == ("graphics", "utility")


def test_a_mode_that_there_is_not_is_refused_in_the_words_of_the_release() -> None:
    def refused(release: str) -> str:
        found = asked("NVIDIA_VISIBLE_DEVICES=all", caller="runtime", mode="Legacy", release=release).refused
        assert found is not None
        return found.stderr

    assert refused("1.20.0").endswith('failed to construct OCI spec modifier: invalid mode "Legacy"\n')
    assert refused("1.18.2").endswith("failed to construct OCI spec modifier: invalid runtime mode: Legacy\n")


# ---- settings and refusals


def test_an_environment_entry_without_equals_sign_fails_every_container() -> None:
    by_hook, by_runtime = asked("FOO").refused, asked("FOO", caller="runtime").refused
    assert by_hook is not None and by_hook.stderr == "invalid environment variable: FOO\n"
    assert by_runtime is not None and by_runtime.stderr.endswith("invalid environment variable: FOO\n")


def test_a_container_path_of_ldconfig_is_refused_since_1_17_3() -> None:
    config = '[nvidia-container-cli]\nldconfig = "/sbin/ldconfig"\n'
    for caller in ("hook", "runtime"):
        refused = asked("NVIDIA_VISIBLE_DEVICES=all", config=config, caller=caller).refused
        assert refused is not None and "is not host-relative" in refused.stderr
    assert "--ldconfig=/sbin/ldconfig" in asked("NVIDIA_VISIBLE_DEVICES=all", config=config, release="1.17.2").cli_args


def test_ldconfig_real_is_used_where_the_host_has_it() -> None:
    gpu = "NVIDIA_VISIBLE_DEVICES=all"
    assert "--ldconfig=@/sbin/ldconfig.real" in asked(gpu, ldconfig_real=True).cli_args
    config = 'nvidia-container-cli.ldconfig = "@/sbin/ldconfig.real"\n'
    assert "--ldconfig=@/sbin/ldconfig" in asked(gpu, config=config).cli_args
    assert not any("ldconfig" in a for a in asked(gpu, release="1.13.5").cli_args)


def test_1_14_0_ignores_the_configuration_of_the_hook() -> None:
    config = "nvidia-container-cli.no-cgroups = true\n"
    for release, honoured in (("1.13.5", True), ("1.14.0", False), ("1.14.1", True)):
        args = asked("NVIDIA_VISIBLE_DEVICES=all", config=config, release=release).cli_args
        assert ("--no-cgroups" in args) is honoured


# ---- the hook as a program


def hook(*argv: str, release: str = NEWEST, state: str = '{"bundle": "/b", "pid": 7}', **files: str) -> HookRun:
    texts = {
        "/b/config.json": '{"ociVersion": "1.0.2", "process": {"env": ["NVIDIA_VISIBLE_DEVICES=0"]}, "root": {"path": "r"}}'
    }
    texts |= {f"/{name.replace('__', '/')}": text for name, text in files.items()}
    return run_hook(
        argv,
        state=state,
        environ={"PATH": "/opt"},
        files=HostFiles(texts.get, texts.__contains__, lambda path: path == "/usr/bin/nvidia-container-cli"),
        platform=Platform(nvml=True),
        release=release_of(release),
        cwd="/w",
    )


def test_the_hook_becomes_the_cli_with_the_search_path_as_its_path() -> None:
    run = hook("prestart")
    assert run.argv is not None and run.env is not None
    assert run.argv[0] == "/usr/bin/nvidia-container-cli"
    assert run.argv[-2:] == ("--pid=7", "/w/r")
    assert run.decision is not None
    assert dict(run.decision.because)["devices"].input == "env NVIDIA_VISIBLE_DEVICES"
    assert run.env == ("PATH=/opt:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)


@pytest.mark.parametrize(
    ("argv", "status", "start"),
    [
        (("poststart",), 0, ""),
        ((), 2, "Usage of nvidia-container-runtime-hook:\n"),
        (("-bogus", "prestart"), 2, "flag provided but not defined: -bogus\nUsage"),
        (("-config",), 2, "flag needs an argument: -config\nUsage"),
        (("-debug=maybe",), 2, 'invalid boolean value "maybe" for -debug: parse error\nUsage'),
        (("---x",), 2, "bad flag syntax: ---x\nUsage"),
        (("-h",), 0, "Usage of"),
    ],
)
def test_the_hook_reads_its_command_line_as_go_does(argv: tuple[str, ...], status: int, start: str) -> None:
    run = hook(*argv)
    assert (run.exit, run.argv) == (status, None)
    assert run.stderr.startswith(start)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("", "could not decode container state: EOF"),
        ('{"pid": "7"}', "json: cannot unmarshal string into Go struct field HookState.pid of type int"),
        ('{"bundle": "/nope"}', "could not open OCI spec: open /nope/config.json: no such file or directory"),
        ("{'", "could not decode container state: invalid character '\\'' looking for beginning of object key string"),
    ],
)
def test_a_state_that_cannot_be_used_is_told_in_gos_words(state: str, message: str) -> None:
    run = hook("prestart", state=state)
    assert run.exit == 1 and message in run.stderr


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{}", "Version is empty in OCI spec"),
        ("null", "runtime error: invalid memory address or nil pointer dereference"),
        ('{"ociVersion": "1.0.2"', "could not decode OCI spec: unexpected EOF"),
        ('{"ociVersion": "1.0.2", "process": null}', "Process is empty in OCI spec"),
        (
            '{"mounts": [{"source": 1}]}',
            "cannot unmarshal number into Go struct field Mount.mounts.source of type string",
        ),
    ],
)
def test_a_spec_that_cannot_be_used_is_told_in_gos_words(spec: str, message: str) -> None:
    run = hook("prestart", **{"b__config.json": spec})
    assert run.exit == 1 and message in run.stderr


def test_debug_names_stderr_and_a_missing_configuration_file_is_an_error_when_it_was_named() -> None:
    assert "--debug=/dev/stderr" in (hook("-debug", "prestart").argv or ())
    missing = hook("--config", "/c.toml", "prestart")
    assert missing.stderr.endswith("couldn't open required configuration file: file does not exist\n")
    assert hook("--config", "/c.toml", "prestart", **{"c.toml": ""}).exit == 0


def test_invalid_supported_capabilities_end_the_hook_without_a_word_since_1_18() -> None:
    files = {"etc__nvidia-container-runtime__config.toml": 'supported-driver-capabilities = "bogus"\n'}
    new, old = hook("prestart", **files), hook("prestart", release="1.17.9", **files)
    assert (new.exit, new.stderr) == (1, "")
    assert old.stderr.startswith(
        "Invalid value for config option 'supported-driver-capabilities'; bogus (supported: compat32,"
    )


def test_the_hook_tells_of_modes_from_the_first_release_that_has_them() -> None:
    env = ("NVIDIA_VISIBLE_DEVICES=all",)
    assert "Auto-detected mode as 'legacy'" in asked(*env, release="1.10.0").lines
    assert not [line for line in asked(*env, release="1.3.0").lines if "mode" in line]
