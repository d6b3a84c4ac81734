"""What an image is, as facts and as text: config, C library, loaders, CUDA, and driver files that should not be there."""

from __future__ import annotations

from typing import Any

from nvsim.image.config import config_to_json
from nvsim.image.model import Image
from nvsim.report.style import PLAIN, Style, columns, wrapped
from nvsim.rootfs.glob import glob
from nvsim.rootfs.node import File
from nvsim.rootfs.resolve import Resolved, Resolver
from nvsim.rootfs.tree import Tree, walk

_LOADERS = (
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib/ld-musl-*.so.1",
    "/lib/ld-linux.so.2",
    "/nix/store/*/lib/ld-linux-x86-64.so.2",
    "/gnu/store/*/lib/ld-linux-x86-64.so.2",
)
_CUDA = ("/usr/local/cuda*/lib64/libcudart.so.*", "/usr/local/cuda/compat/lib*.so*", "/nix/store/*/lib/libcudart.so.*")
_DRIVER = ("libcuda.so.", "libnvidia-ml.so.", "libnvcuvid.so.", "libnvidia-ptxjitcompiler.so.", "libnvidia-encode.so.")
_DRIVER_DIRS = ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib/aarch64-linux-gnu", "/usr/lib")


def image_facts(image: Image) -> dict[str, Any]:
    """The object that ``nvsim image show --format json`` prints."""
    resolver = Resolver(image.tree)
    loaders = [_loader(resolver, p) for pattern in _LOADERS for p in glob(resolver, pattern)]
    release = resolver.resolve("/etc/os-release")
    debian = isinstance(resolver.resolve("/etc/debian_version"), Resolved)
    count, size, seen = 0, 0, set()
    for _, node in walk(image.tree):
        if isinstance(node, File) and node.inode not in seen:
            seen.add(node.inode)
            count, size = count + 1, size + node.size
    return {
        "schema": "nvsim-image/1",
        "name": image.name,
        "platform": image.platform,
        "config": config_to_json(image.config),
        "system": _pretty_name(release),
        "files": count,
        "bytes": size,
        "debian_like": debian,
        "driver_goes_to": "/usr/lib/<multiarch>" if debian else "/usr/lib64",
        "loaders": [item for item in loaders if item is not None],
        "has_ldconfig": any(
            isinstance(resolver.resolve(p), Resolved) for p in ("/sbin/ldconfig", "/sbin/ldconfig.real")
        ),
        "has_cache": isinstance(resolver.resolve("/etc/ld.so.cache"), Resolved),
        "cuda": sorted({_real(resolver, p) for pattern in _CUDA for p in glob(resolver, pattern)}),
        "driver_files": _driver_files(image.tree, resolver),
        "assumptions": list(image.assumptions),
    }


def _real(resolver: Resolver, path: str) -> str:
    at = resolver.resolve(path)
    return at.path if isinstance(at, Resolved) else path


def _loader(resolver: Resolver, path: str) -> dict[str, Any] | None:
    at = resolver.resolve(path)
    if not isinstance(at, Resolved) or not isinstance(at.node, File):
        return None
    facts = at.node.facts.loader
    out: dict[str, Any] = {"path": path, "file": at.path, "libc": None, "version": None}
    if facts is not None:
        out |= {"libc": facts.libc, "version": facts.version, "cache": facts.cache if facts.libc == "glibc" else None}
        out["directories"] = list(facts.system_dirs) if facts.libc == "glibc" else facts.system_path.split(":")
    return out


def _pretty_name(release: object) -> str | None:
    if not isinstance(release, Resolved) or not isinstance(release.node, File) or release.node.facts.text is None:
        return None
    for line in release.node.facts.text.splitlines():
        key, _, value = line.partition("=")
        if key == "PRETTY_NAME":
            return value.strip("\"'")
    return None


def _driver_files(tree: Tree, resolver: Resolver) -> list[str]:
    """Driver libraries that were baked into the image."""
    found = set()
    for directory in _DRIVER_DIRS:
        at = resolver.resolve(directory)
        if isinstance(at, Resolved):
            found |= {f"{at.path}/{n}" for n in tree.names(at.path) if n.startswith(_DRIVER)}
    return sorted(found)


def image_text(facts: dict[str, Any], style: Style = PLAIN) -> str:
    """The answer of ``nvsim image show``."""
    config = facts["config"]
    lines = [
        f"{style.paint(facts['name'], 'bold')}  {facts['system'] or 'no os-release'}, {facts['platform'] or 'platform unknown'}"
    ]
    rows = [["files", f"{facts['files']} files, {facts['bytes'] / 1048576:.1f} MiB"]]
    for loader in facts["loaders"]:
        known = f"{loader['libc']} {loader['version']}" if loader["libc"] else "facts unknown"
        cache = f", reads {loader.get('cache')}" if loader.get("cache") else ""
        rows.append(["loader", f"{loader['path']}: {known}{cache}"])
    if not facts["loaders"]:
        rows.append(["loader", "none: only static programs start here"])
    rows.append(
        [
            "ldconfig",
            f"{'in the image' if facts['has_ldconfig'] else 'not in the image'}; {'a' if facts['has_cache'] else 'no'} ld.so.cache",
        ]
    )
    why = "it has" if facts["debian_like"] else "it has no"
    rows.append(["driver", f"goes to {facts['driver_goes_to']} in legacy mode: {why} /etc/debian_version"])
    rows += [["CUDA", path] for path in facts["cuda"]]
    rows += [
        ["driver file", f"{path} (baked in: it may stand in the way of the host's)"] for path in facts["driver_files"]
    ]
    for name in ("Entrypoint", "Cmd", "WorkingDir", "User"):
        value = config.get(name)
        if value:
            rows.append([name, " ".join(value) if isinstance(value, list) else str(value)])
    rows += [["Env", item] for item in config.get("Env", ())]
    lines += columns(rows, "  ")
    for sentence in facts["assumptions"]:
        lines += wrapped(sentence, "    ", "  assumed: ")
    return "\n".join(lines) + "\n"
