"""The steps with which nvidia-container-runtime edits a spec (toolkit: ``internal/modifier``).

A step is prepared first, which looks at the host and may fail, and applied later. Which steps a mode has is in `nvsim.toolkit.cdi_request`;
what the graphics and csv steps find on the host is in `nvsim.inject.runtime_graphics` and `nvsim.inject.runtime_csv`.
"""

from __future__ import annotations

import copy
import posixpath
from collections.abc import Callable, Mapping, Sequence

from nvsim.frozen import field, frozen
from nvsim.inject.cdi.inject import apply_edits
from nvsim.inject.cdi.library import LIBRARIES, NEWEST_LIBRARY, CdiLibrary
from nvsim.inject.cdi.registry import Registry, load_registry, spec_files
from nvsim.inject.cdi.spec import Edits
from nvsim.inject.cdi_runtime import CdiSettings, Injection, generated_specs, inject, without_nvidia_hooks
from nvsim.inject.generate.discover import Discoverer, HookCreator, edits_of, formed, hook, merge
from nvsim.inject.generate.driver import Driver
from nvsim.inject.generate.gated import gated_files
from nvsim.inject.generate.host import CdiHost
from nvsim.inject.log import ToolFailure, ToolLog
from nvsim.toolkit.cdi_request import CdiRequest, Generated, cdi_request, needs_graphics
from nvsim.toolkit.config_schema import ToolkitConfig
from nvsim.toolkit.devices import visible_devices
from nvsim.toolkit.generation import generation_rules
from nvsim.toolkit.hook_input import HostFiles
from nvsim.toolkit.image import ImageView, gated_features
from nvsim.toolkit.mode import has_tegra_files
from nvsim.toolkit.oci_spec import Spec
from nvsim.toolkit.releases import Release
from nvsim.toolkit.requirements import RequirementError, parse_requirements, unmet
from nvsim.toolkit.requirements_env import requirements, requirements_disabled
from nvsim.toolkit.runtime import (
    DEFAULT_CTK,
    HOOK_NAMES,
    RuntimeFailure,
    RuntimeProcess,
    named_program,
    prestart_hook_path,
)

Modifier = Callable[[Spec], Spec]


@frozen
class Editing:
    """What the steps need to know: the program, the host, the configuration and the container's view in the mode in force.

    `applied` collects the container edits that the steps made, which know their reasons.
    """

    process: RuntimeProcess
    host: CdiHost
    files: HostFiles
    config: ToolkitConfig
    release: Release
    log: ToolLog
    view: ImageView
    mode: str
    applied: list[Edits] = field(factory=list, eq=False)

    @property
    def devices(self) -> tuple[str, ...] | None:
        """The visible devices outside CDI mode; None = none are asked for."""
        return visible_devices(self.view, self.release, "runtime").ids

    @property
    def library(self) -> CdiLibrary:
        return LIBRARIES.get(self.release.cdi_library, NEWEST_LIBRARY)

    @property
    def hooks(self) -> HookCreator:
        return HookCreator(named_program(self.config.ctk.path, DEFAULT_CTK, self.process, self.files))

    @property
    def driver(self) -> Driver:
        root = self.config.cli.root
        return Driver(self.host, self.log, root, root, rules=generation_rules(self.release))

    def request(self) -> CdiRequest:
        """The CDI request of the mode; what the look-up of devices says is logged."""
        found = cdi_request(self.view, self.mode, self.config.runtime.modes.cdi.default_kind, self.release)
        for level, text in found.log:
            self.log.add(level, text)
        return found

    def specs(self, requests: Sequence[Generated]) -> Injection:
        """The in-memory specs for these requests. Raises `ToolFailure`."""
        jit, csv = self.config.runtime.modes.jit_cdi, self.config.runtime.modes.csv
        settings = CdiSettings(
            driver_root=self.config.cli.root,
            hook_path=self.hooks.path,
            features=jit.feature_flags,
            disabled_hooks=jit.disable_hooks,
            no_gids=bool(self.config.features.no_additional_gids_for_device_nodes),
            csv_dir=csv.mount_spec_path,
            csv_compat_root=csv.compat_container_root,
            rules=generation_rules(self.release),
            modes=self.release.automatic_modes,
            every_csv=self.view.env.get("NVIDIA_REQUIRE_JETPACK") == "csv-mounts=all",
        )
        return Injection(tuple(generated_specs(self.host, settings, requests, self.log)))

    def injected(self, injection: Injection) -> Modifier:
        def apply(spec: Spec) -> Spec:
            self.applied.extend(injection.edits())
            told = self.release.unresolved_devices_told
            return inject(spec, self.host, injection, self.log, self.library, tell_unresolved=told)

        return apply

    def edited(self, discoverer: Discoverer) -> Modifier:
        """The edits for what a discoverer finds, in the form that the release gives them."""

        def apply(spec: Spec) -> Spec:
            no_gids = bool(self.config.features.no_additional_gids_for_device_nodes)
            by_path = generation_rules(self.release).device_nodes == "path"
            try:
                edits = edits_of(discoverer, self.host.resolver, no_gids=no_gids, by_path=by_path)
            except ToolFailure as e:
                raise e.within("failed to get required container edits") from None
            edits = formed(edits, self.release)
            self.applied.append(edits)
            return apply_edits(spec, edits, self.host.resolver, self.library)

        return apply


