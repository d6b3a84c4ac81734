"""The steps of nvidia-container-runtime that make container edits: the modes cdi, jit-cdi and csv, gated features, graphics, Tegra's files
(toolkit: ``internal/modifier``).

What the graphics and csv steps find on the host is in `nvsim.inject.runtime_graphics` and `nvsim.inject.runtime_csv`; when a step is taken is
in `nvsim.inject.runtime_steps`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nvsim.inject.cdi.inject import apply_edits
from nvsim.inject.cdi.library import LIBRARIES, NEWEST_LIBRARY, CdiLibrary
from nvsim.inject.cdi.registry import Registry, load_registry
from nvsim.inject.cdi.spec_files import spec_files
from nvsim.inject.cdi_runtime import CdiSettings, Injection, generated_specs, inject, without_nvidia_hooks
from nvsim.inject.generate.discover import Discoverer, HookCreator, edits_of, formed, hook, merge
from nvsim.inject.generate.driver import Driver
from nvsim.inject.generate.gated import gated_files
from nvsim.inject.log import ToolFailure
from nvsim.toolkit.cdi_request import CdiRequest, Generated, cdi_request
from nvsim.toolkit.generation import generation_rules
from nvsim.toolkit.requirements import RequirementError, parse_requirements, unmet
from nvsim.toolkit.requirements_env import requirements, requirements_disabled
from nvsim.toolkit.runtime import DEFAULT_CTK, named_program

if TYPE_CHECKING:
    from nvsim.inject.runtime_steps import Editing, Modifier
    from nvsim.toolkit.oci_spec import Spec


def _library(editing: Editing) -> CdiLibrary:
    return LIBRARIES.get(editing.release.cdi_library, NEWEST_LIBRARY)


def _hooks(editing: Editing) -> HookCreator:
    return HookCreator(named_program(editing.config.ctk.path, DEFAULT_CTK, editing.process, editing.files))


def _driver(editing: Editing) -> Driver:
    root = editing.config.cli.root
    return Driver(editing.host, editing.log, root, root, rules=generation_rules(editing.release))


def _no_gids(editing: Editing) -> bool:
    return bool(editing.config.features.no_additional_gids_for_device_nodes)


def _every_csv(editing: Editing) -> bool:
    return editing.view.env.get("NVIDIA_REQUIRE_JETPACK") == "csv-mounts=all"


def _request(editing: Editing) -> CdiRequest:
    """The CDI request of the mode; what the look-up of devices says is logged."""
    found = cdi_request(editing.view, editing.mode, editing.config.runtime.modes.cdi.default_kind, editing.release)
    for level, text in found.log:
        editing.log.add(level, text)
    return found


def _specs(editing: Editing, requests: Sequence[Generated]) -> Injection:
    """The in-memory specs for these requests. Raises `ToolFailure`."""
    jit, csv = editing.config.runtime.modes.jit_cdi, editing.config.runtime.modes.csv
    settings = CdiSettings(
        driver_root=editing.config.cli.root,
        hook_path=_hooks(editing).path,
        features=jit.feature_flags,
        disabled_hooks=jit.disable_hooks,
        no_gids=_no_gids(editing),
        csv_dir=csv.mount_spec_path,
        csv_compat_root=csv.compat_container_root,
        rules=generation_rules(editing.release),
        modes=editing.release.automatic_modes,
        every_csv=_every_csv(editing),
    )
    return Injection(tuple(generated_specs(editing.host, settings, requests, editing.log)))


def _injected(editing: Editing, injection: Injection) -> Modifier:
    def apply(spec: Spec) -> Spec:
        editing.applied.extend(injection.edits())
        told = editing.release.unresolved_devices_told
        return inject(spec, editing.host, injection, editing.log, _library(editing), tell_unresolved=told)

    return apply


def _edited(editing: Editing, discoverer: Discoverer) -> Modifier:
    """The edits for what a discoverer finds, in the form that the release gives them."""

    def apply(spec: Spec) -> Spec:
        by_path = generation_rules(editing.release).device_nodes == "path"
        try:
            edits = edits_of(discoverer, editing.host.resolver, no_gids=_no_gids(editing), by_path=by_path)
        except ToolFailure as e:
            raise e.within("failed to get required container edits") from None
        edits = formed(edits, editing.release)
        editing.applied.append(edits)
        return apply_edits(spec, edits, editing.host.resolver, _library(editing))

    return apply


# ---- the steps of every mode


def gated_edits(editing: Editing, modes: tuple[str, ...], *, compat: bool) -> Modifier | None:
    """The gated features `modes`, and the CUDA compatibility hook. Raises `ToolFailure`."""
    if editing.release.gated_by_generated_cdi:
        gated = _specs(editing, [Generated(mode) for mode in modes]) if modes else None
        hooks = _compat_hooks(editing) if compat else None
        steps = [_injected(editing, gated)] if gated is not None else []
        steps += [_edited(editing, hooks)] if hooks is not None else []
        return _sequence(steps)
    found = [gated_files(_driver(editing), mode) for mode in modes]
    return _edited(editing, merge(*found, _compat_hooks(editing) if compat else None))


def _compat_hooks(editing: Editing) -> Discoverer:
    """The hook that prefers the container's CUDA compatibility libraries. Raises `ToolFailure`."""
    release = editing.release
    try:
        args = [f"--host-driver-version={_driver(editing).version()}"]
    except ToolFailure as e:
        if release.compat_hook_needs_driver:
            failed = e.within("failed to get driver version")
            raise failed.within("failed to construct CUDA Compat discoverer") from None
        args = []
    compat = hook(_hooks(editing), "enable-cuda-compat", *args)
    if release.cuda_compat_hook == "alone" or editing.mode != "legacy":
        return compat
    return merge(compat, hook(_hooks(editing), "update-ldcache"))


