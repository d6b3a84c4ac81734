"""CDI devices and common edits of a Tegra host (toolkit: ``pkg/nvcdi/lib-csv.go``)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from nvsim.inject.cdi.spec import CdiDevice
from nvsim.inject.device_ids import is_gpu_index, is_gpu_uuid, is_mig_index, is_mig_uuid, is_plain_uuid
from nvsim.inject.generate.csv_discover import csv_entities, csv_everything
from nvsim.inject.generate.csv_files import MountSpecs, matcher, read_specs, without
from nvsim.inject.generate.devices import CONTROL_NODES, control_nodes
from nvsim.inject.generate.discover import Discoverer, hook, merge
from nvsim.inject.generate.generator import Generator
from nvsim.inject.generate.host import Nvml, NvmlGpu, nvml_text, open_nvml
from nvsim.inject.generate.libraries import ldcache_hook
from nvsim.inject.generate.nvml import gpu_devices
from nvsim.inject.log import ToolFailure
from nvsim.toolkit.go_text import go_quote
from nvsim.toolkit.request import Because

_GPU_NODE = re.compile(r"/dev/nvidia[0-9]+\Z")
_NO_DEVICES = ("dir", "lib", "sym")
Devices = Callable[[], list[CdiDevice]]


def csv_devices(generator: Generator, ids: Sequence[str]) -> list[CdiDevice]:
    """The device specs for these ids: integrated and discrete GPU apart where NVML knows several GPUs, else one device 0."""
    if generator.rules.csv_device != "nodes":
        return _whole_device(generator, ids)
    nvml = _several_gpus(generator)
    if nvml is not None:
        try:
            chosen = _mixed(generator, nvml, ids)
        except ToolFailure as e:
            generator.log.warning(
                f"Failed to create mixed CSV spec generator; falling back to pure CSV implementation: {e.text}"
            )
        else:
            return [device for devices in chosen for device in devices()]
    _check_ids(ids)
    return _listed_device(generator, 0, "", _entities(generator, _device_specs(generator)))


def _check_ids(ids: Sequence[str]) -> None:
    """Where there is one device, it can be asked for as ``all`` and ``0``. Raises `ToolFailure`."""
    for ident in ids:
        if ident not in ("all", "0"):
            raise ToolFailure(f"failed to construct device spec generators: unsupported device id: {ident}")


def _whole_device(generator: Generator, ids: Sequence[str]) -> list[CdiDevice]:
    """The one device before 1.19, which has all that the CSV files list."""
    _check_ids(ids)
    specs = read_specs(generator.host, generator.log, generator.csv_files)
    specs = without(specs, ("sym",), matcher(generator.options.csv_ignore))
    named = generator.rules.csv_device == "everything-named" and "uuid" in generator.options.names
    unnamed = "failed to get device UUID: GetUUID is not supported" if named else ""
    return _listed_device(generator, 0, "", csv_everything(generator.driver, generator.hooks, specs), unnamed)


def _entities(generator: Generator, specs: MountSpecs) -> Discoverer:
    return csv_entities(generator.driver, generator.hooks, specs)


def _several_gpus(generator: Generator) -> Nvml | None:
    if "disable-multiple-csv-devices" in generator.options.features or not generator.has_nvml:
        return None
    try:
        nvml = open_nvml(generator.host, generator.nvml_library)
    except ToolFailure:
        return None
    return nvml if len(nvml.gpus) > 1 else None


def _mixed(generator: Generator, nvml: Nvml, ids: Sequence[str]) -> list[Devices]:
    """For each id, what makes its devices. Raises `ToolFailure` for an id that cannot be told."""
    every = [str(i) for i in range(len(nvml.gpus))] if "all" in ids else ids
    out = []
    for ident in every:
        try:
            index = _index(nvml, ident)
            out.append(_one_gpu(generator, index, nvml.gpus[index]))
        except ToolFailure as e:
            raise e.within(f"failed to create device spec generator for device {go_quote(ident)}") from None
    return out


def _index(nvml: Nvml, ident: str) -> int:
    if is_gpu_uuid(ident) or is_plain_uuid(ident):
        index = next((i for i, g in enumerate(nvml.gpus) if g.uuid == ident), None)
        if index is None:
            raise ToolFailure(f"failed to get device handle from UUID {go_quote(ident)}: {nvml_text(6)}")
        return index
    if is_gpu_index(ident):
        if int(ident) >= len(nvml.gpus):
            raise ToolFailure(f"failed to get device handle from index: {nvml_text(2)}")
        return int(ident)
    if is_mig_uuid(ident) or is_mig_index(ident):
        raise ToolFailure(f"generating a CDI spec for MIG id {go_quote(ident)} is not supported in CSV mode")
    raise ToolFailure(f"identifier is not a valid UUID or index: {go_quote(ident)}")


def _one_gpu(generator: Generator, index: int, gpu: NvmlGpu) -> Devices:
    if _is_integrated(gpu):
        if index != 0:
            raise ToolFailure(f"unexpected device index for iGPU: {index}")
        return lambda: _listed_device(generator, index, gpu.uuid, _entities(generator, _integrated_specs(generator)))
    if index != 1:
        raise ToolFailure(f"unexpected device index for dGPU: {index}")

    specs = _discrete_specs(generator)
    nothing = (
        None if specs else csv_entities(generator.driver, generator.hooks, specs)
    )  # which is said before any search

    def discrete() -> list[CdiDevice]:
        listed = nothing or csv_entities(generator.driver, generator.hooks, specs)
        return gpu_devices(generator, index, gpu, control_nodes(generator.driver), listed)

    return discrete


def _is_integrated(gpu: NvmlGpu) -> bool:
    """By its PCI place (0000:01:00), where NVML tells one; else by its name."""
    bus_id = gpu.bus_id
    return gpu.integrated if bus_id is None else bus_id.startswith("0000:01:00")


def _listed_device(
    generator: Generator, index: int, uuid: str, listed: Discoverer, unnamed: str = ""
) -> list[CdiDevice]:
    """The device of what the CSV files list, one for each name. `unnamed`: why it has none."""
    try:
        edits = generator.edits(listed)
    except ToolFailure as e:
        raise e.within("failed to create container edits for CSV files") from None
    try:
        if unnamed:
            raise ToolFailure(unnamed)
        names = generator.gpu_names(index, uuid)
    except ToolFailure as e:
        raise e.within("failed to get device name") from None
    return [CdiDevice(name, edits) for name in names]


def _device_specs(generator: Generator) -> MountSpecs:
    """The device nodes of the CSV files."""
    specs = read_specs(generator.host, generator.log, generator.csv_files)
    return without(specs, _NO_DEVICES, lambda path: True)


def _integrated_specs(generator: Generator) -> MountSpecs:
    specs = without(_device_specs(generator), ("dev",), matcher(("/dev/nvidia1",)))
    return {**specs, "dev": (*specs.get("dev", ()), "/dev/nvidia2")}


def _discrete_specs(generator: Generator) -> MountSpecs:
    specs = without(_device_specs(generator), ("dev",), lambda path: _GPU_NODE.match(path) is not None)
    return without(specs, ("dev",), matcher(CONTROL_NODES))


def csv_common(generator: Generator) -> Discoverer:
    """Directories, libraries and links of the CSV files, and the hooks that make them usable; nothing where the device has all that."""
    if generator.rules.csv_device != "nodes":
        return Discoverer()
    specs = read_specs(generator.host, generator.log, generator.csv_files)
    specs = without(specs, ("dev",), lambda path: True)
    specs = without(specs, ("sym",), matcher(generator.options.csv_ignore))
    listed = csv_entities(generator.driver, generator.hooks, specs)
    return merge(listed, _compat_hook(generator), ldcache_hook(generator.hooks, listed))


def _compat_hook(generator: Generator) -> Discoverer | None:
    """The forward compatibility hook, told the CUDA version, and where Orin's libraries lie on an Orin; only with NVML."""
    if not generator.has_nvml:
        return None
    try:
        nvml = open_nvml(generator.host, generator.nvml_library)
    except ToolFailure as e:
        generator.log.warning(f"Skipping CUDA Forward Compat hook creation: failed to initialize NVML: {e.text}")
        return None
    cuda = f"{nvml.cuda_version // 1000}.{nvml.cuda_version % 1000 // 10}"
    args = [f"--host-cuda-version={cuda}"]
    if any("Orin (nvgpu)" in gpu.name for gpu in nvml.visited()):
        args.append(f"--cuda-compat-container-root={generator.csv_compat_root}")
    because = (Because("host driver.cuda", f"the driver of the host supports CUDA {cuda}"),)
    return hook(generator.hooks, "enable-cuda-compat", *args, because=because)
