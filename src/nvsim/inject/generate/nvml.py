"""CDI devices and common edits of a host with NVML (toolkit: ``pkg/nvcdi/lib-nvml.go``, ``full-gpu-nvml.go``, ``mig-device-nvml.go``)."""

from __future__ import annotations

from collections.abc import Sequence

from nvsim.frozen import evolve
from nvsim.inject.cdi.spec import CdiDevice, Edits
from nvsim.inject.device_ids import is_gpu_index, is_mig_index, is_uuid
from nvsim.inject.generate.devices import control_nodes, folder_permissions, full_gpu, mig_device
from nvsim.inject.generate.discover import Discoverer, Found, hook, merge, remembered
from nvsim.inject.generate.generator import NO_SANDBOX, Generator
from nvsim.inject.generate.graphics import graphics_files
from nvsim.inject.generate.host import Nvml, NvmlGpu, NvmlMig, nvml_text
from nvsim.inject.generate.libraries import driver_files, sockets
from nvsim.inject.log import ToolFailure
from nvsim.toolkit.go_text import go_quote

COHERENT = "gpu.nvidia.com/coherent"
Chosen = tuple[int, NvmlGpu, NvmlMig | None]


def nvml_devices(generator: Generator, ids: Sequence[str]) -> list[CdiDevice]:
    """The device specs for these ids, one for each name. Raises `ToolFailure`."""
    if generator.rules.driver_version == "nvml":
        nvml = generator.nvml()
        if generator.rules.sandbox_library == "when-needed" and not generator.sandbox:
            generator.log.warning(NO_SANDBOX)
        if "all" in ids:
            return _made(generator, _every(nvml, mig_parents=generator.rules.mig_parents))
        return _identified(generator, nvml, ids)
    try:
        chosen = _chosen(generator.nvml(), ids)
    except ToolFailure as e:
        raise e.within("failed to construct device spec generators") from None
    if chosen is None and generator.rules.none_device == "no-device":
        return []
    if chosen is None:
        return [CdiDevice("none", Edits(env=("NVCT_EMPTY_DEVICE=",)))]
    return _made(generator, chosen)


def _identified(generator: Generator, nvml: Nvml, ids: Sequence[str]) -> list[CdiDevice]:
    """The devices of these ids before 1.18, each named as it was asked for. Raises `ToolFailure`."""
    handles: list[Chosen] = []
    for ident in ids:
        try:
            handles.append(_handle(nvml, ident))
        except ToolFailure as e:
            named = e.within(f"failed to get NVML device handle for identifier {go_quote(ident)}")
            raise named.within("failed to get NVML device handles") from None
    return [evolve(_made(generator, [h])[0], name=ident) for ident, h in zip(ids, handles, strict=True)]


def _handle(nvml: Nvml, ident: str) -> Chosen:
    """The device that an id means. Raises `ToolFailure` in the words before 1.18."""
    if is_uuid(ident):
        found = next((c for c in _every(nvml, mig_parents=True) if ident in _uuids(c)), None)
        if found is None:
            raise ToolFailure(nvml_text(6))
        return found
    gpu, colon, mig = ident.partition(":")
    if not (is_gpu_index(ident) or is_mig_index(ident)):
        raise ToolFailure(f"identifier is not a valid UUID or index: {go_quote(ident)}")
    if int(gpu) >= len(nvml.gpus):
        raise ToolFailure(f"failed to get parent device handle: {nvml_text(2)}" if colon else nvml_text(2))
    device = nvml.gpus[int(gpu)]
    if not colon:
        return int(gpu), device, None
    part = next((m for m in device.mig if m.index == int(mig)), None)
    if part is None:
        raise ToolFailure(nvml_text(6))
    return int(gpu), device, part


def _uuids(chosen: Chosen) -> tuple[str, ...]:
    """The UUIDs of a device; a MIG device has an old form too."""
    _, gpu, mig = chosen
    return (gpu.uuid,) if mig is None else (mig.uuid, f"MIG-{gpu.uuid}/{mig.gi}/{mig.ci}")


def _made(generator: Generator, chosen: Sequence[Chosen]) -> list[CdiDevice]:
    """The device specs of these GPUs and MIG devices, in order. Raises `ToolFailure`."""
    out: list[CdiDevice] = []
    for index, gpu, mig in chosen:
        out += gpu_devices(generator, index, gpu) if mig is None else _mig_devices(generator, index, gpu, mig)
    return out


def _every(nvml: Nvml, *, mig_parents: bool = False) -> list[Chosen]:
    """All GPUs, those in MIG mode only with `mig_parents`, then all MIG devices."""
    visited = [(i, g) for i, g in enumerate(nvml.gpus) if g in nvml.visited()]
    full: list[Chosen] = [(i, g, None) for i, g in visited if mig_parents or not g.mig_enabled]
    return full + [(i, g, m) for i, g in visited for m in g.mig]


