"""The real loaders that scenarios run under: the machine's own, or those of an unpacked Debian package."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from nvsim.elf.facts import LoaderFacts
from nvsim.elf.programs import loader_facts
from nvsim.elf.reader import read_elf
from nvsim.loader.versions import libc_version
from nvsim.rootfs.node import File, FileFacts

LD_SO = "ld-linux-x86-64.so.2"
LD_SO_32 = "ld-linux.so.2"
LD_MUSL = "ld-musl-x86_64.so.1"
_GLIBC_FILES = ("libc.so.6", "libdl.so.2")


@frozen(slots=True)
class RealLoader:
    """A loader and its libc, for x86_64 or i386 (`machine`). `files`: the real files by the name that scenarios use ("ld.so",
    "libc.so.6", ...); `nodes`: the same files as nvsim sees them."""

    kind: str
    machine: str
    facts: LoaderFacts
    files: Mapping[str, Path]
    nodes: Mapping[str, File]

    @property
    def talks(self) -> bool:
        """Whether programs tell what they see; those of i386 only end with their status."""
        return self.machine == "x86_64"

    @property
    def name(self) -> str:
        """The file name of the loader, which its libc needs."""
        return LD_MUSL if self.kind == "musl" else LD_SO if self.machine == "x86_64" else LD_SO_32

    @property
    def interp(self) -> str:
        return f"/{'lib64' if self.name == LD_SO else 'lib'}/{self.name}"

    @property
    def libc_names(self) -> tuple[str, ...]:
        """What a program needs to call dlopen."""
        if self.kind == "musl":
            return ("libc.so",)
        return ("libc.so.6",) if libc_version(self.facts.version) >= (2, 34) else ("libdl.so.2", "libc.so.6")


class NoLoaderError(Exception):
    """There is no such loader to run."""


def real_loader(what: str) -> RealLoader:
    """The loader named "glibc" or "musl" (the machine's own), or found below the directory `what`. Raises `NoLoaderError`."""
    if what == "glibc":
        return _glibc(_mapped_libraries())
    if what == "musl":
        return _musl(Path("/lib") / LD_MUSL)
    top = Path(what)
    if not top.is_dir():
        raise NoLoaderError(f"{what} is neither glibc nor musl nor a directory")
    found = {
        name: path for name in (LD_SO, LD_SO_32, LD_MUSL, *_GLIBC_FILES) if (path := _below(top, name)) is not None
    }
    if LD_MUSL in found:
        return _musl(found[LD_MUSL])
    return _glibc(found)


def _below(top: Path, name: str) -> Path | None:
    """A regular file of that name below `top`, links followed inside `top`."""
    for path in sorted(top.rglob(name)):
        for _ in range(5):
            if not path.is_symlink():
                break
            target = os.readlink(path)
            path = top / target.lstrip("/") if target.startswith("/") else path.parent / target
        if path.is_file() and not path.is_symlink():
            return path
    return None


def _mapped_libraries() -> dict[str, Path]:
    """The glibc files that this very process uses, and what lies beside them."""
    out: dict[str, Path] = {}
    for line in Path("/proc/self/maps").read_text().splitlines():
        path = Path(line.partition("/")[1] + line.partition("/")[2])
        if path.name in (LD_SO, *_GLIBC_FILES):
            out[path.name] = path
    if "libc.so.6" in out:
        for name in (LD_SO, *_GLIBC_FILES):
            beside = out["libc.so.6"].parent / name
            if beside.exists():
                out.setdefault(name, beside.resolve())
    return out


def _glibc(found: Mapping[str, Path]) -> RealLoader:
    own = next((found[name] for name in (LD_SO, LD_SO_32) if name in found), None)
    if own is None or "libc.so.6" not in found:
        raise NoLoaderError(f"no {LD_SO} or {LD_SO_32} with libc.so.6")
    files = {"ld.so": own, **{name: found[name] for name in _GLIBC_FILES if name in found}}
    return _real("glibc", files)


def _musl(path: Path) -> RealLoader:
    if not path.exists():
        raise NoLoaderError(f"no {LD_MUSL} (Debian: package musl)")
    return _real("musl", {"ld.so": path.resolve()})


def _real(kind: str, files: Mapping[str, Path]) -> RealLoader:
    data = files["ld.so"].read_bytes()
    facts = loader_facts(data)
    if facts is None and "libc.so.6" in files:
        facts = loader_facts(data + files["libc.so.6"].read_bytes())  # before 2.33 only libc.so.6 says its version
    if facts is None or facts.libc != kind:
        raise NoLoaderError(f"{files['ld.so']} is no {kind} loader that nvsim can read")
    nodes = {}
    for name, path in files.items():
        content = FileFacts(elf=read_elf(path), loader=facts if name == "ld.so" else None)
        nodes[name] = File(path.stat().st_size, ("real", name), content)
    elf = nodes["ld.so"].facts.elf
    if elf is None or elf.machine not in ("x86_64", "i386"):
        raise NoLoaderError(f"{files['ld.so']} is not for x86")
    return RealLoader(kind, elf.machine, facts, files, nodes)
