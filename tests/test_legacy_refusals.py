"""Where the legacy engine stops or holds back, measured with libnvidia-container 1.12.1: permissions, odd files, empty options."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from legacyhosts import GPU, LIB, NEW, OLD, cache_entry, configure, host_tree, library, make_host, make_root
from nvsim.host.profile import MigDevice
from nvsim.inject.legacy.accounts import Accounts
from nvsim.inject.legacy.args import CliArgs, UsageError, parse_args
from nvsim.inject.legacy.engine import engine_named
from nvsim.inject.legacy.run import plan_legacy, run_cli
from nvsim.inject.plan import PlannedMount
from nvsim.rootfs.overlay import RootFS

CUDA = f"{LIB}/libcuda.so.535.54.03"
TLS = f"{LIB}/libnvidia-tls.so.535.54.03"
NOT_LOADED = "load library failed: libnvidia-ml.so.1: cannot open shared object file: no such file or directory"


def refusal(changes: dict[str, Any], *options: str, root: RootFS | None = None, engine: str = NEW) -> str | None:
    """What follows the program's name on stderr."""
    injected = configure(make_host(**changes), root or make_root(), *options, engine=engine)[1]
    return None if injected.failure is None else injected.failure.removeprefix("nvidia-container-cli: ")


def with_tls(**entry: Any) -> dict[str, Any]:
    """A host whose cache names a TLS library that is this file."""
    cache = host_tree()["/etc/ld.so.cache"]
    entries = [cache_entry("libnvidia-tls.so.535.54.03", TLS), *cache["ldcache"]]
    return {"/etc/ld.so.cache": {**cache, "ldcache": entries}, TLS: {"type": "file", "size": 4096, **entry}}


@pytest.mark.parametrize(
    ("changes", "stderr"),
    [
        ({CUDA: library("libcuda.so.1", mode="0200")}, f"detection error: open failed: {CUDA}: permission denied"),
        ({CUDA: {"type": "socket"}}, f"detection error: open failed: {CUDA}: no such device or address"),
        ({CUDA: {"type": "dir"}}, f"detection error: elf file read error: {CUDA}"),
        (with_tls(elf={}), f"detection error: elf section 0x7 missing: {TLS}"),
        (with_tls(text="x"), f"detection error: elf section read error: {TLS}: invalid `elf' handle"),
        (
            {f"{LIB}/libnvidia-ml.so.535.54.03": library("libnvidia-ml.so.1", mode="0600")},
            f"initialization error: {NOT_LOADED}",
        ),
    ],
)
def test_a_library_of_the_cache_that_cannot_be_read_stops_the_run(changes: dict[str, Any], stderr: str) -> None:
    assert refusal(changes, "--compute") == stderr


def test_a_tls_library_of_another_abi_is_passed_over() -> None:
    assert refusal(with_tls(elf={"abi_tag": "Linux 3.2.0"}), "--graphics") is None


def test_an_unprivileged_user_opens_nvml_unless_told_otherwise() -> None:
    host = make_host(**{f"{LIB}/libnvidia-ml.so.535.54.03": library("libnvidia-ml.so.1", mode="0600")})
    argv = ("configure", "--ldconfig=@/sbin/ldconfig")
    assert (
        plan_legacy(host, make_root(), argv, engine=NEW).failure
        == f"nvidia-container-cli: initialization error: {NOT_LOADED}"
    )
    assert plan_legacy(host, make_root(), ("--user", *argv), engine=NEW).failure is None


@pytest.mark.parametrize(
    ("user", "result"),
    [
        ("12:7", (12, 7)),
        ("root:video", (0, 44)),
        ("1000", (1000, 100)),
        ("7x", "invalid argument"),
        ("-1", "numerical result out of range"),
        ("4294967296:0", "numerical result out of range"),
        ("7", "no such file or directory"),
        ("nobody", "no such file or directory"),
        ("0:nobody", "no such file or directory"),
    ],
)
def test_a_user_is_a_number_or_an_account_of_the_host(user: str, result: tuple[int, int] | str) -> None:
    accounts = Accounts((("root", 0, 0), ("me", 1000, 100)), (("video", 44),))
    args = parse_args((f"--user={user}", "info"), engine_named(NEW), accounts)
    if isinstance(result, str):
        assert args == UsageError(f"nvidia-container-cli: input error: parse user/group failed: {result}")
    else:
        assert isinstance(args, CliArgs)
        assert args.user == result


def test_the_first_wrong_option_is_the_one_that_is_told() -> None:
    args = parse_args(("configure", "--pid=x", "--nonsense", "/r"), engine_named(NEW))
    assert args == UsageError("nvidia-container-cli: input error: parse pid failed: invalid argument")


@pytest.mark.parametrize(
    ("argv", "stage"),
    [
        (("--root=", "configure"), "initialization"),
        (("--ldcache=", "configure"), "initialization"),
        (("configure", "--ldconfig="), "container"),
    ],
)
def test_an_empty_path_is_an_invalid_argument(argv: tuple[str, ...], stage: str) -> None:
    failure = plan_legacy(make_host(), make_root(), argv, engine=NEW).failure
    assert failure == f"nvidia-container-cli: {stage} error: invalid argument"


