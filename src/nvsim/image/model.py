"""`Image`: a root file system and the OCI image config that travels with it."""

from __future__ import annotations

from collections.abc import Mapping

from nvsim.frozen import field, frozen
from nvsim.memo import Memo
from nvsim.rootfs.tree import Tree


@frozen
class ImageConfig:
    """The fields of an OCI image config that decide what runs (image-spec ``config.md``). `env` holds "NAME=value" in order."""

    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    working_dir: str = "/"
    user: str = ""
    labels: Mapping[str, str] = field(factory=dict, hash=False)


@frozen
class Image:
    """An image: `name` as the user gave it, its tree, its config, the platform if known ("linux/amd64").

    `memo` is what was derived of it (`nvsim.memo`); a changed image starts with an empty one.
    """

    name: str
    tree: Tree
    config: ImageConfig = ImageConfig()
    platform: str | None = None
    assumptions: tuple[str, ...] = ()
    memo: Memo = field(factory=Memo, init=False, eq=False, repr=False)
