"""The rules by which a toolkit release generates CDI specs: what `nvsim.toolkit.generation_table` says for it, with types.

The generator (`nvsim.inject.generate`) asks these rules by name and never for a version. To add a difference, add a row to the table and a
field of the same name here; ``docs/toolkit-releases.md`` is written from the same table.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

from nvsim.frozen import field, frozen
from nvsim.toolkit.generation_table import GENERATION
from nvsim.toolkit.releases import NEWEST_TREE, Release, release_of, value_at


@frozen
class GenerationRules:
    """How one release generates CDI specs: a value for each row of the table (same names; see there what a value means).

    `release`: the other rules of the same release. `generates`: False before 1.12, which has no generator (then the rules are those of 1.12).
    """

    release: Release
    generates: bool = field(kw_only=True)
    options: tuple[str, ...] = field(kw_only=True)
    options_from_environment: bool = field(kw_only=True)
    options_after_arguments: bool = field(kw_only=True)
    option_forms: Literal["one", "any"] = field(kw_only=True)
    format_warning: Literal["after", "before"] = field(kw_only=True)
    name_strategies: tuple[str, ...] = field(kw_only=True)
    modes: tuple[str, ...] = field(kw_only=True)
    modes_not_built: tuple[str, ...] = field(kw_only=True)
    hook_program: Literal["nvidia-ctk", "nvidia-cdi-hook"] = field(kw_only=True)
    version_told: Literal["minimum", "needed", "newest", "saved"] = field(kw_only=True)
    spec_check: bool = field(kw_only=True)
    spec_text: Literal["sorted", "sorted-yaml", "ordered"] = field(kw_only=True)
    detection: Literal["none", "wsl", "wsl-tegra", "platform"] = field(kw_only=True)
    nvml_library: Literal["name", "located"] = field(kw_only=True)
    sandbox_library: Literal["none", "when-needed", "after-nvml", "first"] = field(kw_only=True)
    not_found: Literal["pattern", "plain"] = field(kw_only=True)
    library_search: Literal["ldcache", "directories"] = field(kw_only=True)
    ldcache_search: Literal["prefix", "pattern-or-dangling", "pattern"] = field(kw_only=True)
    ldcache_links: Literal["once", "followed"] = field(kw_only=True)
    symlink_targets: Literal["one", "all"] = field(kw_only=True)
    ldcache_architectures: tuple[int, ...] = field(kw_only=True)
    config_search: bool = field(kw_only=True)
    config_directories: Literal["fixed", "xdg"] = field(kw_only=True)
    driver_version: Literal["nvml", "driver-first", "driver"] = field(kw_only=True)
    management_version: Literal["libcuda", "nvml"] = field(kw_only=True)
    driver_search: Literal["libcuda", "libcuda-or-nvml", "every-directory"] = field(kw_only=True)
    feature_flags: tuple[str, ...] = field(kw_only=True)
    none_device: Literal["unknown", "no-device", "empty"] = field(kw_only=True)
    mig_parents: bool = field(kw_only=True)
    mig_graphics: bool = field(kw_only=True)
    pci_told_twice: bool = field(kw_only=True)
    device_nodes: Literal["path", "host"] = field(kw_only=True)
    by_path_links: Literal["all", "selected"] = field(kw_only=True)
    management_nodes: tuple[str, ...] = field(kw_only=True)
    driver_libraries: Literal[
        "ldcache", "libcuda-directory", "libcuda-and-vdpau", "driver-directories", "driver-directories-and-nvvm70"
    ] = field(kw_only=True)
    library_links: Literal["none", "fixed", "soname"] = field(kw_only=True)
    compat_hook: Literal["none", "libcuda", "driver", "every-mode"] = field(kw_only=True)
    newer_hooks: tuple[str, ...] = field(kw_only=True)
    chmod_hook: Literal["common", "device", "disabled"] = field(kw_only=True)
    empty_ldcache_hook: bool = field(kw_only=True)
    libcuda_directory: bool = field(kw_only=True)
    void_devices: bool = field(kw_only=True)
    programs: tuple[str, ...] = field(kw_only=True)
    sockets: Literal["var-run", "run"] = field(kw_only=True)
    firmware: Literal["fixed", "searched"] = field(kw_only=True)
    graphics_libraries: tuple[str, ...] = field(kw_only=True)
    graphics_links: tuple[str, ...] = field(kw_only=True)
    graphics_version: Literal["libcuda", "driver", "exact"] = field(kw_only=True)
    graphics_needed: bool = field(kw_only=True)
    xorg: Literal["none", "runtime", "optional", "modules"] = field(kw_only=True)
    graphics_configs: tuple[str, ...] = field(kw_only=True)
    shared_configs: tuple[str, ...] = field(kw_only=True)
    opencl_configs: tuple[str, ...] = field(kw_only=True)
    vulkan_configs: tuple[str, ...] = field(kw_only=True)
    graphics_programs: tuple[str, ...] = field(kw_only=True)
    simplified: Literal["no", "plain", "sorted"] = field(kw_only=True)
    csv_links: Literal["non-libraries", "all", "own-hook"] = field(kw_only=True)
    csv_device: Literal["everything-named", "everything", "nodes"] = field(kw_only=True)
    wsl_files: tuple[str, ...] = field(kw_only=True)
    wsl_stores: Literal["all", "all-warned-first", "nvidia"] = field(kw_only=True)
    imex_checks: bool = field(kw_only=True)
    device_steps: tuple[str, ...] = field(kw_only=True)
    mig_steps: tuple[str, ...] = field(kw_only=True)
    mig_minors_needed: bool = field(kw_only=True)
    spec_steps: Literal["common", "both"] = field(kw_only=True)
    nvml_errors: Literal["name", "text"] = field(kw_only=True)
    nvml_failed: str = field(kw_only=True)


FIRST_GENERATOR = (1, 12, 0, 0)


@lru_cache(maxsize=64)
def generation_rules(release: Release) -> GenerationRules:
    """The rules of a release."""
    values: dict[str, Any] = {b.name: value_at(b, release.version) for b in GENERATION}
    return GenerationRules(release, generates=release.version >= FIRST_GENERATOR, **values)


def newest_rules() -> GenerationRules:
    """The rules of the newest tree that is modelled."""
    return generation_rules(release_of(NEWEST_TREE))
