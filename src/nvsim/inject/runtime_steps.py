"""The steps with which nvidia-container-runtime edits a spec (toolkit: ``internal/modifier``).

A step is prepared first, which looks at the host and may fail, and applied later. Which steps a mode has is in `nvsim.toolkit.cdi_request`.
Legacy mode, which most runs have, adds a prestart hook and that is all: what makes container edits is in `nvsim.inject.runtime_edits`, which
brings CDI's code along and is imported by the steps that need it.
"""

from __future__ import annotations

import copy
import posixpath
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from nvsim.frozen import field, frozen
from nvsim.inject.log import ToolFailure
from nvsim.toolkit.cdi_request import needs_graphics
from nvsim.toolkit.devices import visible_devices
from nvsim.toolkit.image import gated_features
from nvsim.toolkit.mode import has_tegra_files
from nvsim.toolkit.runtime import HOOK_NAMES, RuntimeFailure, prestart_hook_path

if TYPE_CHECKING:
    from nvsim.inject.cdi.spec import Edits
    from nvsim.inject.generate.host import CdiHost
    from nvsim.inject.log import ToolLog
    from nvsim.toolkit.config_schema import ToolkitConfig
    from nvsim.toolkit.hook_input import HostFiles
    from nvsim.toolkit.image import ImageView
    from nvsim.toolkit.oci_spec import Spec
    from nvsim.toolkit.releases import Release
    from nvsim.toolkit.runtime import RuntimeProcess

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


def _hook_remover(editing: Editing) -> Modifier:
    from nvsim.inject.cdi_runtime import without_nvidia_hooks

    return without_nvidia_hooks


def _mode(editing: Editing) -> Modifier | None:
    if editing.mode == "legacy":
        return _prestart_hook(editing)
    from nvsim.inject.runtime_edits import cdi_edits, csv_edits

    return csv_edits(editing) if editing.mode == "csv" else cdi_edits(editing)


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
    modes, compat = _gated_modes(editing), _has_compat_hook(editing)
    if not modes and not compat:  # a spec without edits stays as it is
        return None
    from nvsim.inject.runtime_edits import gated_edits

    return gated_edits(editing, modes, compat=compat)


def _gated_modes(editing: Editing) -> tuple[str, ...]:
    release, features = editing.release, editing.config.features
    by_env = gated_features(editing.view.env, release.gated_features)
    flags = {"gds": features.gds, "mofed": features.mofed, "nvswitch": features.nvswitch, "gdrcopy": features.gdrcopy}
    return tuple(f for f in release.gated_features if (f in by_env if flags[f] is None else flags[f]))


def _has_compat_hook(editing: Editing) -> bool:
    """Whether there is the hook that prefers the container's CUDA compatibility libraries."""
    how, features = editing.release.cuda_compat_hook, editing.config.features
    if how == "none" or features.disable_cuda_compat_lib_hook:
        return False
    if how == "always":
        return not features.allow_cuda_compat_libs_from_container
    return editing.mode == "legacy" and editing.config.runtime.modes.legacy.cuda_compat_mode == "hook"


def _graphics(editing: Editing) -> Modifier | None:
    if not needs_graphics(editing.view, editing.release):
        return None
    from nvsim.inject.runtime_edits import graphics_edits

    return graphics_edits(editing)


def _tegra_files(editing: Editing) -> Modifier | None:
    """Up to 1.13: the files by which a Tegra system is known."""
    if not has_tegra_files(editing.files.read):
        return None
    from nvsim.inject.runtime_edits import tegra_edits

    return tegra_edits(editing)


_PREPARE: Mapping[str, Callable[[Editing], Modifier | None]] = {
    "nvidia-hook-remover": _hook_remover,
    "feature-gated": _gated,
    "graphics": _graphics,
    "mode": _mode,
    "tegra-files": _tegra_files,
}
