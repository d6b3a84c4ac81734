"""The forms in which a GPU or MIG device is named (go-nvlib: ``pkg/nvlib/device/identifier.go``, google/uuid)."""

from __future__ import annotations

import re

_HEX = "[0-9a-fA-F]"
_DASHED = f"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"
_UUID = re.compile(rf"({_DASHED}|(?i:urn:uuid:){_DASHED}|\{{{_DASHED}\}}|{_HEX}{{32}})\Z")


def is_plain_uuid(text: str) -> bool:
    """Whether `text` is a UUID without a prefix (the form of integrated GPUs)."""
    return _UUID.match(text) is not None


def is_gpu_uuid(text: str) -> bool:
    return text.startswith("GPU-") and is_plain_uuid(text[4:])


def is_mig_uuid(text: str) -> bool:
    """``MIG-UUID``, or the older ``MIG-GPU-UUID/GI/CI``."""
    if not text.startswith("MIG-"):
        return False
    parts = text[4:].split("/")
    old = len(parts) == 3 and is_gpu_uuid(parts[0]) and all(map(is_gpu_index, parts[1:]))
    return is_plain_uuid(text[4:]) or old


def is_uuid(text: str) -> bool:
    return is_gpu_uuid(text) or is_mig_uuid(text)


def is_gpu_index(text: str) -> bool:
    """A decimal number, leading zeros allowed."""
    return text.isascii() and text.isdigit() and int(text) < 2**64


def is_mig_index(text: str) -> bool:
    """``GPU:MIG``."""
    parts = text.split(":")
    return len(parts) == 2 and all(map(is_gpu_index, parts))
