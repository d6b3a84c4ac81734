"""From environment and configuration to a `ContainerRequest`: devices, capabilities, mode, and the command line of the legacy engine.

Source: nvidia-container-toolkit ``cmd/nvidia-container-runtime-hook``, ``internal/config/image``, ``internal/info/auto.go``.
"""

from __future__ import annotations

import tomllib
from typing import Any

from nvsim.errors import InputError
from nvsim.toolkit.releases import Release, release_of
from nvsim.toolkit.request import Because, ContainerRequest, Refusal

SUPPORTED = ("compat32", "compute", "display", "graphics", "ngx", "utility", "video")
HOOK = "nvidia-container-runtime-hook"


def resolve_request(
    *,
    caller: str,
    env: tuple[str, ...],
    config_toml: str | None,
    toolkit_version: str,
    bounding: tuple[str, ...] = (),
    nvml: bool = True,
    dxcore: bool = False,
    tegra: bool = False,
    ldconfig_real: bool = False,
    mode: str | None = None,
) -> ContainerRequest:
    """What the toolkit decides. `caller` is "hook" or "runtime"; `bounding` the container's bounding capabilities.

    Raises `InputError` for a config.toml that is no TOML.
    """
    release = release_of(toolkit_version)
    config = _config(config_toml)
    values = dict(e.split("=", 1) for e in env if "=" in e)
    privileged = "CAP_SYS_ADMIN" in bounding
    legacy_image = "CUDA_VERSION" in values and "NVIDIA_REQUIRE_CUDA" not in values
    because: list[tuple[str, Because]] = []
    devices, why = _devices(values, config, legacy_image, privileged)
    because.append(("devices", why))
    found_mode, mode_why = _mode(config, release, caller, mode, devices, nvml, dxcore, tegra)
    because.append(("mode", mode_why))
    base = ContainerRequest(
        "none",
        found_mode,
        legacy_image=legacy_image,
        privileged=privileged,
        because=tuple(because),
        assumptions=release.assumptions,
    )
    if devices is None:
        return base
    if found_mode != "legacy":
        return ContainerRequest(
            found_mode,
            found_mode,
            devices,
            legacy_image=legacy_image,
            privileged=privileged,
            because=tuple(because),
            assumptions=release.assumptions,
        )
    capabilities, cap_why, refused = _capabilities(values, config, release, legacy_image)
    because.append(("capabilities", cap_why))
    requirements = _requirements(values, config, legacy_image)
    because.append(("requirements", _requirements_because(values, requirements)))
    return ContainerRequest(
        "legacy",
        "legacy",
        devices,
        capabilities,
        requirements,
        legacy_image,
        privileged,
        _cli_args(config, release, devices, capabilities, requirements, ldconfig_real),
        refused=refused,
        because=tuple(because),
        assumptions=release.assumptions,
    )


def _config(text: str | None) -> dict[str, Any]:
    try:
        return tomllib.loads(text or "")
    except tomllib.TOMLDecodeError as e:
        raise InputError(f"bad TOML: {e}", source="config.toml") from None


def _devices(
    values: dict[str, str], config: dict[str, Any], legacy_image: bool, privileged: bool
) -> tuple[tuple[str, ...] | None, Because]:
    """The device ids (None = no GPU container)."""
    text = values.get("NVIDIA_VISIBLE_DEVICES")
    name = "env NVIDIA_VISIBLE_DEVICES"
    if text is None and legacy_image:
        return ("all",), Because("image", "CUDA_VERSION without NVIDIA_REQUIRE_CUDA: a legacy image asks for all GPUs")
    if not text:
        return None, Because(name, "it is unset or empty: the container asks for no GPU")
    if not privileged and not config.get("accept-nvidia-visible-devices-envvar-when-unprivileged", True):
        key = "config.toml accept-nvidia-visible-devices-envvar-when-unprivileged"
        return None, Because(key, "only privileged containers may ask for GPUs by environment")
    ids = tuple(d.strip() for d in text.split(","))
    if "void" in ids:
        return None, Because(name, "void: no GPU container")
    if "all" in ids:
        return ("all",), Because(name, f"{text} asks for all GPUs")
    if ids == ("none",):
        return ("",), Because(name, "none: driver files without a GPU")
    return tuple(i for i in ids if i != "none"), Because(name, f"it asks for {text}")


def _mode(
    config: dict[str, Any],
    release: Release,
    caller: str,
    forced: str | None,
    devices: tuple[str, ...] | None,
    nvml: bool,
    dxcore: bool,
    tegra: bool,
) -> tuple[str, Because]:
    """The mode in force."""
    configured = config.get("nvidia-container-runtime", {}).get("mode", "auto")
    if forced is not None and forced != "auto":
        return forced, Because("--mode", f"mode {forced} was asked for")
    if configured != "auto":
        return configured, Because("config.toml nvidia-container-runtime.mode", f"mode {configured} is configured")
    if devices and all("=" in d and "/" in d.partition("=")[0] for d in devices):
        return "cdi", Because("env NVIDIA_VISIBLE_DEVICES", "every device is a CDI name")
    if not dxcore and tegra and not nvml:
        return "csv", Because("host", "Tegra files and no NVML")
    if caller == "runtime" and release.runtime_auto_mode == "jit-cdi":
        return "jit-cdi", Because("toolkit release", "automatic mode of the runtime since 1.18")
    return "legacy", Because("toolkit release", "automatic mode")


