"""What the texts are that the real programs print when a container does not start: one table says which finding each of them is.

A container that starts needs none of this: `nvsim.diagnosis.find_start` imports it when there is a text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from nvsim.diagnosis.make import ask_all_gpus, env_of, finding
from nvsim.diagnosis.ways import new_spec, ways_to_ask
from nvsim.diagnosis.where import sentences
from nvsim.frozen import frozen
from nvsim.rootfs.node import Symlink
from nvsim.rootfs.resolve import Resolved, resolve
from nvsim.scenario.changes import RemoveFile, SetEnv
from nvsim.scenario.changes_host import LimitGpus, SetConfig, UseGpus, UseRuntime
from nvsim.scenario.engine_call import GPU_CAPABILITIES, gpus_request

if TYPE_CHECKING:
    from nvsim.diagnosis.model import Finding
    from nvsim.rootfs.tree import Tree
    from nvsim.scenario.changes import Change
    from nvsim.simulate import Result

    Facts = tuple[tuple[str, ...], tuple[Change, ...]]

# the decisions of the toolkit that a finding rests on
_DECISIONS = {
    "NVS105": ("requirements",),
    "NVS107": ("devices",),
    "NVS108": ("route",),
    "NVS114": ("route",),
    "NVS115": ("route",),
    "NVS109": ("mode",),
    "NVS110": ("capabilities",),
    "NVS113": ("devices", "mode"),
}


@frozen
class _Cause:
    """A text of the real programs (`pattern`, a regular expression that is searched) and the finding that it is."""

    pattern: str
    code: str
    subject: str
    facts: Callable[[Result, re.Match[str]], Facts] | None = None
    advice: str = ""


def cause_of(result: Result, text: str) -> Finding:
    """The finding that a failure's text is."""
    for cause in _CAUSES:
        match = re.search(cause.pattern, text)
        if match is not None:
            evidence, changes = cause.facts(result, match) if cause.facts else ((), ())
            why = sentences(tuple(b for what, b in result.request.because if what in _DECISIONS.get(cause.code, ())))
            return finding(cause.code, cause.subject, _line(text, match), (*evidence, *why), changes, cause.advice)
    if result.request.refused is not None:
        why = sentences(tuple(b for _, b in result.request.because))
        return finding("NVS104", result.request.refused.program, text.splitlines()[-1], why)
    return finding("NVS207", "injection", text.splitlines()[-1])


def _line(text: str, match: re.Match[str]) -> str:
    """The line of `text` that holds the match."""
    start = text.rfind("\n", 0, match.start()) + 1
    end = text.find("\n", match.end())
    return text[start : end if end >= 0 else len(text)].strip()


def _requirement(result: Result, match: re.Match[str]) -> Facts:
    driver = result.scenario.host.driver
    gpus = ", ".join(f"{g.model} (brand {g.brand}, compute {g.compute})" for g in result.scenario.host.gpus)
    facts = [f"the host's driver is {driver.version}, which is CUDA {driver.cuda}"]
    if gpus:
        facts.append(f"its GPUs: {gpus}")
    return tuple(facts), (SetEnv("NVIDIA_DISABLE_REQUIRE", "1", cost=3),)


def _devices(result: Result, match: re.Match[str]) -> Facts:
    gpus = result.scenario.host.gpus
    facts = tuple(f"the host has GPU {g.minor}: {g.uuid} ({g.model})" for g in gpus)
    return facts or ("the host has no GPU",), (ask_all_gpus(result),) if gpus else ()


def _in_the_way(result: Result, match: re.Match[str]) -> Facts:
    """A mount point that cannot be made: the link of the image that stands there."""
    path = re.sub(r"^(<rootfs>|.*/merged)/+", "/", match[1])
    tree = result.scenario.image.tree
    at = resolve(tree, path, follow=False)
    if not isinstance(at, Resolved):
        return _dangling(tree, path), ()
    if isinstance(at.node, Symlink):
        return (f"the image has the symlink {at.path} -> {at.node.target} there",), (RemoveFile(at.path),)
    return (f"the image has {at.path} there",), (RemoveFile(at.path),)


