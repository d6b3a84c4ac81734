"""What stands at /lib64/ld-linux-x86-64.so.2 of Nix systems for programs of others: nix-ld, which hands over to a real loader, and
stub-ld, which only says why the program does not run (github.com/nix-community/nix-ld, ``src/main.rs``; nixpkgs ``stub-ld``).
"""

from __future__ import annotations

from nvsim.frozen import evolve
from nvsim.loader.execve import ExecImage
from nvsim.loader.outcome import ProcessRequest
from nvsim.rootfs.node import File
from nvsim.rootfs.resolve import Resolved, Resolver

DEFAULT_LOADER = "/run/current-system/sw/share/nix-ld/lib/ld.so"
DEFAULT_LIBRARY_PATH = "/run/current-system/sw/share/nix-ld/lib"


def stub_text(image: ExecImage) -> str:
    """What stub-ld prints before it ends with 127."""
    argv0 = image.argv[0] if image.argv else image.execfn
    return (
        f"Could not start dynamically linked executable: {argv0}\n"
        "NixOS cannot run dynamically linked executables intended for generic\n"
        "linux environments out of the box. For more information, see:\n"
        "https://nix.dev/permalink/stub-ld\n"
    )


def hand_over(resolver: Resolver, image: ExecImage, request: ProcessRequest) -> tuple[ExecImage, ProcessRequest] | str:
    """The image with the loader that NIX_LD names in place of nix-ld, and the request with LD_LIBRARY_PATH as nix-ld sets it.

    A string: there is no such loader.
    """
    env = dict(request.env)
    system = f"{image.elf.machine}_linux"
    path = env.get(f"NIX_LD_{system}") or env.get("NIX_LD") or DEFAULT_LOADER
    found = resolver.resolve(path, cwd=image.cwd)
    if not isinstance(found, Resolved) or not isinstance(found.node, File):
        return f"nix-ld ({image.interp}) finds no loader at {path} and gives up"
    libraries = env.get(f"NIX_LD_LIBRARY_PATH_{system}", env.get("NIX_LD_LIBRARY_PATH"))
    before = env.get("LD_LIBRARY_PATH")
    if before is None:
        env["LD_LIBRARY_PATH"] = DEFAULT_LIBRARY_PATH if libraries is None else libraries
    else:
        separator = "" if not before or before.endswith(":") else ":"
        tail = DEFAULT_LIBRARY_PATH if libraries is None else libraries
        env["LD_LIBRARY_PATH"] = f"{before}{separator}{tail}"
    handed = evolve(image, interp_path=found.path, interp_file=found.node)
    return handed, evolve(request, env=tuple(env.items()))
