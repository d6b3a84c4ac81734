"""The OCI runtime config of a container as the engine writes it, before any NVIDIA program edits it (moby ``daemon/oci_linux.go``).

Only what the NVIDIA toolkit and the low-level runtime look at is written: process, mounts, annotations, Docker's own prestart hook.
"""

from __future__ import annotations

from typing import Any

from nvsim.scenario.engine import Process, capabilities_of
from nvsim.scenario.engine_call import Call
from nvsim.scenario.model import Scenario, Settings

_STANDARD_MOUNTS = (
    ("/proc", "proc", "proc", ("nosuid", "noexec", "nodev")),
    ("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
    ("/dev/pts", "devpts", "devpts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5")),
    ("/sys", "sysfs", "sysfs", ("nosuid", "noexec", "nodev", "ro")),
    ("/sys/fs/cgroup", "cgroup", "cgroup", ("ro", "nosuid", "noexec", "nodev")),
    ("/dev/mqueue", "mqueue", "mqueue", ("nosuid", "noexec", "nodev")),
    ("/dev/shm", "tmpfs", "shm", ("nosuid", "noexec", "nodev", "mode=1777")),
)
_ENGINE_FILES = ("/etc/resolv.conf", "/etc/hostname", "/etc/hosts")
HOOK_PATH = "/usr/bin/nvidia-container-runtime-hook"


def oci_config(scenario: Scenario, process: Process, call: Call) -> dict[str, Any]:
    """The config as an object; ``process.env`` in the order in which the process gets it."""
    settings = scenario.settings
    bounding = list(capabilities_of(settings))
    config: dict[str, Any] = {
        "ociVersion": "1.2.0",
        "process": {
            "user": {"uid": process.uid, "gid": process.gid},
            "args": list(process.argv),
            "env": list(process.env),
            "cwd": process.cwd,
            "capabilities": {"bounding": bounding, "effective": bounding, "permitted": bounding},
        },
        "root": {"path": "rootfs", "readonly": settings.read_only},
        "mounts": _mounts(settings, call),
        "linux": {"resources": {"devices": [{"allow": False, "access": "rwm"}]}},
    }
    annotations = dict((*settings.annotations, *call.annotations))
    if annotations:
        config["annotations"] = annotations
    if call.hook:
        hook = {"path": HOOK_PATH, "args": ["nvidia-container-runtime-hook", "prestart"]}
        config["hooks"] = {"prestart": [hook]}
    return config


def _mounts(settings: Settings, call: Call) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = [
        {"destination": dst, "type": kind, "source": src, "options": list(options)}
        for dst, kind, src, options in _STANDARD_MOUNTS
    ]
    files = [(path, f"/var/lib/docker/containers/ID{path}", "rw") for path in _ENGINE_FILES]
    files += [(v.dst, v.src, "ro" if v.readonly else "rw") for v in (*settings.volumes, *call.volumes)]
    for dst, src, access in files:
        out.append({"destination": dst, "type": "bind", "source": src, "options": ["rbind", access, "rprivate"]})
    return out