def prepared_steps(editing: Editing, names: Sequence[str]) -> list[Modifier] | None:
    """The steps in order; None when there is nothing to do, not even to write the spec again. Raises `ToolFailure`."""
    made: dict[str, Modifier | None] = {}
    if editing.release.runtime_steps_made == "at-start" and "mode" in names:
        made["mode"] = _PREPARE["mode"](editing)
    for name in names:
        if name not in made:
            made[name] = _PREPARE[name](editing)
    steps = [step for name in names if (step := made[name]) is not None]
    return steps if steps or len(names) > 1 else None


# ---- the steps of every mode


def _hook_remover(editing: Editing) -> Modifier:
    return without_nvidia_hooks


def _mode(editing: Editing) -> Modifier | None:
    if editing.mode == "legacy":
        return _prestart_hook(editing)
    return _csv(editing) if editing.mode == "csv" else _cdi(editing)


def _prestart_hook(editing: Editing) -> Modifier:
    """Legacy mode: the prestart hook is added unless it is there."""
    release = editing.release
    find = prestart_hook_path(editing.config, editing.process, editing.files, release)

    def path_of() -> str:
        try:
            return find()
        except RuntimeFailure as e:
            raise ToolFailure(e.text) from None

    def apply(spec: Spec) -> Spec:
        path = path_of() if release.prestart_hook_path == "path-or-default" else None
        present = (spec.get("hooks") or {}).get("prestart") or ()
        if any(_is_nvidia_hook(h.get("path", ""), release) for h in present):
            return spec
        path = path or path_of()
        name = path if release.prestart_hook_args0 == "path" else posixpath.basename(path)
        out = copy.deepcopy(spec)
        hooks = out.setdefault("hooks", {})
        hooks["prestart"] = [*(hooks.get("prestart") or ()), {"path": path, "args": [name, "prestart"]}]
        return out

    return apply


def _is_nvidia_hook(path: str, release: Release) -> bool:
    if release.prestart_hook_known_by == "text":
        return HOOK_NAMES[0] in path
    return posixpath.basename(path) in HOOK_NAMES


def _gated(editing: Editing) -> Modifier | None:
    """The features that variables (or, in two releases, config.toml) turn on, and the CUDA compatibility hook."""
    if editing.devices is None:
        return None
    release = editing.release
    wanted = _gated_modes(editing)
    if release.gated_by_generated_cdi:
        gated = editing.specs([Generated(mode) for mode in wanted]) if wanted else None
        compat = _compat_hooks(editing)
        steps = [editing.injected(gated)] if gated is not None else []
        steps += [editing.edited(compat)] if compat is not None else []
        return _sequence(steps)
    found = [gated_files(editing.driver, mode) for mode in wanted]
    return editing.edited(merge(*found, _compat_hooks(editing)))


