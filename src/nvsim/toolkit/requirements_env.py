"""Which requirements a container brings with it (NVIDIA_REQUIRE_*, CUDA_VERSION of a legacy image), not whether they hold.

Source: ``internal/config/image/cuda_image.go`` (``GetRequirements``, ``HasDisableRequire``).
"""

from __future__ import annotations

from collections.abc import Mapping

from nvsim.toolkit.go_strings import is_true
from nvsim.toolkit.releases import Release

PREFIX = "NVIDIA_REQUIRE_"
JETPACK = "NVIDIA_REQUIRE_JETPACK"
DISABLE = "NVIDIA_DISABLE_REQUIRE"
_UINT32_DIGITS = 10


def requirements_disabled(env: Mapping[str, str]) -> bool:
    """Whether NVIDIA_DISABLE_REQUIRE is a true boolean."""
    return is_true(env.get(DISABLE, ""))


def requirement_variables(env: Mapping[str, str]) -> tuple[str, ...]:
    """The variables that are requirements, sorted."""
    return tuple(sorted(n for n in env if n.startswith(PREFIX) and not n.startswith(JETPACK)))


def requirements(env: Mapping[str, str], release: Release) -> tuple[tuple[str, ...], str | None]:
    """The requirement expressions, sorted (the original has them in random order), and the error text.

    The hook reads disabled requirements too up to 1.13: there they still can be an error.
    """
    disabled = requirements_disabled(env)
    if disabled and not release.disabled_requirements_read:
        return (), None
    found = [env[name] for name in requirement_variables(env)]
    if env.get("CUDA_VERSION") and not env.get("NVIDIA_REQUIRE_CUDA"):
        version, error = _major_minor(env["CUDA_VERSION"], release)
        if error is not None:
            shown = f" {env['CUDA_VERSION']}" if release.cuda_version_in_error else ""
            return (), f"failed to get version: invalid CUDA version{shown}: {error}"
        found.append(f"cuda>={version}")
    return ((), None) if disabled else (tuple(sorted(found)), None)


def _major_minor(text: str, release: Release) -> tuple[str, str | None]:
    """MAJOR.MINOR of a version, or the error text."""
    from nvsim.toolkit.versions import VersionError, parse_version  # images without CUDA_VERSION have none to read

    try:
        version = parse_version(text, release.semver)
    except VersionError as e:
        return "", f"invalid version string: {e}" if release.semver == "masterminds" else str(e)
    for name, number in (("major", version.major), ("minor", version.minor)):
        if len(number) > _UINT32_DIGITS or int(number) >= 2**32:
            return "", f"invalid {name} version"
    return version.major_minor, None
