"""An image that lies unpacked in a directory. What else an image can be is read by `nvsim.image.read`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nvsim.image.model import Image

if TYPE_CHECKING:
    from nvsim.elf.store import FactsStore

OTHERS = ("example:", "oci:", "oci-archive:", "docker-archive:")  # what begins so names another kind of image


def load_directory(spec: str, store: FactsStore | None = None) -> Image | None:
    """The image in the directory `spec`; None when that is no directory, or an OCI layout."""
    path = spec or "."
    if spec.startswith(OTHERS) or not os.path.isdir(path) or os.path.isfile(os.path.join(path, "oci-layout")):
        return None
    from nvsim.rootfs.directory import DirectoryTree

    return Image(spec, DirectoryTree(path, store, name=f"image:{spec}"))
