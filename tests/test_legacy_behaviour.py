"""What the legacy engine does, one behaviour a test, on small made-up hosts and images."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from legacyhosts import GPU, LIB, NEW, OLD, cache_entry, configure, host_tree, library, make_host, make_root
from legacyvectors import cases, query
from nvsim.errors import InputError
from nvsim.host.profile import HostProfile, MigDevice
from nvsim.inject.legacy.apply import apply
from nvsim.inject.legacy.args import CliArgs, UsageError, parse_args
from nvsim.inject.legacy.engine import engine_named
from nvsim.inject.legacy.run import plan_legacy, run_cli
from nvsim.inject.plan import InjectionPlan
from nvsim.queries.tool import answer
from nvsim.rootfs.node import Directory, File, Symlink
from nvsim.rootfs.overlay import Mount
from nvsim.rootfs.treefile import tree_from_json


def targets(plan: InjectionPlan) -> list[str]:
    return [m.dst for m in plan.mounts]


# ---- the command line --------------------------------------------------------------------------------------------------------

# argp breaks its lines before column 79
TRY = "Try `nvidia-container-cli configure --help' or `nvidia-container-cli configure\n--usage' for more information."


@pytest.mark.parametrize(
    ("argv", "stderr"),
    [
        (("configure", "--x"), f"nvidia-container-cli configure: unrecognized option '--x'\n{TRY}"),
        (("configure", "--x=1", "/r"), f"nvidia-container-cli configure: unrecognized option '--x=1'\n{TRY}"),
        (("configure", "-Z"), f"nvidia-container-cli configure: invalid option -- 'Z'\n{TRY}"),
        (
            ("configure", "--compute=1"),
            f"nvidia-container-cli configure: option '--compute' doesn't allow an argument\n{TRY}",
        ),
        (("configure", "--require"), f"nvidia-container-cli configure: option '--require' requires an argument\n{TRY}"),
        (("configure", "-d"), f"nvidia-container-cli configure: option requires an argument -- 'd'\n{TRY}"),
        (
            ("configure", "--mig"),
            "nvidia-container-cli configure: option '--mig' is ambiguous; possibilities: '--mig-config' '--mig-monitor'\n"
            + TRY,
        ),
        (("configure",), f"Usage: nvidia-container-cli configure [OPTION...] ROOTFS\n{TRY}"),
        (("configure", "/a", "/b"), f"Usage: nvidia-container-cli configure [OPTION...] ROOTFS\n{TRY}"),
        (("configure", "rootfs"), "nvidia-container-cli: input error: invalid rootfs directory"),
        (("configure", "/"), "nvidia-container-cli: input error: invalid rootfs directory"),
        (("configure", "--pid=x"), "nvidia-container-cli: input error: parse pid failed: invalid argument"),
        (("configure", *["--require=cuda>=1"] * 33, "/r"), "nvidia-container-cli: input error: too many requirements"),
    ],
)
def test_a_bad_command_line_is_refused_with_the_text_of_argp(argv: tuple[str, ...], stderr: str) -> None:
    assert parse_args(argv, engine_named(NEW)) == UsageError(stderr)


def test_a_list_takes_no_operand_and_an_unknown_command_shows_the_usage() -> None:
    refused = parse_args(("list", "x"), engine_named(NEW))
    assert isinstance(refused, UsageError)
    assert refused.stderr.startswith(
        "nvidia-container-cli list: Too many arguments\nTry `nvidia-container-cli list --help'"
    )
    refused = parse_args(("frobnicate",), engine_named(NEW))
    assert isinstance(refused, UsageError)
    assert refused.stderr.startswith("Usage: nvidia-container-cli [OPTION...] COMMAND [ARG...]\n")


def test_options_may_be_abbreviated_bundled_and_mixed_with_the_operand() -> None:
    args = parse_args(
        ("-k", "--roo=/drv", "configure", "/r", "-cud0,1", "--pi", "7", "--comp", "--dev=2"), engine_named(NEW)
    )
    assert isinstance(args, UsageError)  # --comp is --compute or --compat32
    args = parse_args(("-k", "--roo=/drv", "configure", "/r", "-cud0,1", "--pi", "7", "--dev=2"), engine_named(NEW))
    assert isinstance(args, CliArgs)
    assert (args.root, args.load_kmods, args.devices, args.pid, args.rootfs) == ("/drv", True, "0,1,2", 7, "/r")
    assert args.container_flags == ("compute", "utility", "supervised")


def test_a_release_knows_only_its_own_options() -> None:
    for option, since, until in (("--cuda-compat-mode=mount", "1.17.7", None), ("--no-cntlibs", "1.17.4", "1.17.7")):
        assert isinstance(parse_args(("configure", option, "/r"), engine_named(since)), CliArgs)
        assert isinstance(parse_args(("configure", option, "/r"), engine_named("1.12.1")), UsageError)
        if until:
            assert isinstance(parse_args(("configure", option, "/r"), engine_named(until)), UsageError)


def test_an_unknown_release_is_an_input_error() -> None:
    with pytest.raises(InputError, match="no release"):
        plan_legacy(make_host(), make_root(), ("configure",), engine="newest")


def test_two_compat_modes_contradict_each_other_unless_one_is_disabled() -> None:
    both = ("--cuda-compat-mode=mount", "--cuda-compat-mode=ldconfig")
    plan, _ = configure(make_host(), make_root(), *both)
    assert plan.failure == "nvidia-container-cli: container error: only one cuda-compat-mode can be specified at a time"
    plan, _ = configure(make_host(), make_root(), *both, "--cuda-compat-mode=disabled")
    assert plan.failure is None


# ---- discovery ---------------------------------------------------------------------------------------------------------------


def test_the_last_cache_entry_that_qualifies_wins() -> None:
    second = f"{LIB}/second/libcuda.so.535.54.03"
    entries = [
        cache_entry("libnvidia-ml.so.1", f"{LIB}/libnvidia-ml.so.1"),
        cache_entry("libcuda.so.1", f"{LIB}/libcuda.so.1"),
        cache_entry("libcuda.so.1", second),
        cache_entry("libcuda.so.1", f"{LIB}/libcuda.so.470.1"),
    ]
    changes: dict[str, Any] = {
        "/etc/ld.so.cache": {"type": "file", "size": 9, "ldcache": entries},
        second: library("libcuda.so.1"),
        f"{LIB}/libcuda.so.470.1": library("libcuda.so.1"),
    }
    plan, _ = configure(make_host(**changes), make_root(), "--compute")
    mount = next(m for m in plan.mounts if m.kind == "library")
    assert mount.src == second
    left_out = {s.what: [b.text for b in s.because] for s in plan.skipped}
    assert "last entry wins" in left_out[f"{LIB}/libcuda.so.535.54.03"][-1]
    assert "does not end with 535.54.03" in left_out[f"{LIB}/libcuda.so.470.1"][-1]


def test_a_driver_version_is_compared_as_a_suffix() -> None:
    host = make_host()
    host = evolve(host, driver=evolve(host.driver, kernel_module="54.03"))
    plan, _ = configure(host, make_root(), "--compute")
    assert f"{LIB}/libcuda.so.535.54.03" in targets(plan)


def test_a_cache_entry_whose_file_is_missing_fails_the_run() -> None:
    plan, done = configure(make_host(**{f"{LIB}/libcuda.so.535.54.03": None}), make_root(), "--compute")
    text = f"nvidia-container-cli: detection error: open failed: {LIB}/libcuda.so.535.54.03: no such file or directory"
    assert (plan.failure, done.failure, done.exit) == (text, text, 1)
    assert done.effects == ()


def test_an_empty_cache_and_a_directory_cannot_be_mapped() -> None:
    for node, errno in (({"type": "file", "size": 0}, "invalid argument"), ({"type": "dir"}, "no such device")):
        host = make_host(**{"/etc/other.cache": node})
        run = run_cli(host, None, ("--ldcache=/etc/other.cache", "list"), env={"PATH": "/usr/bin"}, engine=NEW)
        assert run.stderr == f"nvidia-container-cli: detection error: file mapping failed: /etc/other.cache: {errno}"


def test_tls_libraries_need_the_note_of_linux_2_3_99() -> None:
    for note, expected in (("Linux 2.3.99", True), ("Linux 2.2.5", False), (None, False)):
        elf = {"soname": "x", "needed": [], **({"abi_tag": note} if note else {})}
        tls = f"{LIB}/libnvidia-tls.so.535.54.03"
        entries = [
            cache_entry("libnvidia-ml.so.1", f"{LIB}/libnvidia-ml.so.1"),
            cache_entry("libnvidia-tls.so.535.54.03", tls),
        ]
        cache = {"type": "file", "size": 9, "ldcache": entries}
        host = make_host(**{tls: {"type": "file", "size": 4096, "elf": elf}, "/etc/ld.so.cache": cache})
        plan, _ = configure(host, make_root(), "--graphics")
        assert (tls in targets(plan)) is expected


def test_programs_are_found_by_the_callers_path_only() -> None:
    host = make_host(**{"/opt/bin/nvidia-smi": {"type": "file", "size": 1, "mode": "0600"}})
    plan, _ = configure(host, make_root(), "--utility", env={"PATH": "/nowhere:/opt/bin:/usr/bin"})
    assert [m.src for m in plan.mounts if m.kind == "binary"] == ["/opt/bin/nvidia-smi"]
    assert "/usr/bin/nvidia-smi" in targets(plan)
    plan, _ = configure(host, make_root(), "--utility", env={})
    assert plan.failure == "nvidia-container-cli: detection error: environment variable PATH not found"


def test_a_driver_root_is_looked_at_from_inside_and_not_named_in_the_container() -> None:
    inside = {f"/run/driver{p}": e for p, e in host_tree().items() if not p.startswith("/dev")}
    devices = {p: e for p, e in host_tree().items() if p.startswith("/dev")}
    ldconfig = {"/sbin/ldconfig": host_tree()["/sbin/ldconfig"]}
    tree = tree_from_json({**inside, **devices, **ldconfig}, "host")
    host = evolve(make_host(), tree=tree)
    root = make_root()
    plan = plan_legacy(host, root, ("--root=/run/driver", "configure", "--compute", "--device=all"), engine=NEW)
    assert (f"/run/driver{LIB}/libcuda.so.535.54.03", f"{LIB}/libcuda.so.535.54.03") in [
        (m.src, m.dst) for m in plan.mounts
    ]
    assert ("/run/driver/dev/nvidia0", "/dev/nvidia0") in [(m.src, m.dst) for m in plan.mounts]
    assert apply(plan, root, host).failure is None
    missing = plan_legacy(host, root, ("--root=/none", "configure"), engine=NEW)
    assert (
        missing.failure == "nvidia-container-cli: initialization error: change root failed: no such file or directory"
    )


def test_a_missing_kernel_module_and_a_mismatch_end_the_run_at_once() -> None:
    host = make_host()
    for driver, text in (
        (evolve(host.driver, kernel_module=None), "nvml error: driver not loaded"),
        (evolve(host.driver, nvml_init=18), "nvml error: driver/library version mismatch"),
    ):
        plan, _ = configure(evolve(host, driver=driver), make_root(), "--compute")
        assert plan.failure == f"nvidia-container-cli: initialization error: {text}"


# ---- devices -----------------------------------------------------------------------------------------------------------------

MIG = evolve(GPU, mig=(MigDevice("MIG-one", 3, 0), MigDevice("MIG-two", 4, 0)), mig_enabled=True)


@pytest.mark.parametrize("name", ["0", "gpu-AAAA", "0000:3b:00.0", "00000000:3B:00.0", "3b:0", "ALL", ",0,,0"])
def test_a_gpu_is_named_by_index_uuid_or_bus_id(name: str) -> None:
    plan, done = configure(make_host(), make_root(), f"--device={name}")
    if name == "3b:0":
        assert plan.failure == "nvidia-container-cli: device error: 3b:0: unknown device"
    else:
        assert done.failure is None
        assert targets(plan).count("/dev/nvidia0") == 1


@pytest.mark.parametrize("name", ["mig-TWO", "0:1"])
def test_a_mig_device_brings_its_parent_and_its_access_files(name: str) -> None:
    plan, done = configure(make_host((MIG,)), make_root(), f"--device={name}")
    assert done.failure is None
    caps = "/proc/driver/nvidia/capabilities/gpu0/mig"
    assert [t for t in targets(plan) if "/mig/" in t] == [f"{caps}/gi4/access", f"{caps}/gi4/ci0/access"]
    assert "/dev/nvidia0" in targets(plan)


def test_mig_config_needs_all_devices() -> None:
    host = make_host((MIG,))
    plan, _ = configure(host, make_root(), "--device=0:0", "--mig-config=all")
    text = "mig-config error: all: cannot enable mig-config with specific MIG devices selected"
    assert plan.failure == f"nvidia-container-cli: {text}"
    plan, done = configure(host, make_root(), "--device=all", "--mig-monitor=all")
    assert done.failure is None
    assert [m.dst for m in plan.mounts if m.kind == "mig"] == ["/proc/driver/nvidia/capabilities"]


def test_capability_files_have_device_nodes_where_the_kernel_has_nvidia_caps() -> None:
    changes: dict[str, Any] = {
        "/proc/devices": {
            "type": "file",
            "size": 9,
            "text": "Character devices:\n195 nvidia-frontend\n238 nvidia-caps\n",
        },
        **{f"/dev/nvidia-caps/nvidia-cap{n}": {"type": "char", "rdev": f"238:{n}"} for n in (39, 40)},
    }
    plan, done = configure(make_host((MIG,), **changes), make_root(), "--device=0:1")
    assert done.failure is None
    nodes = [d for d in plan.device_nodes if "caps" in d.path]
    assert [(n.path, n.rdev) for n in nodes] == [
        ("/dev/nvidia-caps/nvidia-cap39", (238, 39)),
        ("/dev/nvidia-caps/nvidia-cap40", (238, 40)),
    ]


def test_imex_channels_are_device_nodes() -> None:
    node = "/dev/nvidia-caps-imex-channels/channel2"
    plan, done = configure(make_host(**{node: {"type": "char", "rdev": "234:2"}}), make_root(), "--imex-channel=2")
    assert node in targets(plan)
    assert done.failure is None
    _, done = configure(make_host(), make_root(), "--imex-channel=2")
    assert done.failure == f"nvidia-container-cli: mount error: stat failed: {node}: no such file or directory"


def test_a_node_with_other_numbers_is_no_device_of_the_driver() -> None:
    host = make_host(**{"/dev/nvidia0": {"type": "char", "rdev": "195:7"}})
    _, done = configure(host, make_root(), "--device=0")
    assert done.failure == "nvidia-container-cli: mount error: invalid device node: /dev/nvidia0"


def test_without_cgroups_nodes_have_no_rule_and_without_devbind_no_mount() -> None:
    plan, _ = configure(make_host(), make_root(), "--device=0")
    assert {d.permissions for d in plan.device_nodes} == {"rw"}
    plan, done = configure(make_host(), make_root(), "--device=0", "--no-cgroups", "--no-devbind")
    assert {d.permissions for d in plan.device_nodes} == {""}
    assert not [m for m in plan.mounts if m.kind == "device"]
    assert done.failure is None


# ---- doing it ----------------------------------------------------------------------------------------------------------------


def test_a_failing_driver_stage_takes_its_mounts_back_but_leaves_directories_and_links() -> None:
    existing = {f"{LIB}/libnvidia-ml.so.535.54.03": {"type": "file", "size": 0, "text": ""}}
    root = make_root(**existing)
    _, done = configure(make_host(**{"/dev/nvidiactl": None}), root, "--compute", "--utility")
    assert done.failure == "nvidia-container-cli: mount error: stat failed: /dev/nvidiactl: no such file or directory"
    assert done.rootfs.mounts == ()
    assert isinstance(done.rootfs.node(f"{LIB}/libcuda.so"), Symlink)
    assert done.rootfs.node(f"{LIB}/libcuda.so.535.54.03") is None
    assert done.rootfs.node(f"{LIB}/libnvidia-ml.so.535.54.03") is None  # empty, so it is taken for a placeholder
    assert isinstance(done.rootfs.node("/usr/bin"), Directory)
    assert {e.kind for e in done.effects} == {"directory", "symlink", "unmount"}


def test_a_failing_gpu_stage_leaves_the_driver_mounted() -> None:
    second = evolve(GPU, minor=1, uuid="GPU-bbbb", pci="0000:3c:00.0")
    _, done = configure(make_host((GPU, second)), make_root(), "--compute", "--device=all")
    assert done.failure == "nvidia-container-cli: mount error: stat failed: /dev/nvidia1: no such file or directory"
    assert {"/dev/nvidia0", f"{LIB}/libcuda.so.535.54.03"} <= {m.dst for m in done.rootfs.mounts}


def test_a_link_at_a_target_is_followed_by_new_engines_and_refused_by_old_ones() -> None:
    target = f"{LIB}/libcuda.so.535.54.03"
    root = make_root(**{target: {"type": "symlink", "target": "/opt/mine"}})
    _, done = configure(make_host(), root, "--compute")
    assert "/opt/mine" in [m.dst for m in done.rootfs.mounts]
    assert done.rootfs.node(f"{LIB}/libcuda.so") is None  # the link is made beside the file that was really covered
    _, done = configure(make_host(), root, "--compute", engine=OLD)
    assert done.failure == f"nvidia-container-cli: mount error: file creation failed: <rootfs>{target}: file exists"


def test_a_read_only_root_needs_its_mount_points_beforehand() -> None:
    read_only = (Mount("/", "rootfs", frozenset({"ro"})), Mount("/proc", "proc"), Mount("/dev", "tmpfs"))
    _, done = configure(make_host(), make_root(read_only, **{"/usr/bin": {"type": "dir"}}), "--utility")
    text = "file creation failed: <rootfs>/usr/bin/nvidia-smi: read-only file system"
    assert done.failure == f"nvidia-container-cli: mount error: {text}"


def test_an_existing_file_is_covered_and_an_existing_directory_is_an_error() -> None:
    target = f"{LIB}/libcuda.so.535.54.03"
    _, done = configure(make_host(), make_root(**{target: {"type": "file", "size": 77, "mode": "0600"}}), "--compute")
    node = done.rootfs.node(target)
    assert isinstance(node, File)
    assert node.origin.kind == "host"
    _, done = configure(make_host(), make_root(**{target: {"type": "dir"}}), "--compute")
    assert done.failure == f"nvidia-container-cli: mount error: file creation failed: <rootfs>{target}: is a directory"


def test_params_are_copied_with_device_files_left_alone() -> None:
    _, done = configure(make_host(), make_root())
    node = done.rootfs.node("/proc/driver/nvidia/params")
    assert isinstance(node, File)
    assert "ModifyDeviceFiles: 0" in (node.facts.text or "")


def test_the_application_profile_collects_the_minors_of_all_gpus() -> None:
    gpus = tuple(evolve(GPU, minor=m, uuid=f"GPU-{m}", pci=f"0000:{m:02x}:00.0") for m in (0, 1, 5))
    nodes: dict[str, Any] = {f"/dev/nvidia{m}": {"type": "char", "rdev": f"195:{m}"} for m in (0, 1, 5)}
    _, done = configure(make_host(gpus, **nodes), make_root(), "--graphics", "--device=1,2")
    node = done.rootfs.node("/etc/nvidia/nvidia-application-profiles-rc.d/10-container.conf")
    assert isinstance(node, File)
    assert '"EGLVisibleDGPUDevices", 0x22]' in (node.facts.text or "")


def test_the_marker_file_decides_the_directory() -> None:
    plan, _ = configure(make_host(), make_root(**{"/etc/debian_version": {"type": "dir"}}), "--compute")
    assert "/usr/lib/x86_64-linux-gnu/libcuda.so.535.54.03" in targets(plan)
    assert plan.ldconfig is not None
    assert plan.ldconfig.argv[-2:] == ("/usr/lib/x86_64-linux-gnu", "/usr/lib/i386-linux-gnu")
    dangling = {"/etc/debian_version": {"type": "symlink", "target": "none"}}
    plan, _ = configure(make_host(), make_root(**dangling), "--compute")
    assert f"{LIB}/libcuda.so.535.54.03" in targets(plan)


WSL_STORE = "/usr/lib/wsl/drivers/nv.inf_1"


def wsl_host(store: str = WSL_STORE, **changes: Any) -> HostProfile:
    names = ("libcuda.so.1.1", "libnvidia-ml.so.1", "nvidia-smi")
    files: dict[str, Any] = {f"{store}/{n}": library(n) for n in names}
    dxcore = {"/usr/lib/wsl/lib/libdxcore.so": library("libdxcore.so"), "/dev/dxg": {"type": "char", "rdev": "10:63"}}
    entries = [cache_entry("libdxcore.so", "/usr/lib/wsl/lib/libdxcore.so")]
    return make_host(
        **{**files, **dxcore, "/etc/ld.so.cache": {"type": "file", "size": 9, "ldcache": entries}, **changes}
    )


def test_wsl_mounts_the_driver_store_and_one_device() -> None:
    plan, done = configure(wsl_host(), make_root(), "--utility", "--device=all")
    assert done.failure is None
    assert targets(plan) == [
        "/usr/bin/nvidia-smi",
        f"{LIB}/libdxcore.so",
        "/dev/dxg",
        f"{WSL_STORE}/libcuda.so.1.1",
        f"{WSL_STORE}/libnvidia-ml.so.1",
        f"{WSL_STORE}/nvidia-smi",
    ]
    run = run_cli(wsl_host(), None, ("list", "--device=all"), env={"PATH": ""}, engine=NEW)
    assert run.stdout == ("/dev/dxg",)


def test_without_a_loadable_dxcore_the_host_is_no_wsl() -> None:
    host = wsl_host(**{"/usr/lib/wsl/lib/libdxcore.so": {"type": "file", "size": 3, "text": "no"}})
    plan, done = configure(host, make_root(), "--utility", "--device=all")
    assert done.failure is None
    assert f"{LIB}/libdxcore.so" not in targets(plan) and "/dev/dxg" not in targets(plan)
    assert "/dev/nvidiactl" in targets(plan)


@pytest.mark.parametrize(
    "host",
    [
        wsl_host(**{"/dev/dxg": {"type": "dir"}}),
        wsl_host(store="/elsewhere"),
        evolve(wsl_host(), data={"dxcore_driver_store_paths": []}),
        evolve(wsl_host(), data={"dxcore_driver_store_paths": ["/usr/lib/wsl/drivers/igfx"]}),
    ],
    ids=["no /dev/dxg", "no driver store", "DXCore refuses", "an adapter of another vendor"],
)
def test_a_dxcore_without_nvidias_adapter_ends_the_engine(host: HostProfile) -> None:
    plan, _ = configure(host, make_root(), "--utility", "--device=all")
    said = "nvidia-container-cli: initialization error: WSL environment detected but no adapters were found"
    assert plan.failure == said


def test_the_stores_that_a_profile_names_are_those_of_dxcore() -> None:
    named = ["/usr/lib/wsl/drivers/igfx", "/elsewhere"]
    host = evolve(wsl_host(store="/elsewhere"), data={"dxcore_driver_store_paths": named})
    plan, _ = configure(host, make_root(), "--device=all")
    assert "/elsewhere/libcuda.so.1.1" in targets(plan)


# ---- requirements ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "error"),
    [
        ("cuda>=12.2 brand=x", None),
        ("brand=NVIDIA,cuda<13", None),
        ("cuda>=12.2.0.0", None),
        ("cuda>=12.2.1", "unsatisfied condition: cuda>=12.2.1, please update your driver"),
        ("CUDA>=99", "unsatisfied condition: CUDA>=99"),
        (" cuda>=99", "unsatisfied condition: "),
        ("driver!535.54.03", "unsatisfied condition: driver!535.54.03"),
        ("driver<=535.54.3", None),
        ("cuda=>12", "invalid expression"),
        ("cuda>=12.x", "invalid expression"),
        ("brand>=tesla", "invalid expression"),
        (">=12", "invalid expression"),
        ("arch>=8,arch<9", None),
        (",, ,", None),
    ],
)
def test_requirements(expression: str, error: str | None) -> None:
    plan, _ = configure(make_host(), make_root(), "--device=0", f"--require={expression}")
    if error is None:
        assert plan.failure is None
    else:
        assert (plan.failure or "").startswith(f"nvidia-container-cli: requirement error: {error}")


# ---- queries -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"argv": "configure"},
        {"host": 3},
        {"container": []},
        {"host_changes": [["rm"]]},
        {"host_changes": [["paint", "/etc"]]},
        {"env": []},
    ],
)
def test_a_query_that_cannot_be_understood_is_an_input_error(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        answer("tool", {**query(cases()["caps-compute"]), **changes})


def test_a_host_is_changed_before_the_run() -> None:
    case = cases()["caps-compute"]
    answered = answer(
        "tool", query(case, host_changes=[["rm", "/dev/nvidia-uvm"], ["mkdir", "/new"], ["chmod", "/new", "0700"]])
    )
    assert "/dev/nvidia-uvm" not in [m["dst"] for m in answered["mounts"]]
    assert answered["rc"] == 0