def _dangling(tree: Tree, path: str) -> tuple[str, ...]:
    """Links in the directory part of `path` that lead nowhere."""
    parts = path.strip("/").split("/")
    for count in range(1, len(parts)):
        prefix = "/" + "/".join(parts[:count])
        at = resolve(tree, prefix, follow=False)
        if (
            isinstance(at, Resolved)
            and isinstance(at.node, Symlink)
            and not isinstance(resolve(tree, prefix), Resolved)
        ):
            return (f"the image's symlink {prefix} -> {at.node.target} leads nowhere",)
    return ()


def _ldconfig(result: Result, match: re.Match[str]) -> Facts:
    tree = result.scenario.host.tree
    there = [p for p in ("/sbin/ldconfig", "/sbin/ldconfig.real") if isinstance(resolve(tree, p), Resolved)]
    facts = tuple(
        f"{p} {'exists' if p in there else 'does not exist'} on the host"
        for p in ("/sbin/ldconfig", "/sbin/ldconfig.real")
    )
    return facts, (SetConfig("nvidia-container-cli.ldconfig", f"@{there[0]}"),) if there else ()


def _host_library(result: Result, match: re.Match[str]) -> Facts:
    host = result.scenario.host
    root = host.driver.root
    facts = [f"the driver root is {root}"]
    if host.driver.version is None:
        facts.append("the host has no driver")
    return tuple(facts), (SetConfig("nvidia-container-cli.root", root),) if root != "/" else ()


def _capability(result: Result, match: re.Match[str]) -> Facts:
    changes: tuple[Change, ...] = (SetEnv("NVIDIA_DRIVER_CAPABILITIES", "all"),)
    return (f"NVIDIA_DRIVER_CAPABILITIES={env_of(result, 'NVIDIA_DRIVER_CAPABILITIES')}",), changes


def _other_way(result: Result, match: re.Match[str]) -> Facts:
    return (), ways_to_ask(result)


def _no_runtime(result: Result, match: re.Match[str]) -> Facts:
    return (), tuple(change for change in ways_to_ask(result) if isinstance(change, LimitGpus))


def _with_runtime(result: Result, match: re.Match[str]) -> Facts:
    return (), (UseRuntime(gpus=True),)


def _new_spec(result: Result, match: re.Match[str]) -> Facts:
    return (), new_spec(result)


def _missing_on_host(result: Result, match: re.Match[str]) -> Facts:
    capabilities = ",".join(result.request.capabilities or ())
    fewer = [c for c in ("compute", "utility") if c in (result.request.capabilities or ())]
    change = SetEnv("NVIDIA_DRIVER_CAPABILITIES", ",".join(fewer))
    narrower = fewer and fewer != list(result.request.capabilities or ())
    return (f"capabilities {capabilities} ask for {match[1]}, which the host lacks",), (change,) if narrower else ()


def _all_gpus(result: Result, match: re.Match[str]) -> Facts:
    return (f"--gpus {result.scenario.settings.gpus}",), (UseGpus("all"),)


def _count_or_ids(result: Result, match: re.Match[str]) -> Facts:
    """The list of devices that was meant where numbers follow the first; else the devices without the count."""
    text = result.scenario.settings.gpus or ""
    request = gpus_request(text)
    ids = ",".join(request.ids)
    if re.search(r"device=[^,\"]+,\d+$", text):
        ids += f",{request.count}"
    quoted = f'"device={ids}"' if "," in ids else f"device={ids}"
    return (f"--gpus {text} is read as the device {','.join(request.ids)} and the count {request.count}",), (
        UseGpus(quoted),
    )


def _fewer_gpus(result: Result, match: re.Match[str]) -> Facts:
    gpus = result.scenario.host.gpus
    return (f"the host has {len(gpus)} of them",), (LimitGpus(len(gpus)),) if gpus else ()


