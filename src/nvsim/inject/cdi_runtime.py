"""What nvidia-container-runtime does to a container's OCI config in the modes cdi, jit-cdi and csv (toolkit: ``internal/modifier``).

The request (mode, devices, gated features) was decided before by `nvsim.toolkit`; here it becomes container edits.
"""

from __future__ import annotations

import copy
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen

from nvsim.inject.cdi.inject import inject_devices, inject_spec
from nvsim.inject.cdi.library import NEWEST_LIBRARY, CdiLibrary
from nvsim.inject.cdi.registry import DEFAULT_DIRS, Registry, load_registry, spec_files
from nvsim.inject.cdi.spec import CdiSpec, Edits
from nvsim.inject.generate.csv_files import DEFAULT_DIR, csv_files
from nvsim.inject.generate.driver import NEWEST_SEARCH, DriverSearch
from nvsim.inject.generate.host import CdiHost
from nvsim.inject.log import ToolFailure, ToolLog
from nvsim.toolkit.cdi_name import is_qualified
from nvsim.toolkit.cdi_request import AUTOMATIC_KIND, CONFLICT, Generated, generated_for
from nvsim.toolkit.go_text import go_list, go_quote

_AUTOMATIC_VENDOR = "runtime.nvidia.com"
_NVIDIA_HOOKS = ("nvidia-container-runtime-hook", "nvidia-container-toolkit")


@frozen(slots=True)
class CdiSettings:
    """What the runtime knows when it starts to edit: the request, and the keys of config.toml that matter.

    `route`: cdi, jit-cdi or csv. `devices`: visible devices, "" standing for *none*. `gated`: modes of features that are enabled
    (gds, mofed, gdrcopy, nvswitch); `imex`: channel ids. `hook_path` is resolved. `every_csv`: all CSV files, not the base ones.
    `specs`: further spec files (path -> text) that lie on the host.
    """

    route: str
    devices: tuple[str, ...]
    gated: tuple[str, ...] = ()
    imex: tuple[str, ...] = ()
    default_kind: str = "nvidia.com/gpu"
    spec_dirs: tuple[str, ...] = DEFAULT_DIRS
    driver_root: str = ""
    hook_path: str = "/usr/bin/nvidia-ctk"
    features: tuple[str, ...] = ()
    disabled_hooks: tuple[str, ...] = ()
    no_gids: bool = False
    csv_dir: str = DEFAULT_DIR
    csv_compat_root: str = ""
    every_csv: bool = False
    specs: tuple[tuple[str, str], ...] = ()
    empty_ldcache_hook: bool = False
    driver_search: DriverSearch = NEWEST_SEARCH


@frozen(slots=True)
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


def planned_injection(host: CdiHost, settings: CdiSettings, log: ToolLog) -> Injection:
    """The specs and devices that the request means; nothing without a device request. Raises `ToolFailure`."""
    if settings.route == "csv":
        wanted = generated_for(f"mode=csv,id={device}" for device in settings.devices)
        gated = generated_for(f"mode={mode}" for mode in settings.gated) if wanted else ()
        return Injection(tuple(generated_specs(host, settings, (*gated, *wanted), log)))
    names = requested_names(settings)
    automatic = [n for n in names if n.startswith(f"{AUTOMATIC_KIND}=")]
    if automatic and len(automatic) != len(names):
        raise ToolFailure(CONFLICT)
    if not automatic:
        files = {**spec_files(host.tree, settings.spec_dirs), **dict(settings.specs)}
        return Injection(registry=load_registry(files, settings.spec_dirs), devices=tuple(names))
    automatic += [f"mode={mode}" for mode in settings.gated]
    automatic += [f"mode=imex,id={channel}" for channel in settings.imex]
    try:
        return Injection(tuple(generated_specs(host, settings, generated_for(automatic), log)))
    except ToolFailure as e:
        raise e.within("failed to create the automatic CDI modifier") from None


def requested_names(settings: CdiSettings) -> list[str]:
    """The requested devices as qualified names, each once."""
    kind = AUTOMATIC_KIND if settings.route == "jit-cdi" else settings.default_kind
    names = (device or "none" for device in settings.devices)
    return list(dict.fromkeys(n if is_qualified(n) else f"{kind}={n}" for n in names))


def generated_specs(host: CdiHost, settings: CdiSettings, requests: Sequence[Generated], log: ToolLog) -> list[CdiSpec]:
    """The in-memory specs for these requests, in order. Raises `ToolFailure`."""
    if not requests:
        return []
    from nvsim.inject.generate.generate import generate_spec
    from nvsim.inject.generate.generator import GenerateOptions, new_generator

    csv = csv_files(host, settings.csv_dir, not settings.every_csv)
    out = []
    for request in requests:
        options = GenerateOptions(
            request.mode,
            driver_root=settings.driver_root,
            dev_root=settings.driver_root,
            hook_path=settings.hook_path,
            disabled_hooks=settings.disabled_hooks,
            features=frozenset(settings.features) - {"no-additional-gids-for-device-nodes"},
            csv_files=csv,
            csv_compat_root=settings.csv_compat_root,
            no_gids=settings.no_gids,
            empty_ldcache_hook=settings.empty_ldcache_hook,
            driver_search=settings.driver_search,
        )
        try:
            generator = new_generator(host, log, options)
            out.append(generate_spec(generator, request.ids or (), _AUTOMATIC_VENDOR, request.cls or ""))
        except ToolFailure as e:
            raise e.within(f"failed to generate CDI spec for mode {go_quote(request.mode)}") from None
    return out


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
