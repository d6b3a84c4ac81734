"""CDI requests in annotations, as the CDI library reads them (``pkg/cdi/annotations.go``)."""

from __future__ import annotations

from collections.abc import Mapping

from nvsim.inject.log import ToolFailure
from nvsim.toolkit.cdi_name import is_qualified
from nvsim.toolkit.go_text import go_quote

ANNOTATION_PREFIX = "cdi.k8s.io/"


def parse_annotations(annotations: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The CDI annotation keys and the devices that they request, in key order. Raises `ToolFailure`."""
    keys = []
    devices: list[str] = []
    for key, value in annotations.items():
        if not key.startswith(ANNOTATION_PREFIX):
            continue
        for device in value.split(","):
            if not is_qualified(device):
                raise ToolFailure(f"invalid CDI device name {go_quote(device)}")
            devices.append(device)
        keys.append(key)
    return tuple(keys), tuple(devices)
