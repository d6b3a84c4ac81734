"""Device requests by annotations (runtime only): ``cdi.k8s.io/ANYTHING: VENDOR/CLASS=NAME,...``.

Since 1.18 the image view takes them as they stand (``internal/config/image``); before, CDI mode read and checked them itself
(``internal/modifier/cdi.go``, up to 1.12 through the CDI library).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nvsim.toolkit.cdi_name import is_qualified
from nvsim.toolkit.go_text import go_quote
from nvsim.toolkit.releases import Release

CDI_PREFIX = "cdi.k8s.io/"


def annotation_keys(annotations: Mapping[str, str], prefixes: Sequence[str]) -> tuple[str, ...]:
    """The keys that begin with one of `prefixes`, sorted."""
    return tuple(sorted(k for k in annotations if any(k.startswith(p) for p in prefixes)))


def annotation_devices(annotations: Mapping[str, str], prefixes: Sequence[str]) -> tuple[str, ...]:
    """The requested devices as they are written: not trimmed, not checked; an empty value is one empty name."""
    return tuple(d for key in annotation_keys(annotations, prefixes) for d in annotations[key].split(","))


def checked_annotation_devices(
    annotations: Mapping[str, str], prefixes: Sequence[str], release: Release
) -> tuple[tuple[str, ...], str | None]:
    """The requested devices without duplicates, and the error text at the first bad name.

    The original takes the keys in random order; here they are sorted. Raises `NamePanic` where the real program crashes.
    """
    devices: dict[str, None] = {}
    for key in annotation_keys(annotations, prefixes):
        for name in annotations[key].split(","):
            if not is_qualified(name, digits=release.cdi_digit_names):
                if release.annotations == "cdi-library":
                    return (), f"invalid CDI device name {go_quote(name)}"
                return (), f"invalid device name {go_quote(name)} in annotation {go_quote(key)}"
            devices[name] = None
    return tuple(devices), None
