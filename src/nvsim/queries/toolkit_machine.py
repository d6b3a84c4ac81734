"""The machine of a query about the runtime (kinds ``runtime``, ``chain``): the minimal root of the recorded runs as a tree, and the run itself.

`nvsim.queries.toolkit_host` says which files there are; here they become the host that CDI specs are looked for and generated on.
"""

from __future__ import annotations

import json
from typing import Any

from nvsim.elf.facts import ElfFacts
from nvsim.frozen import evolve
from nvsim.inject.generate.host import CdiHost, Nvml, NvmlGpu
from nvsim.inject.runtime import RuntimeRun, run_runtime
from nvsim.queries.toolkit_host import GPU_NAMES, PROGRAMS, as_text, environ_of, host_files, platform_of
from nvsim.rootfs.node import Directory, File, FileFacts, Node, Special
from nvsim.rootfs.resolve import Resolver
from nvsim.rootfs.tree import MemoryTree
from nvsim.toolkit.go_strings import log_line
from nvsim.toolkit.hook import HookRun, run_hook
from nvsim.toolkit.oci_spec import Spec, decode_spec
from nvsim.toolkit.releases import Release
from nvsim.toolkit.runtime import HOOK_NAMES, RuntimeProcess
from nvsim.toolkit.runtime_log import shown

Query = dict[str, Any]

RUNTIME = "nvidia-container-runtime"
_MODES = {f"{RUNTIME}.cdi": "cdi", f"{RUNTIME}.legacy": "legacy"}
_ARGV = ("--log", "/out/log", "create", "--bundle", "/bundle", "c1")
_MODE_TOLD = ("Using requested mode", "Auto-detected mode as")
_REQUESTS_TOLD = (
    "could not resolve CDI devices",
    "Ignoring devices",
    "Ignoring invalid mount request",
    "Ignoring request",
)
_NVML = "/usr/lib64/libnvidia-ml.so.1"
_DXCORE = "/usr/lib64/libdxcore.so"
_LIBRARY_SIZE = 16384


def runtime_run(query: Query, release: Release) -> RuntimeRun | str:
    """The run of the query's binary, or why it cannot be run."""
    binary = str(query.get("binary", RUNTIME))
    if binary in _MODES and not release.mode_binaries:
        return "binary not part of this release"
    argv = query.get("argv")
    process = RuntimeProcess(
        (f"/usr/bin/{binary}", *(_ARGV if argv is None else map(str, argv))), environ_of(query), "/", _MODES.get(binary)
    )
    files = host_files(query)
    return run_runtime(
        process,
        host=machine(query, environ_of(query)),
        files=files,
        platform=platform_of(query, files),
        release=release,
    )


def hooks_after(query: Query, run: RuntimeRun, release: Release) -> tuple[Spec, list[HookRun]]:
    """The container's spec after a run that ended well, and the runs of NVIDIA's prestart hooks in it, each by its own arguments."""
    files = host_files(query)
    bundle = str(query.get("bundle", "/bundle"))
    path = f"{bundle.rstrip('/')}/config.json"
    text = json.dumps(run.spec) if run.spec is not None else files.read(path) or "{}"
    spec = decode_spec(text, release.version, strict=False)
    after = evolve(files, read=lambda p: text if p == path else files.read(p))
    hooks = [h for h in (spec.get("hooks") or {}).get("prestart") or () if h["path"].rpartition("/")[2] in HOOK_NAMES]
    runs = []
    for hook in hooks:
        args = hook.get("args") or [hook["path"]]
        env = dict(e.split("=", 1) for e in hook["env"] if "=" in e) if hook.get("env") else environ_of(query)
        runs.append(
            run_hook(
                args[1:],
                state=json.dumps({"pid": 1234, "bundle": bundle}),
                environ=env,
                files=after,
                platform=platform_of(query, files),
                release=release,
                argv0=args[0],
            )
        )
    return spec, runs


def machine(query: Query, environ: dict[str, str]) -> CdiHost:
    """The host of a query as a tree."""
    host = query.get("host") or {}
    nodes: dict[str, Node] = {"/": Directory(), "/dev/null": Special("char", (1, 3), 0o666)}
    texts = {**(host.get("files") or {}), **{p: as_text(s) for p, s in (query.get("cdi_specs") or {}).items()}}
    programs = [*(f"/usr/bin/{name}" for name in PROGRAMS), *(host.get("executables") or ())]
    for path in programs:
        nodes[str(path)] = File(0, ("query", path), FileFacts(), 0o755)
    for path, text in texts.items():
        nodes[str(path)] = File(len(str(text)), ("query", path), FileFacts(text=str(text)), 0o644)
    if host.get("nvml"):
        nodes[_NVML] = File(_LIBRARY_SIZE, ("query", _NVML), FileFacts(elf=ElfFacts(soname="libnvidia-ml.so.1")), 0o644)
    if host.get("dxcore"):
        nodes[_DXCORE] = File(_LIBRARY_SIZE, ("query", _DXCORE), FileFacts(elf=ElfFacts(soname="libdxcore.so")), 0o644)
    for path in host.get("missing") or ():
        nodes.pop(str(path), None)
    return CdiHost(Resolver(MemoryTree("minimal", nodes)), _nvml(host.get("nvml")), (), environ)


def _nvml(kind: str | None) -> Nvml | None:
    """A library that answers count and names of GPUs, nothing else."""
    if kind is None:
        return None
    gpus = tuple(NvmlGpu("", i, None, name) for i, name in enumerate(GPU_NAMES[kind]))
    return Nvml("", 0, gpus, 999 if kind == "initfail" else 0)


def mode_log(run: RuntimeRun) -> str | None:
    """The first line of the log file that tells the mode."""
    return next((text for _, text in shown(run.log, run.log_level) if text.startswith(_MODE_TOLD)), None)


def warnings(run: RuntimeRun) -> list[str]:
    """The lines of the log file that tell of requests which were ignored or not met."""
    lines = shown(run.log, run.log_level)
    return [log_line(level, text) for level, text in lines if level == "warning" and text.startswith(_REQUESTS_TOLD)]