def _gated_modes(editing: Editing) -> tuple[str, ...]:
    release, features = editing.release, editing.config.features
    by_env = gated_features(editing.view.env, release.gated_features)
    flags = {"gds": features.gds, "mofed": features.mofed, "nvswitch": features.nvswitch, "gdrcopy": features.gdrcopy}
    return tuple(f for f in release.gated_features if (f in by_env if flags[f] is None else flags[f]))


def _compat_hooks(editing: Editing) -> Discoverer | None:
    """The hook that prefers the container's CUDA compatibility libraries. Raises `ToolFailure`."""
    release, features = editing.release, editing.config.features
    how = release.cuda_compat_hook
    if how == "none" or features.disable_cuda_compat_lib_hook:
        return None
    if how == "always":
        if features.allow_cuda_compat_libs_from_container:
            return None
    elif editing.mode != "legacy" or editing.config.runtime.modes.legacy.cuda_compat_mode != "hook":
        return None
    try:
        args = [f"--host-driver-version={editing.driver.version()}"]
    except ToolFailure as e:
        if release.compat_hook_needs_driver:
            failed = e.within("failed to get driver version")
            raise failed.within("failed to construct CUDA Compat discoverer") from None
        args = []
    compat = hook(editing.hooks, "enable-cuda-compat", *args)
    if how == "alone" or editing.mode != "legacy":
        return compat
    return merge(compat, hook(editing.hooks, "update-ldcache"))


def _graphics(editing: Editing) -> Modifier | None:
    if not needs_graphics(editing.view, editing.release):
        return None
    from nvsim.inject.runtime_graphics import graphics_discoverer

    devices = editing.devices or ()
    return editing.edited(graphics_discoverer(editing.driver, editing.hooks, devices, editing.release))


def _tegra_files(editing: Editing) -> Modifier | None:
    """Up to 1.13: the files by which a Tegra system is known."""
    if not has_tegra_files(editing.files.read):
        return None
    from nvsim.inject.runtime_csv import tegra_files

    return editing.edited(tegra_files(editing.host, editing.log))


# ---- csv


def _csv(editing: Editing) -> Modifier | None:
    if editing.devices is None:
        return None
    error = _unmet_requirements(editing)
    if error is not None:
        raise ToolFailure(f"requirements not met: {error}")
    how = editing.release.csv_step
    if how == "spec-by-device":
        return editing.injected(editing.specs(editing.request().generate or ()))
    if how != "hooks":
        return _sequence([without_nvidia_hooks, editing.injected(editing.specs([Generated("csv")]))])
    csv = editing.config.runtime.modes.csv
    from nvsim.inject.runtime_csv import csv_discoverer

    every = editing.view.env.get("NVIDIA_REQUIRE_JETPACK") == "csv-mounts=all"
    found = csv_discoverer(editing.driver, editing.hooks, csv.mount_spec_path, every, editing.release)
    return _sequence([without_nvidia_hooks, editing.edited(found)])


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


def _cdi(editing: Editing) -> Modifier | None:
    release = editing.release
    request = editing.request()
    if request.error is not None:
        raise ToolFailure(request.error)
    if not request.devices:
        return None
    if request.route == "automatic":
        try:
            return editing.injected(editing.specs(request.generate or ()))
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
        registry = load_registry(spec_files(editing.host.tree, dirs), dirs, editing.library)
        names = _expanded(devices, registry) if editing.release.cdi_all_expanded else devices
        return editing.injected(Injection(registry=registry, devices=names))(spec)

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


_PREPARE: Mapping[str, Callable[[Editing], Modifier | None]] = {
    "nvidia-hook-remover": _hook_remover,
    "feature-gated": _gated,
    "graphics": _graphics,
    "mode": _mode,
    "tegra-files": _tegra_files,
}