_KNOWN = rf"(?:{'|'.join((*GPU_CAPABILITIES, 'gpu', 'nvidia'))})"
_CAUSES = tuple(
    _Cause(*row)
    for row in (
        (r'could not select device driver "cdi"|\S+=\S+ is not an absolute path', "NVS115", "engine", None, "set features.cdi = true in /etc/docker/daemon.json (Docker 25 to 28), or use a newer Docker; or use --gpus"),
        (r'no runtime for "?\S+"? is configured|unknown or invalid runtime name|Unknown runtime specified|OCI runtime "\S+" not found', "NVS114", "engine", _no_runtime, "nvidia-ctk runtime configure, then restart the engine"),
        (r'could not select device driver "(?!nvidia")[^"]+"', "NVS108", "--gpus", _all_gpus, "the engine has no GPU driver of that name: leave driver= out"),
        (rf"could not select device driver .*\[\[(?:{_KNOWN} )*(?!{_KNOWN}[ \]])", "NVS108", "--gpus", _all_gpus, f"capabilities are {', '.join(GPU_CAPABILITIES)}"),
        (r"cannot set both Count and DeviceIDs", "NVS104", "--gpus", _count_or_ids, "a comma parts the fields of --gpus: a list of devices needs quotes of its own, --gpus '\"device=0,1\"'"),
        (r"Insufficient nvidia\.com/gpu", "NVS104", "nvidia.com/gpu", _fewer_gpus),
        (r"could not select device driver|AMD CDI spec not found|no known GPU vendor found", "NVS108", "engine", _other_way, "install nvidia-container-toolkit on the host and restart the engine, or use --runtime=nvidia"),
        (r"Cannot mkdir: \S+ is not a directory|workdir \"|container init: mkdir \S+: not a directory|chdir (?:to )?`", "NVS308", "-w"),
        (r"invoking the NVIDIA Container Runtime Hook directly", "NVS109", "hook", _with_runtime),
        (r"unsupported capabilities found", "NVS110", "NVIDIA_DRIVER_CAPABILITIES", _capability),
        (r"insufficient privileges to read device list", "NVS106", "NVIDIA_VISIBLE_DEVICES"),
        (r"unresolvable CDI devices ?(.*)", "NVS113", "CDI device", _new_spec),
        (r"requirement error: unsatisfied condition|requirements not met", "NVS105", "driver", _requirement, "a newer driver or an older image is the clean way; NVIDIA_DISABLE_REQUIRE only silences the check"),
        (r"driver/library version mismatch|[Dd]river/library version mismatch", "NVS203", "driver", None, "reboot the host, or reload the kernel modules"),
        (r"load library failed: (\S+?):", "NVS201", "libnvidia-ml.so.1", _host_library),
        (r"driver not loaded|cuda error: unknown error", "NVS219", "kernel module", None, "load it (modprobe nvidia), or keep NVIDIA's runtime away from hosts without a GPU"),
        (r"unknown device", "NVS107", "NVIDIA_VISIBLE_DEVICES", _devices),
        (r"open failed: \S*ld\.so\.cache: no such file", "NVS202", "ld.so.cache"),
        (r"detection error: open failed: (\S+): no such file", "NVS210", "ld.so.cache", None, "run ldconfig on the host, and remove what an old driver left behind"),
        (r"ldcache error: open failed: (\S*ldconfig\S*): no such file", "NVS205", "ldconfig", _ldconfig),
        (r"ldcache error: process|ldcache error: open failed: (?=\S*sbin)", "NVS205", "ldconfig", _ldconfig),
        (r"ldcache error|error loading ldcache|open /etc/ld\.so\.cache: no such file", "NVS202", "ld.so.cache"),
        (r"mount error: (?:file creation failed|path error): (\S+?): (?:file exists|no such device|not a directory|too many)", "NVS204", "mount", _in_the_way),
        (r"mount error: stat failed: (\S+?): no such file", "NVS215", "host file", _missing_on_host),
        (r"mount error|mount operation failed", "NVS204", "mount"),
        (r"cgroup", "NVS216", "device cgroup", None, "rootless engines: set nvidia-container-cli.no-cgroups = true; or use CDI"),
        (r"error while loading shared libraries", "NVS217", "nvidia-container-cli", None, "install the toolkit's package that is made for this distribution"),
        (r"fork/exec (\S*nvidia\S*?): no such file|exec: \S*nvidia-(?:cdi-hook|ctk)\S* .*no such file", "NVS213", "hook", None, "install it on the host; for CDI, generate the specification again with --nvidia-cdi-hook-path"),
        (r"failed to stat CDI host device|failed to (?:stat|fulfil|mount) \S+|error mounting \S+", "NVS212", "CDI specification", _new_spec),
        (r"failed to (?:locate|create|get) .*(?:libcuda|NVML|CDI|spec)|ERROR_LIBRARY_NOT_FOUND", "NVS211", "nvidia-ctk"),
        (r"error running (?:create\w+ ?)?hook|createContainer hook", "NVS214", "hook"),
    )
)  # fmt: skip