def _capabilities(
    values: dict[str, str], config: dict[str, Any], release: Release, legacy_image: bool
) -> tuple[tuple[str, ...], Because, Refusal | None]:
    """The driver capabilities, and the hook's refusal of unknown ones."""
    allowed_text = config.get("supported-driver-capabilities", ",".join(SUPPORTED))
    allowed = (
        SUPPORTED if allowed_text == "all" else tuple(c.strip() for c in str(allowed_text).split(",") if c.strip())
    )
    text = values.get("NVIDIA_DRIVER_CAPABILITIES")
    name = "env NVIDIA_DRIVER_CAPABILITIES"
    if not text:
        if legacy_image:
            return tuple(sorted(allowed)), Because("image", "a legacy image gets every supported capability"), None
        chosen = tuple(c for c in release.default_capabilities if c in allowed)
        version = ".".join(str(n) for n in release.version)
        why = f"{name.removeprefix('env ')} is unset: the default of toolkit {version} counts, {','.join(chosen)}"
        return _order(chosen, release), Because(name, why), None
    asked = tuple(dict.fromkeys(c.strip() if release.capability_sets else c for c in text.split(",") if c.strip()))
    if "all" in asked:
        return tuple(sorted(allowed)), Because(name, "all: every supported capability"), None
    wrong = [c for c in asked if c not in allowed]
    if wrong:
        usable = ",".join(sorted(c for c in asked if c in allowed))
        stderr = f"unsupported capabilities found in '{text}' (allowed '{usable}')\n"
        return (), Because(name, f"{wrong[0]} is no supported capability"), Refusal(HOOK, 1, stderr)
    return _order(asked, release), Because(name, f"it says {text}"), None


def _order(capabilities: tuple[str, ...], release: Release) -> tuple[str, ...]:
    return tuple(sorted(capabilities)) if release.capability_sets else capabilities


def _requirements(values: dict[str, str], config: dict[str, Any], legacy_image: bool) -> tuple[str, ...]:
    """The expressions of NVIDIA_REQUIRE_*, and the CUDA version of a legacy image."""
    disabled = values.get("NVIDIA_DISABLE_REQUIRE", "").lower() in ("1", "t", "true")
    if disabled or config.get("disable-require", False) is True:
        return ()
    found = [v for k, v in sorted(values.items()) if k.startswith("NVIDIA_REQUIRE_") and k != "NVIDIA_REQUIRE_JETPACK"]
    if legacy_image:
        parts = values["CUDA_VERSION"].split(".")
        if len(parts) >= 2 and all(p.isdigit() for p in parts[:2]):
            found.append(f"cuda>={parts[0]}.{parts[1]}")
    return tuple(found)


def _requirements_because(values: dict[str, str], requirements: tuple[str, ...]) -> Because:
    names = ", ".join(sorted(k for k in values if k.startswith("NVIDIA_REQUIRE_"))) or "CUDA_VERSION"
    return Because(f"env {names}", "requirements are checked" if requirements else "no requirement is checked")


def _cli_args(
    config: dict[str, Any],
    release: Release,
    devices: tuple[str, ...],
    capabilities: tuple[str, ...],
    requirements: tuple[str, ...],
    ldconfig_real: bool,
) -> tuple[str, ...]:
    """The arguments of nvidia-container-cli, without ``--pid`` and the root (``cmd/nvidia-container-runtime-hook/main.go``)."""
    cli = config.get("nvidia-container-cli", {})
    args = []
    if cli.get("root"):
        args.append(f"--root={cli['root']}")
    if cli.get("load-kmods", True):
        args.append("--load-kmods")
    if cli.get("no-pivot", False):
        args.append("--no-pivot")
    for key in ("debug", "ldcache", "user"):
        if cli.get(key):
            args.append(f"--{key}={cli[key]}")
    args.append("configure")
    ldconfig = cli.get("ldconfig")
    if ldconfig is None and release.default_ldconfig:
        ldconfig = "@/sbin/ldconfig"
    if ldconfig:
        args.append(f"--ldconfig={_normalised(str(ldconfig), ldconfig_real) if release.default_ldconfig else ldconfig}")
    if release.compat_flag != "none":
        args.append("--no-cntlibs" if release.compat_flag == "no-cntlibs" else "--cuda-compat-mode=ldconfig")
    if cli.get("no-cgroups", False):
        args.append("--no-cgroups")
    named = ",".join(d for d in devices if d)
    if named:
        args.append(f"--device={named}")
    args += [f"--{c}" for c in capabilities]
    args += [f"--require={r}" for r in requirements]
    return tuple(args)


def _normalised(value: str, real_exists: bool) -> str:
    """A host path of ldconfig with ``.real`` exactly when that file exists."""
    if not value.startswith("@"):
        return value
    path = value.removesuffix(".real")
    return f"{path}.real" if real_exists else path
