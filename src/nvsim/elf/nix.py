"""Programs of Nix that are told by strings in their bytes: compiled wrappers (nixpkgs ``make-binary-wrapper.sh``), nix-ld and stub-ld.

What they do is `nvsim.loader.wrappers` and `nvsim.loader.nix_ld`.
"""

from __future__ import annotations

from collections.abc import Callable

from nvsim.elf.facts import ElfFacts, LoaderFacts
from nvsim.frozen import evolve

WRAPPER_LIMIT = 64 << 10  # a compiled wrapper is smaller
_COMMAND = b"\nmakeCWrapper "
_END = b"\n\n\n# "
_STORES = ("/nix/store/", "/gnu/store/")


def with_wrapper_command(elf: ElfFacts, size: int, read: Callable[[], bytes]) -> ElfFacts:
    """`elf` with the command that made a compiled wrapper, as the extra fact ``make_c_wrapper``. `read` gives the bytes of the file."""
    if size > WRAPPER_LIMIT or elf.interp is None or not elf.interp.startswith(_STORES):
        return elf
    command = wrapper_command(read())
    return elf if command is None else evolve(elf, extra={**elf.extra, "make_c_wrapper": command})


def wrapper_command(data: bytes) -> str | None:
    """The command "makeCWrapper ..." in a compiled wrapper's documentation string; None: it is none."""
    start = data.find(_COMMAND)
    end = data.find(_END, start)
    if start < 0 or end < 0:
        return None
    return data[start + 1 : end].decode("utf-8", "surrogateescape").strip()


def nix_loader(data: bytes) -> LoaderFacts | None:
    """The facts of nix-ld or stub-ld; None: the bytes are of neither."""
    if b"NIX_LD_LIBRARY_PATH" in data and b"nix-ld" in data:
        return LoaderFacts("nix-ld", "2", cache=None, preload=None, assumed=("nix-ld is taken for release 2",))
    if b"NixOS cannot run dynamically linked executables" in data:
        return LoaderFacts("stub-ld", "1", cache=None, preload=None)
    return None