def test_a_firmware_link_out_of_the_driver_root_fails_where_firmware_is_mounted() -> None:
    firmware = "/lib/firmware/nvidia/535.54.03/gsp_x.bin"
    changes = {firmware: {"type": "symlink", "target": "../../../../../x"}}
    plan, injected = configure(make_host(**changes), make_root(), "--compute")
    assert injected.failure == f"nvidia-container-cli: mount error: path error: {firmware} resolves outside of /"
    assert any(isinstance(m, PlannedMount) and m.kind == "library" for m in plan.mounts)  # what came before is planned


def test_an_old_engine_leaves_links_to_the_firmware_directory_to_the_kernel() -> None:
    firmware = {"/lib/firmware/nvidia/535.54.03/gsp_x.bin": {"type": "file", "size": 5}}
    root = make_root(**{"/lib": {"type": "symlink", "target": "nowhere"}})
    shown = "file creation failed: <rootfs>/lib/firmware/nvidia/535.54.03/gsp_x.bin: file exists"
    assert refusal(firmware, root=root, engine=OLD) == f"mount error: {shown}"
    assert refusal(firmware, root=root) is None  # a newer one makes the link's destination


def test_a_looping_compat_directory_stops_the_run_and_a_file_there_does_not() -> None:
    loop = {"/usr/local/cuda/compat": {"type": "symlink", "target": "compat"}}
    pattern = "<rootfs>/usr/local/cuda/compat/lib*.so.*"
    stderr = f"container error: glob search failed: {pattern}: too many levels of symbolic links"
    assert refusal({}, "--compute", root=make_root(**loop)) == stderr
    assert refusal({}, "--compute", root=make_root(**{"/usr/local/cuda/compat": {"type": "file", "size": 5}})) is None


def test_an_old_engine_does_not_mount_compat_libraries_that_it_does_not_know() -> None:
    compat = "/usr/local/cuda/compat/libnvidia-pkcs11-openssl3.so.550.1"
    root = make_root(**{compat: library("libnvidia-pkcs11-openssl3.so.550.1")})
    for engine, kinds in ((OLD, []), (NEW, ["compat-library"])):
        plan, _ = configure(make_host(), root, "--compute", engine=engine)
        assert [m.kind for m in plan.mounts if m.src == compat] == kinds


def test_a_regular_file_in_the_place_of_a_dynamic_device_is_mounted() -> None:
    _, injected = configure(make_host(**{"/dev/nvidia-uvm": {"type": "file", "size": 5}}), make_root(), "--compute")
    assert injected.failure is None
    assert "/dev/nvidia-uvm" in [m.dst for m in injected.rootfs.mounts]
    assert (
        refusal({"/dev/nvidiactl": {"type": "file", "size": 5}}) == "mount error: invalid device node: /dev/nvidiactl"
    )


def test_the_ldconfig_of_the_image_cannot_write_where_the_mode_forbids_it() -> None:
    program = {**library(""), "ldconfig": {"version": "2.34", "system_dirs": ["/lib64", "/usr/lib64"]}}
    entries = {"/sbin/ldconfig": program, LIB: {"type": "dir", "mode": "0555"}, "/sys": {"type": "dir"}}
    made = {}
    for ldconfig in ("/sbin/ldconfig", "@/sbin/ldconfig"):
        _, injected = configure(make_host(), make_root(**entries), "--compute", f"--ldconfig={ldconfig}")
        made[ldconfig] = {e.path for e in injected.effects if e.by == "ldconfig"}
    assert f"{LIB}/libcuda.so.1" not in made["/sbin/ldconfig"]
    assert f"{LIB}/libcuda.so.1" in made["@/sbin/ldconfig"]
    closed = make_root(**(entries | {"/etc": {"type": "dir", "mode": "0555"}}))
    stderr = "ldcache error: process /sbin/ldconfig failed with error code: 1"
    assert refusal({}, "--ldconfig=/sbin/ldconfig", root=closed) == stderr


def test_listing_mig_administration_names_every_capability_node_of_the_gpu() -> None:
    gpu = evolve(GPU, mig=(MigDevice("MIG-1", 1, 0),), mig_enabled=True)
    devices = {"type": "file", "size": 20, "text": "Character devices:\n234 nvidia-caps\n"}
    host = make_host((gpu,), **{"/proc/devices": devices})
    shown = run_cli(
        host, None, ("list", "--device=all", "--mig-config=all"), env={"PATH": "/usr/bin"}, engine=NEW
    ).stdout
    top = "/proc/driver/nvidia/capabilities"
    nodes = [f"/dev/nvidia-caps/nvidia-cap{minor}" for minor in (12, 13)]
    assert shown[-6:] == (
        f"{top}/mig/config",
        "/dev/nvidia-caps/nvidia-cap1",
        f"{top}/gpu0",
        "/dev/nvidia-caps",
        *nodes,
    )


def test_a_directory_as_the_host_s_ldconfig_can_be_opened_and_not_executed() -> None:
    stderr = "ldcache error: process /sbin/ldconfig failed with error code: 1"
    assert (
        refusal({"/sbin/ldconfig": {"type": "dir"}}, root=make_root(**{"/sys": {"type": "dir"}}), engine=OLD) == stderr
    )
