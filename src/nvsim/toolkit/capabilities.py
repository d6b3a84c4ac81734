"""Driver capabilities: the sets of words, and which of them the hook grants.

Source: ``internal/config/image/capabilities.go`` and ``cmd/nvidia-container-runtime-hook/container_config.go``; up to 1.13
``cmd/nvidia-container-runtime-hook/capabilities.go``, where a list of capabilities is a text and stays in its order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nvsim.frozen import frozen
from nvsim.toolkit.go_strings import items_of
from nvsim.toolkit.releases import Release
from nvsim.toolkit.request import Because

ALL = "all"
KNOWN = ("compute", "compat32", "graphics", "utility", "video", "display", "ngx")
VARIABLE = "NVIDIA_DRIVER_CAPABILITIES"
CONFIG_KEY = "supported-driver-capabilities"

Capabilities = frozenset[str]
"""A set of words as they were given; with `ALL` in it, it is every capability."""


def capabilities_of(*texts: str) -> Capabilities:
    """The words of comma-separated lists, trimmed."""
    return frozenset(word for text in texts for word in items_of(text))


def shown(capabilities: Capabilities) -> str:
    """The set as the programs print it: sorted, or ``all``."""
    return ALL if ALL in capabilities else ",".join(sorted(capabilities))


def intersection(a: Capabilities, b: Capabilities) -> Capabilities:
    """What is in both; `ALL` stands for everything."""
    if ALL in b:
        return a
    return b if ALL in a else a & b


def is_superset(a: Capabilities, b: Capabilities) -> bool:
    """Whether `a` contains `b`."""
    return ALL in a or b <= a


def has_any(capabilities: Capabilities, words: Iterable[str]) -> bool:
    """Whether one of `words` is in the set."""
    return ALL in capabilities or not capabilities.isdisjoint(words)


@frozen
class Granted:
    """The capabilities that the hook grants, in the order of the command line, or (`refused`) what it says instead."""

    words: tuple[str, ...]
    because: Because
    refused: str | None = None


def supported_capabilities(configured: str | None, release: Release) -> tuple[str, str | None]:
    """The upper bound that config.toml sets (None = it does not), as the text that is used; and the message when it is invalid.

    The message "" stands for an end without a word.
    """
    known = ",".join(sorted(KNOWN)) if release.capability_sets else ",".join(KNOWN)
    if configured is None or configured == ALL:
        return known, None
    if release.capability_sets:
        valid = is_superset(capabilities_of(known), capabilities_of(configured))
    else:
        valid = _text_intersection(known, configured) == configured
    if valid:
        return configured, None
    if not release.bad_supported_capabilities_told:
        return configured, ""
    return configured, f"Invalid value for config option '{CONFIG_KEY}'; {configured} (supported: {known})\n"


def grant(env: Mapping[str, str], supported: str, legacy_image: bool, release: Release) -> Granted:
    """What a container gets: `supported` is the upper bound of config.toml, `env` the container's environment."""
    asked = env.get(VARIABLE)
    if asked is None and legacy_image:
        why = Because(
            "env CUDA_VERSION", "a legacy image without NVIDIA_DRIVER_CAPABILITIES gets every supported capability"
        )
        return Granted(_flags(supported, release), why)
    if not asked:
        default = _text_intersection(supported, ",".join(release.default_capabilities))
        version = ".".join(str(n) for n in release.version[:3])
        state = "unset" if asked is None else "empty"
        text = f"{VARIABLE} is {state}: the default of toolkit {version} counts, {default}"
        return Granted(_flags(default, release), Because(f"env {VARIABLE}", text))
    wanted = shown(capabilities_of(asked)) if release.capability_sets else asked
    both = _intersection_of(supported, asked, release)
    if wanted == ALL:
        return Granted(_flags(both, release), Because(f"env {VARIABLE}", "all: every supported capability"))
    if wanted != both:
        wrong = sorted(w for w in asked.split(",") if w not in both.split(","))
        text = f"{wrong[0] or 'an empty word'} is no supported capability" if wrong else "blanks are not taken"
        message = f"unsupported capabilities found in '{wanted}' (allowed '{both}')"
        return Granted((), Because(f"env {VARIABLE}", text), message)
    return Granted(_flags(both, release), Because(f"env {VARIABLE}", f"it says {asked}"))


def _intersection_of(supported: str, asked: str, release: Release) -> str:
    if release.capability_sets:
        return shown(intersection(capabilities_of(supported), capabilities_of(asked)))
    return _text_intersection(supported, asked)


def _text_intersection(a: str, b: str) -> str:
    """The words of `b` that `a` has too, in the order of `b` and with its duplicates; ``all`` alone stands for everything."""
    if b == ALL:
        return a
    if a == ALL:
        return b
    return ",".join(word for word in items_of(b) if word in items_of(a))


def _flags(text: str, release: Release) -> tuple[str, ...]:
    """The capabilities in the order of the command line."""
    return tuple(sorted(capabilities_of(text))) if release.capability_sets else tuple(w for w in text.split(",") if w)