def graphics_edits(editing: Editing) -> Modifier:
    """What the graphics step of legacy mode adds."""
    from nvsim.inject.runtime_graphics import graphics_discoverer

    devices = editing.devices or ()
    return _edited(editing, graphics_discoverer(_driver(editing), _hooks(editing), devices, editing.release))


def tegra_edits(editing: Editing) -> Modifier:
    """The files by which a Tegra system is known."""
    from nvsim.inject.runtime_csv import tegra_files

    return _edited(editing, tegra_files(editing.host, editing.log))


# ---- csv


def csv_edits(editing: Editing) -> Modifier | None:
    """The step of csv mode. Raises `ToolFailure`."""
    if editing.devices is None:
        return None
    error = _unmet_requirements(editing)
    if error is not None:
        raise ToolFailure(f"requirements not met: {error}")
    how = editing.release.csv_step
    if how == "spec-by-device":
        return _injected(editing, _specs(editing, _request(editing).generate or ()))
    if how != "hooks":
        return _sequence([without_nvidia_hooks, _injected(editing, _specs(editing, [Generated("csv")]))])
    csv = editing.config.runtime.modes.csv
    from nvsim.inject.runtime_csv import csv_discoverer

    where, every = csv.mount_spec_path, _every_csv(editing)
    found = csv_discoverer(_driver(editing), _hooks(editing), where, every, editing.release)
    return _sequence([without_nvidia_hooks, _edited(editing, found)])


def _unmet_requirements(editing: Editing) -> str | None:
    """Why the requirements of the container are not met by the host."""
    if requirements_disabled(editing.view.env):
        return None
    wanted, error = requirements(editing.view.env, editing.release)
    if error is not None:
        return f"failed to get image requirements: {error}"
    library = editing.release.semver
    try:
        constraint = parse_requirements(wanted, library)
    except RequirementError as e:
        return str(e)
    from nvsim.inject.runtime_csv import cuda_properties

    return unmet(constraint, cuda_properties(editing.host), library)


# ---- cdi and jit-cdi


def cdi_edits(editing: Editing) -> Modifier | None:
    """The step of the modes cdi and jit-cdi. Raises `ToolFailure`."""
    release = editing.release
    request = _request(editing)
    if request.error is not None:
        raise ToolFailure(request.error)
    if not request.devices:
        return None
    if request.route == "automatic":
        try:
            return _injected(editing, _specs(editing, request.generate or ()))
        except ToolFailure as e:
            if release.automatic_devices == "required":
                raise e.within("failed to create the automatic CDI modifier") from None
            editing.log.warning(f"Failed to create the automatic CDI modifier: {e.text}")
    return _from_registry(editing, request.devices)


def _from_registry(editing: Editing, devices: tuple[str, ...]) -> Modifier:
    dirs = editing.config.runtime.modes.cdi.spec_dirs
    if not dirs and editing.release.cdi_all_expanded:
        dirs = ("/etc/cdi", "/var/run/cdi")

    def apply(spec: Spec) -> Spec:
        registry = load_registry(spec_files(editing.host.tree, dirs), dirs, _library(editing))
        names = _expanded(devices, registry) if editing.release.cdi_all_expanded else devices
        return _injected(editing, Injection(registry=registry, devices=names))(spec)

    return apply


def _expanded(devices: tuple[str, ...], registry: Registry) -> tuple[str, ...]:
    """The devices, or all of nvidia.com/gpu where ``nvidia.com/gpu=all`` is among them."""
    if "nvidia.com/gpu=all" not in devices:
        return devices
    return tuple(name for name in sorted(registry.devices) if name.startswith("nvidia.com/gpu="))


def _sequence(steps: Sequence[Modifier]) -> Modifier | None:
    if not steps:
        return None

    def apply(spec: Spec) -> Spec:
        for step in steps:
            spec = step(spec)
        return spec

    return apply
