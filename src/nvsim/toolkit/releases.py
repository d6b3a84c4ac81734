"""The rules of a toolkit release: what the table of `nvsim.toolkit.releases_table` says for it, with types.

The mechanism never compares versions: it asks a `Release` for a behaviour by name (``release.auto_cdi``). To add a difference, add a
`Behaviour` to the table and a field of the same name to `Release`; ``docs/toolkit-releases.md`` is written from the same table (`nvsim.toolkit.releases_page`).

Before 1.10 only the default driver capabilities are known; such a release counts as 1.10 otherwise.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Literal

from nvsim.errors import InputError
from nvsim.frozen import field, frozen
from nvsim.toolkit.releases_table import BEHAVIOURS, Behaviour

OLDEST, NEWEST, NEWEST_TREE = "1.10.0", "1.20.0", "1.20.0+27"

Version = tuple[int, int, int, int]
"""major, minor, patch, commits after the release."""


@frozen
class Release:
    """The rules of one release: a value for each `Behaviour` (same names; see there what a value means).

    `version`: major, minor, patch, commits after. `assumptions`: where the release itself is not modelled.
    """

    version: Version
    assumptions: tuple[str, ...] = field(kw_only=True)
    device_list: Literal["whole", "items"] = field(kw_only=True)
    swarm_resource: Literal["one", "list"] = field(kw_only=True)
    runtime_swarm_resource: bool = field(kw_only=True)
    mount_devices: Literal["verbatim", "plain", "cdi-names"] = field(kw_only=True)
    runtime_image: Literal["env", "all"] = field(kw_only=True)
    ignored_env: Literal["printed", "logged"] = field(kw_only=True)
    imex_channels: Literal["ignored", "verbatim", "list", "list-not-all"] = field(kw_only=True)
    gated_features: tuple[str, ...] = field(kw_only=True)
    gated_by_generated_cdi: bool = field(kw_only=True)
    annotations: Literal["none", "cdi-library", "strict", "image"] = field(kw_only=True)
    cdi_default_kind: Literal["fixed", "config"] = field(kw_only=True)
    cdi_mount_devices: bool = field(kw_only=True)
    cdi_unique_devices: bool = field(kw_only=True)
    cdi_library: str = field(kw_only=True)
    cdi_digit_names: bool = field(kw_only=True)
    cdi_all_expanded: bool = field(kw_only=True)
    edits_form: Literal["bind-path", "bind-name", "bind-name-debug", "rbind-name-debug"] = field(kw_only=True)
    graphics_needs: Literal["ldcache", "nothing", "driver"] = field(kw_only=True)
    csv_environment: Literal["first", "last"] = field(kw_only=True)
    csv_step: Literal["hooks", "spec", "spec-by-device"] = field(kw_only=True)
    cdi_none_name: str = field(kw_only=True)
    automatic_devices: Literal["none", "fall-back", "required"] = field(kw_only=True)
    automatic_modes: Literal["nvml", "all"] = field(kw_only=True)
    modes: tuple[str, ...] = field(kw_only=True)
    auto_cdi: Literal["never", "env", "env-and-mounts", "visible"] = field(kw_only=True)
    hook_auto_sees_mounts: bool = field(kw_only=True)
    wsl_first: bool = field(kw_only=True)
    integrated_gpus: Literal["ignored", "all-nvgpu", "all", "any"] = field(kw_only=True)
    runtime_auto_mode: Literal["legacy", "jit-cdi"] = field(kw_only=True)
    hook_mode_check: Literal["first", "after-request"] = field(kw_only=True)
    auto_mode_logged: bool = field(kw_only=True)
    requested_mode_logged: bool = field(kw_only=True)
    wrong_mode_message: str = field(kw_only=True)
    default_capabilities: tuple[str, ...] = field(kw_only=True)
    capability_sets: bool = field(kw_only=True)
    bad_supported_capabilities_told: bool = field(kw_only=True)
    disabled_requirements_read: bool = field(kw_only=True)
    cuda_version_in_error: bool = field(kw_only=True)
    semver: Literal["x-mod", "masterminds"] = field(kw_only=True)
    graphics_step: bool = field(kw_only=True)
    hook_config: Literal["own", "shared"] = field(kw_only=True)
    hook_config_paths: Literal["driver-root", "overrides"] = field(kw_only=True)
    missing_hook_config_ends_search: bool = field(kw_only=True)
    ldconfig_must_be_on_host: bool = field(kw_only=True)
    runtime_config: Literal["sections", "whole"] = field(kw_only=True)
    config_path_override: bool = field(kw_only=True)
    config_load_error_told: bool = field(kw_only=True)
    config_keys_noted: bool = field(kw_only=True)
    low_level_runtimes: tuple[str, ...] = field(kw_only=True)
    default_ldconfig: bool = field(kw_only=True)
    ldconfig_normalised: bool = field(kw_only=True)
    suse_user: bool = field(kw_only=True)
    compat_flag: Literal["none", "no-cntlibs", "mode"] = field(kw_only=True)
    missing_cli_message_has_path: bool = field(kw_only=True)
    usage_names_argv0: bool = field(kw_only=True)
    engine: str = field(kw_only=True)
    privileges_first: bool = field(kw_only=True)
    own_capabilities_type: bool = field(kw_only=True)
    mounts_with_mappings: bool = field(kw_only=True)
    strict_oci_spec: bool = field(kw_only=True)
    mode_binaries: bool = field(kw_only=True)
    runtime_steps: tuple[tuple[str, tuple[str, ...]], ...] = field(kw_only=True)
    runtime_steps_made: Literal["at-start", "at-create"] = field(kw_only=True)
    runtime_spec_read: Literal["by-mode", "by-step", "first"] = field(kw_only=True)
    prestart_hook_args0: Literal["path", "name"] = field(kw_only=True)
    prestart_hook_path: Literal["path-or-default", "search", "config"] = field(kw_only=True)
    prestart_hook_known_by: Literal["text", "name"] = field(kw_only=True)
    cuda_compat_hook: Literal["none", "always", "by-mode", "alone"] = field(kw_only=True)
    ldcache_hook: Literal[
        "conf-and-run", "if-cache", "links-without-cache", "always", "complete", "complete-and-musl"
    ] = field(kw_only=True)
    ldcache_hook_file: str = field(kw_only=True)
    ldcache_hook_root: Literal["option", "pivot-shared", "pivot"] = field(kw_only=True)
    links_hook: Literal["colon-keep", "keep", "refuse", "replace"] = field(kw_only=True)
    compat_hook: Literal["major-and-cache", "major", "note"] = field(kw_only=True)
    compat_hook_needs_driver: bool = field(kw_only=True)
    runtime_spec_version: str = field(kw_only=True)
    debug_log_directory: Literal["needed", "made"] = field(kw_only=True)
    joined_log_flag_crashes: bool = field(kw_only=True)
    unresolved_devices_told: bool = field(kw_only=True)
    nvml_calls_need_old_linker: bool = field(kw_only=True)
    toml_unsigned: bool = field(kw_only=True)
    ctk_library: Literal["2.3", "2.27.1", "2.27.2", "2.27.4", "3.4", "3.6", "3.10"] = field(kw_only=True)
    ctk_commands: tuple[str, ...] = field(kw_only=True)
    ctk_options: tuple[str, ...] = field(kw_only=True)
    config_set: Literal["value", "type-exact", "type"] = field(kw_only=True)
    config_lists: Literal["comma", "option", "option-or-comma"] = field(kw_only=True)
    config_comments: Literal["values-not-suse", "values", "values-not-set", "values-not-told"] = field(kw_only=True)
    config_default_makes_directory: bool = field(kw_only=True)


_VERSION = re.compile(r"v?(\d{1,6})(?:\.(\d{1,6}))?(?:\.(\d{1,6}))?(?:\+(\d{1,6})|[-+~].*)?", re.ASCII)


def version_key(text: str) -> Version:
    """The number of a release such as "1.17.8", "v1.14.6-1" or "1.20.0+27" (27 commits after 1.20.0); a pre-release counts as its release.

    Raises `InputError` for what is no version.
    """
    match = _VERSION.fullmatch(text)
    if match is None:
        raise InputError(f"{text!r} is no toolkit version", hint=f"such as {NEWEST}")
    major, minor, patch, after = (int(n or 0) for n in match.groups())
    return major, minor, patch, after


def value_at(behaviour: Behaviour, version: Version) -> Any:
    """The value that a behaviour has in a release."""
    return [s.value for s in behaviour.steps if not s.since or version >= version_key(s.since)][-1]


@lru_cache(maxsize=64)
def release_of(text: str) -> Release:
    """The rules of a release. One that is older or newer than those modelled is taken as the nearest, and says so. Raises `InputError`."""
    version = version_key(text)
    assumptions = []
    if version < version_key(OLDEST):
        assumptions.append(f"toolkit {text} is modelled as 1.10 with its own default capabilities")
    elif version > version_key(NEWEST_TREE):
        assumptions.append(
            f"toolkit {text} is newer than {NEWEST_TREE}, the newest that is modelled, and taken as that"
        )
    values: dict[str, Any] = {b.name: value_at(b, version) for b in BEHAVIOURS}
    return Release(version, assumptions=tuple(assumptions), **values)
