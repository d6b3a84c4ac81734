"""What nvidia-container-runtime does to a container's OCI config in the modes cdi, jit-cdi and csv (toolkit: ``internal/modifier``).

The request (mode, devices, gated features) was decided before by `nvsim.toolkit`; here it becomes container edits.
"""

from __future__ import annotations

import copy
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nvsim.frozen import field, frozen
from nvsim.inject.cdi.inject import inject_devices, inject_spec
from nvsim.inject.cdi.library import NEWEST_LIBRARY, CdiLibrary
from nvsim.inject.cdi.registry import Registry
from nvsim.inject.cdi.spec import CdiSpec, Edits
from nvsim.inject.generate.csv_files import DEFAULT_DIR, csv_files
from nvsim.inject.generate.host import CdiHost
from nvsim.inject.log import Logged, ToolFailure, ToolLog, logged
from nvsim.toolkit.cdi_request import Generated
from nvsim.toolkit.generation import GenerationRules, newest_rules
from nvsim.toolkit.go_text import go_list, go_quote

_AUTOMATIC_VENDOR = "runtime.nvidia.com"
_NOT_BY_ID = {"csv": "for CSV files", "wsl": "on WSL"}
_NVIDIA_HOOKS = ("nvidia-container-runtime-hook", "nvidia-container-toolkit")


@frozen
class CdiSettings:
    """What generated specs depend on besides the request: keys of config.toml, and the release. `hook_path` is resolved. `every_csv`:
    all CSV files, not the base ones. `modes`: of generators that can be asked for devices, "nvml" alone or "all"."""

    driver_root: str = ""
    hook_path: str = "/usr/bin/nvidia-ctk"
    features: tuple[str, ...] = ()
    disabled_hooks: tuple[str, ...] = ()
    no_gids: bool = False
    csv_dir: str = DEFAULT_DIR
    csv_compat_root: str = ""
    every_csv: bool = False
    rules: GenerationRules = field(factory=newest_rules)
    modes: str = "all"


@frozen
class Injection:
    """What is to be injected: in-memory specs in order, or devices of the registry."""

    specs: tuple[CdiSpec, ...] = ()
    registry: Registry | None = None
    devices: tuple[str, ...] = ()

    def edits(self) -> list[Edits]:
        """Every container edit of it."""
        edits = [e for spec in self.specs for e in spec.all_edits()]
        if self.registry is not None:
            edits.append(self.registry.edits_for(self.devices)[0])
        return edits


def without_nvidia_hooks(oci: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the config without the prestart hooks of the legacy toolkit."""
    out = copy.deepcopy(dict(oci))
    hooks = out.get("hooks")
    if isinstance(hooks, dict) and hooks.get("prestart"):
        kept = [h for h in hooks["prestart"] if posixpath.basename(h.get("path", "")) not in _NVIDIA_HOOKS]
        if kept:
            hooks["prestart"] = kept
        else:
            del hooks["prestart"]
    return out


def generated_specs(host: CdiHost, settings: CdiSettings, requests: Sequence[Generated], log: ToolLog) -> list[CdiSpec]:
    """The in-memory specs for these requests, in order, each kept with the host. Raises `ToolFailure`."""

    def known(request: Generated) -> Logged[CdiSpec]:
        return logged(lambda own: _generated(host, settings, request, own))

    return [host.known("generated", (settings, r), lambda r=r: known(r)).told(log) for r in requests]  # type: ignore[misc]


def _generated(host: CdiHost, settings: CdiSettings, request: Generated, log: ToolLog) -> CdiSpec:
    """The spec for one request. Raises `ToolFailure`."""
    from nvsim.inject.generate.generate import generate_spec
    from nvsim.inject.generate.generator import GenerateOptions, new_generator

    options = GenerateOptions(
        request.mode,
        driver_root=settings.driver_root,
        dev_root=settings.driver_root,
        hook_path=settings.hook_path,
        disabled_hooks=settings.disabled_hooks,
        features=frozenset(settings.features) - {"no-additional-gids-for-device-nodes"},
        csv_files=csv_files(host, settings.csv_dir, not settings.every_csv),
        csv_compat_root=settings.csv_compat_root,
        no_gids=settings.no_gids,
        rules=settings.rules,
    )
    try:
        generator = new_generator(host, log, options)
    except ToolFailure as e:
        raise e.within(f"failed to construct CDI library for mode {go_quote(request.mode)}") from None
    try:
        if settings.modes == "nvml" and request.ids is not None and generator.mode in _NOT_BY_ID:
            where = _NOT_BY_ID[generator.mode]
            raise ToolFailure(f"failed to get CDI device specs: GetDeviceSpecsByID is not supported {where}")
        return generate_spec(generator, request.ids or (), _AUTOMATIC_VENDOR, request.cls or "")
    except ToolFailure as e:
        raise e.within(f"failed to generate CDI spec for mode {go_quote(request.mode)}") from None


def inject(
    oci: dict[str, Any],
    host: CdiHost,
    injection: Injection,
    log: ToolLog,
    library: CdiLibrary = NEWEST_LIBRARY,
    *,
    tell_unresolved: bool = True,
) -> dict[str, Any]:
    """`oci` with an injection made, by the rules of a release of the CDI library. `tell_unresolved`: warn about unknown devices.

    Raises `ToolFailure`.
    """
    for spec in injection.specs:
        oci = inject_spec(oci, spec, host.resolver, library)
    if injection.registry is None or not injection.devices:
        return oci
    unresolved = injection.registry.edits_for(injection.devices)[1]
    if unresolved and tell_unresolved:
        log.warning(f"could not resolve CDI devices: {go_list(unresolved)}")
    try:
        return inject_devices(oci, injection.registry, injection.devices, host.resolver, library)
    except ToolFailure as e:
        errors = _joined(injection.registry.errors.values())
        if errors:
            log.warning(f"Refreshing the CDI registry generated errors: {errors}")
        raise e.within("failed to inject CDI devices") from None


def _joined(errors: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(e for several in errors for e in several)