def _chosen(nvml: Nvml, ids: Sequence[str]) -> list[Chosen] | None:
    """The GPUs and MIG devices that the ids mean; None for ``none``. The first of ``all`` and ``none`` decides alone."""
    for ident in ids:
        if ident == "none":
            return None
        if ident == "all":
            return _every(nvml)
    uuids = [_uuid(nvml, ident) for ident in ids]
    return [_by_uuid(nvml, uuid) for uuid in uuids]


def _uuid(nvml: Nvml, ident: str) -> str:
    if is_uuid(ident):
        return ident
    if is_gpu_index(ident):
        if int(ident) >= len(nvml.gpus):
            raise ToolFailure(f"failed to get device handle from index: {nvml_text(2)}")
        return nvml.gpus[int(ident)].uuid
    if is_mig_index(ident):
        gpu, _, mig = ident.partition(":")
        if int(gpu) >= len(nvml.gpus):
            raise ToolFailure(f"failed to get parent device handle: {nvml_text(2)}")
        found = next((m for m in nvml.gpus[int(gpu)].mig if m.index == int(mig)), None)
        if found is None:
            raise ToolFailure(f"failed to get MIG handle by index: {nvml_text(6)}")
        return found.uuid
    raise ToolFailure(f"identifier is not a valid UUID or index: {go_quote(ident)}")


def _by_uuid(nvml: Nvml, uuid: str) -> Chosen:
    for i, gpu in enumerate(nvml.gpus):
        for mig in (None, *gpu.mig):
            if uuid in _uuids((i, gpu, mig)):
                return i, gpu, mig
    raise ToolFailure(f"failed to get device handle from UUID: {nvml_text(6)}")


def gpu_devices(generator: Generator, index: int, gpu: NvmlGpu, *more: Discoverer) -> list[CdiDevice]:
    """The specs of a full GPU, one for each name, with what `more` finds added. Raises `ToolFailure`."""
    try:
        nodes = full_gpu(generator.driver, generator.hooks, gpu)
    except ToolFailure as e:
        raise _within(e, generator.rules.device_steps) from None
    chmod = folder_permissions(generator.hooks, nodes) if generator.rules.chmod_hook != "common" else None
    edits = _edits(generator, merge(nodes, chmod, *more), "device")
    annotations = {}
    if "enable-coherent-annotations" in generator.options.features:
        annotations[COHERENT] = "true" if gpu.coherent else "false"
    try:
        names = generator.gpu_names(index, gpu.uuid)
    except ToolFailure as e:
        raise e.within("failed to get device names") from None
    return [CdiDevice(name, edits, annotations) for name in names]


def _mig_devices(generator: Generator, index: int, gpu: NvmlGpu, mig: NvmlMig) -> list[CdiDevice]:
    try:
        nodes = mig_device(generator.driver, generator.hooks, gpu, mig)
    except ToolFailure as e:
        raise _within(e, generator.rules.mig_steps) from None
    edits = _edits(generator, nodes, "Compute Instance")
    place = f"{index}:{mig.index}"
    names = generator.names({"index": place, "type-index": f"mig{place}", "uuid": mig.uuid})
    return [CdiDevice(name, edits) for name in names]


def _within(failure: ToolFailure, steps: Sequence[str]) -> ToolFailure:
    """A failure within these steps, the outermost first."""
    for step in reversed(steps):
        failure = failure.within(step)
    return failure


def _edits(generator: Generator, discoverer: Discoverer, what: str) -> Edits:
    try:
        return generator.edits(discoverer)
    except ToolFailure as e:
        step = f"failed to create container edits for {what}"
        raise e.within(step).within("failed to get CDI device edits") from None


def nvml_common(generator: Generator) -> Discoverer:
    """What every GPU container needs: control nodes, graphics, driver files, the application profile. Raises `ToolFailure`."""
    driver, hooks, rules = generator.driver, generator.hooks, generator.rules
    first = None
    if rules.sockets == "var-run":  # they are looked for before all else
        first = remembered(sockets(driver))
        first.mounts()
    graphics = None
    try:
        graphics = graphics_files(driver, hooks)
    except ToolFailure as e:
        if rules.graphics_needed:
            step = "error constructing discoverer for graphics mounts"
            raise e.within(step).within("failed to create discoverer for common entities") from None
        generator.log.warning(f"failed to create discoverer for graphics mounts: {e.text}")
    try:
        if rules.driver_version == "nvml":
            driver.known_version = generator.nvml().driver_version
        files = driver_files(driver, hooks, generator.options.features)
    except ToolFailure as e:
        step = "failed to create discoverer for driver files"
        raise e.within(step).within("failed to create discoverer for common entities") from None
    chmod = _common_permissions(generator) if rules.chmod_hook == "common" else None
    return merge(first, control_nodes(driver), graphics, files, hook(hooks, "update-application-profile"), chmod)


def _common_permissions(generator: Generator) -> Discoverer:
    """One hook that opens the directories of the nodes of all devices."""
    nodes = tuple(Found(n.host_path or n.path, n.path) for d in generator.made for n in d.edits.nodes)
    return folder_permissions(generator.hooks, Discoverer(devices=lambda: nodes))
