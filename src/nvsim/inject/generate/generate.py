"""Generating a CDI spec for a host: devices and common edits by mode, and the tidy spec of both (toolkit: ``pkg/nvcdi``).

The command line of ``nvidia-ctk cdi generate`` is `nvsim.inject.generate.command`.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from contextlib import suppress

from nvsim.inject.cdi.library import LIBRARIES, NEWEST_LIBRARY
from nvsim.inject.cdi.spec import CdiDevice, CdiSpec, Edits
from nvsim.inject.generate.csv_generate import csv_common, csv_devices
from nvsim.inject.generate.devices import management_nodes
from nvsim.inject.generate.gated import GATED_MODES, gated_files, imex_channels, imex_device
from nvsim.inject.generate.generator import NO_SANDBOX, Generator
from nvsim.inject.generate.libraries import driver_files
from nvsim.inject.generate.nvml import nvml_common, nvml_devices
from nvsim.inject.generate.simplify import merged_device, simplify, with_merged_device
from nvsim.inject.generate.wsl import dxg_device, wsl_driver
from nvsim.inject.log import ToolFailure
from nvsim.toolkit.generation import GenerationRules


def device_specs(generator: Generator, ids: Sequence[str]) -> list[CdiDevice]:
    """The device specs for these ids, in order, one for each name. Raises `ToolFailure`."""
    mode = generator.mode
    if mode == "nvml":
        found = nvml_devices(generator, ids)
        generator.made = tuple(found)
        return found
    if mode == "csv":
        return csv_devices(generator, ids)
    if mode == "imex":
        try:
            channels = imex_channels(generator.driver, ids)
        except ToolFailure as e:
            raise e.within("failed to construct device spec generators") from None
        return [imex_device(generator.driver, channel) for channel in channels]
    edits = _only_device(generator)
    if mode == "management" and not edits.nodes:
        raise ToolFailure("no NVIDIA device nodes found")
    return [CdiDevice("all", edits)]


def _only_device(generator: Generator) -> Edits:
    """The edits of the device of a mode that has only one, whatever ids were asked for."""
    driver, hooks = generator.driver, generator.hooks
    if generator.mode == "management":
        discoverer, step = management_nodes(driver, hooks), "failed to create edits from discoverer"
    elif generator.mode == "wsl":
        discoverer, step = dxg_device(driver), "failed to create container edits for DXG device"
    else:
        discoverer, step = gated_files(driver, generator.mode), "failed to create container edits"
    try:
        return generator.edits(discoverer)
    except ToolFailure as e:
        raise e.within(step) from None


def common_edits(generator: Generator) -> Edits:
    """The edits that every device of the spec needs; newer releases add the variable that keeps a legacy hook quiet. Raises `ToolFailure`."""
    return _mode_edits(generator) + Edits(env=("NVIDIA_VISIBLE_DEVICES=void",) if generator.rules.void_devices else ())


def _mode_edits(generator: Generator) -> Edits:
    mode = generator.mode
    if mode == "nvml":
        return generator.edits(nvml_common(generator))
    if mode == "csv":
        return generator.edits(csv_common(generator))
    if mode == "wsl":
        try:
            driver = wsl_driver(generator.driver, generator.hooks)
        except ToolFailure as e:
            raise e.within("failed to create discoverer for WSL driver") from None
        return generator.edits(driver)
    if mode == "management":
        _find_version(generator)
        try:
            driver = driver_files(generator.driver, generator.hooks, generator.options.features)
        except ToolFailure as e:
            raise e.within("failed to create driver library discoverer") from None
        return generator.edits(driver)
    return Edits()


def _find_version(generator: Generator) -> None:
    """Before 1.18 management mode asks for the driver's version in its own way. Raises `ToolFailure`."""
    rules, driver = generator.rules, generator.driver
    if rules.driver_version != "nvml":
        return
    if rules.sandbox_library == "when-needed" and not generator.sandbox:
        generator.log.warning(NO_SANDBOX)
    if rules.management_version == "nvml" and generator.has_nvml:
        with suppress(ToolFailure):
            driver.known_version = generator.nvml().driver_version
            return
    try:
        path = driver.libcuda(".*.*")[0]
    except ToolFailure as e:
        raise e.within("failed to locate libcuda.so").within("failed to get CUDA version") from None
    driver.known_version = posixpath.basename(path).removeprefix("libcuda.so.")


def build_spec(
    devices: Sequence[CdiDevice], common: Edits, kind: str, rules: GenerationRules, merged: bool = False
) -> CdiSpec:
    """The spec, simplified as the release does; `merged` adds the device ``all``. Its version is the library's newest until it is saved."""
    library = LIBRARIES.get(rules.release.cdi_library, NEWEST_LIBRARY)
    spec = CdiSpec(library.newest, kind, tuple(devices), common)
    if rules.simplified == "sorted":
        spec = simplify(spec)
        return with_merged_device(spec) if merged else spec
    if merged:
        spec = merged_device(spec)
    return simplify(spec, in_order=False) if rules.simplified == "plain" else spec


def generate_spec(generator: Generator, ids: Sequence[str], vendor: str = "", cls: str = "") -> CdiSpec:
    """An in-memory spec as the runtime makes it. Raises `ToolFailure`."""
    devices = device_specs(generator, ids or ("all",))
    kind = f"{vendor or default_vendor(generator.mode)}/{cls or default_class(generator.mode)}"
    return build_spec(devices, common_edits(generator), kind, generator.rules)


def default_vendor(mode: str) -> str:
    return "management.nvidia.com" if mode == "management" else "nvidia.com"


def default_class(mode: str) -> str:
    if mode == "imex":
        return "imex-channel"
    return mode if mode in GATED_MODES else "gpu"
