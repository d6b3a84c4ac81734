"""What a tree file tells that a program does: the libraries that it opens and how it ends. Few files tell."""

from __future__ import annotations

from nvsim.frozen import frozen


@frozen
class DlopenWish:
    """A dlopen that a program is known to make: `flags` as RTLD_* bits, `caller` "main" or a library path."""

    name: str
    flags: int = 2
    caller: str = "main"
    required: bool = True


@frozen
class Behaviour:
    """What a program is known to do once it runs: its dlopens in order, and its exit status when all goes well."""

    dlopen: tuple[DlopenWish, ...] = ()
    exit: int | None = None
