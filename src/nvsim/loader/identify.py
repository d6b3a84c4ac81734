"""What is built into a program's loader when its file does not say so: version and directories by the libc and distribution around it.

What a loader's own bytes say is read by `nvsim.elf.programs`; this is the second choice, and each answer says that it is assumed.
"""

from __future__ import annotations

from nvsim.elf.facts import LoaderFacts
from nvsim.frozen import evolve
from nvsim.loader.execve import ExecImage
from nvsim.loader.versions import libc_version
from nvsim.rootfs.node import File
from nvsim.rootfs.resolve import Resolved, Resolver
from nvsim.rootfs.tree import Tree

_TRIPLET = {
    "x86_64": "x86_64-linux-gnu",
    "aarch64": "aarch64-linux-gnu",
    "i386": "i386-linux-gnu",
    "arm": "arm-linux-gnueabihf",
}
_OLDEST = (2, 17)
_DATED_BY_ITSELF = (2, 30)
_WITHOUT_SYMBOLS = ((2, 19), (2, 20), (2, 21))  # releases whose libc defines no version of its own: 2.18 is its newest


def loader_facts(tree: Tree, image: ExecImage) -> LoaderFacts | str:
    """What is built into the loader that `image` names: as its file says, else derived and marked as assumed; a string = why unknown."""
    assert image.interp_file is not None and image.interp is not None
    facts = image.interp_file.facts
    name = (image.interp_path or image.interp).rpartition("/")[2]
    if facts.loader is not None:
        return _completed(tree, image, facts.loader)
    if "musl" in name:
        return LoaderFacts("musl", "1.2.3", assumed=(f"{image.interp} is taken for musl 1.2.3",))
    if facts.elf is None or not name.startswith(("ld-linux", "ld-2", "ld64", "ld.so")):
        return f"{image.interp} is no dynamic loader that nvsim knows, and its facts are not given"
    kind, lib, dirs = _usual_directories(tree, image)
    version = _libc_version(Resolver(tree), image, dirs)
    text = f"{image.interp} is taken for glibc {version} with {kind}'s built-in directories"
    return LoaderFacts("glibc", version, dirs, lib, assumed=(text,))


def own_facts(tree: Tree, image: ExecImage) -> LoaderFacts | None:
    """What is built into `image` when it is a loader that was executed itself; None when it is none."""
    told = image.file.facts.loader
    if told is None or not told.assumed:
        return told
    return _completed(tree, evolve(image, interp=image.path, interp_file=image.file, interp_path=image.path), told)


def _completed(tree: Tree, image: ExecImage, told: LoaderFacts) -> LoaderFacts:
    """What the loader's file tells, with a better answer for what it does not."""
    if not told.assumed:
        return told
    from nvsim.elf.programs import with_named_version  # which takes long to load, for its expressions

    told = with_named_version(told, (image.interp_path or image.interp or "").rpartition("/")[2])
    return _dated(tree, image, _placed(tree, image, told))


def _usual_directories(tree: Tree, image: ExecImage) -> tuple[str, str, tuple[str, ...]]:
    """The kind of distribution, its ``$LIB`` and its loader's built-in directories."""
    triplet = _TRIPLET.get(image.elf.machine)
    debian = triplet is not None and isinstance(Resolver(tree).resolve("/etc/debian_version"), Resolved)
    lib = f"lib/{triplet}" if debian else "lib64" if image.elf.elf_class == 64 else "lib"
    dirs: tuple[str, ...] = (f"/{lib}", f"/usr/{lib}", *(("/lib", "/usr/lib") if debian else ()))
    return "Debian" if debian else "Red Hat", lib, dirs


def _placed(tree: Tree, image: ExecImage, loader: LoaderFacts) -> LoaderFacts:
    """`loader` with the usual directories where its file does not show those that are built in."""
    unread = [a for a in loader.assumed if "built-in directories" in a]
    if loader.libc != "glibc" or loader.system_dirs or not unread:
        return loader
    kind, lib, dirs = _usual_directories(tree, image)
    text = f"{image.interp} is taken to have {kind}'s built-in directories"
    rest = tuple(a for a in loader.assumed if a not in unread)
    return evolve(loader, system_dirs=dirs, lib_token=lib, assumed=(*rest, text))


def _dated(tree: Tree, image: ExecImage, loader: LoaderFacts) -> LoaderFacts:
    """`loader` with a better date: files of loaders up to 2.29 tell only roughly how old they are, the libc beside them tells it."""
    if loader.libc != "glibc" or not loader.assumed or libc_version(loader.version) >= _DATED_BY_ITSELF:
        return loader
    version = _libc_version(Resolver(tree), image, loader.system_dirs)
    if not _OLDEST < libc_version(version) < _DATED_BY_ITSELF:
        return loader
    if version == "2.18" and libc_version(loader.version) in _WITHOUT_SYMBOLS:
        return loader
    text = f"{image.interp} is taken for glibc {version}, the newest that its libc.so.6 defines"
    rest = tuple(a for a in loader.assumed if "version" not in a)
    return evolve(loader, version=version, assumed=(text, *rest))


def _libc_version(resolver: Resolver, image: ExecImage, dirs: tuple[str, ...]) -> str:
    """The highest GLIBC_x.y that the libc beside the loader (or in `dirs`) defines."""
    best = _OLDEST
    beside = (image.interp_path or "/").rpartition("/")[0]
    for directory in (beside, *dirs):
        found = resolver.resolve(f"{directory}/libc.so.6")
        if isinstance(found, Resolved) and isinstance(found.node, File) and found.node.facts.elf is not None:
            for name in found.node.facts.elf.verdef:
                parts = name.removeprefix("GLIBC_").split(".")
                if name.startswith("GLIBC_") and len(parts) >= 2 and all(p.isdigit() for p in parts):
                    best = max(best, (int(parts[0]), int(parts[1])))
            break
    return f"{best[0]}.{best[1]}"
