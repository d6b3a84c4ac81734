"""Reading an image that the user names: ``example:NAME``, a directory, or a ``nvsim-tree/1`` file. Archives: `nvsim.image.archive`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve

from nvsim.errors import InputError, UnsupportedError
from nvsim.image.config import config_from_json, config_to_json, read_config
from nvsim.image.example import list_examples, read_example
from nvsim.image.model import Image, ImageConfig
from nvsim.rootfs.datafile import canonical_entries, did_you_mean, read_json
from nvsim.rootfs.node import Origin
from nvsim.rootfs.treefile import FORMAT, tree_from_json, tree_to_json

if TYPE_CHECKING:
    from nvsim.elf.store import FactsStore

_TAR_MAGIC_AT = 257
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


def load_image(spec: str, data: Path, *, store: FactsStore | None = None, image_config: Path | None = None) -> Image:
    """The image named by `spec`. `store` keeps ELF facts of real files; `image_config` replaces the config that comes with it.

    Raises `InputError`: unknown example (with near names), no such file, something that is no image, broken JSON; `UnsupportedError`
    for what is an image but cannot be read.
    """
    image = _load(spec, data, store)
    if image_config is None:
        return image
    config, platform = read_config(image_config)
    return evolve(image, config=config, platform=platform or image.platform)


def _load(spec: str, data: Path, store: FactsStore | None) -> Image:
    if spec.startswith("example:"):
        name = spec.removeprefix("example:")
        return image_from_json(read_example(name, data), spec)
    if spec.startswith("oci:"):
        raise UnsupportedError(
            f"{spec}: OCI layouts cannot be read yet: unpack the image into a directory and name that"
        )
    path = Path(spec)
    if path.is_dir():
        from nvsim.rootfs.directory import DirectoryTree

        if (path / "oci-layout").is_file():
            raise UnsupportedError(f"{spec}: OCI layouts cannot be read yet: unpack the image and name its rootfs")
        return Image(spec, DirectoryTree(path, store, name=f"image:{spec}"))
    if not path.exists():
        raise InputError("no such file or directory", source=spec, hint=_instead(spec, data))
    if not path.is_file():
        raise InputError("is no image: neither a directory nor a regular file", source=spec)
    return _from_file(path, spec)


def _instead(spec: str, data: Path) -> str:
    known = list_examples(data)
    if spec in known:
        return f"did you mean example:{spec}?"
    if "/" in spec or spec.endswith((".json", ".gz", ".tar")):
        return "give a directory, a tree file or example:NAME"
    return did_you_mean(spec, known).replace("did you mean ", "did you mean example:").replace("known: ", "examples: ")


def _from_file(path: Path, spec: str) -> Image:
    try:
        with path.open("rb") as f:
            head = f.read(512)
    except OSError as e:
        raise InputError(f"cannot be read: {e.strerror or e}", source=spec) from None
    if not head:
        raise InputError("is no image: the file is empty", source=spec)
    compressed = next((name for magic, name in _COMPRESSED.items() if head.startswith(magic)), None)
    if head[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar" or compressed not in (None, "gzip"):
        raise UnsupportedError(f"{spec}: archives cannot be read yet: unpack the image into a directory and name that")
    if head.startswith(b"\x7fELF"):
        raise InputError("is no image: an ELF file", source=spec, hint="give the image first, then the program")
    if compressed is None and not head.lstrip().startswith(b"{"):
        raise InputError("is no image", source=spec, hint="give a directory, a tree file or example:NAME")
    document = read_json(path)
    if not isinstance(document, Mapping) or document.get("format") != FORMAT:
        told = document.get("format") if isinstance(document, Mapping) else None
        what = f"its format is {told!r}" if told else "it names no format"
        raise InputError(f"is no image: {what}", source=spec, hint=f"a tree file has format {FORMAT!r}")
    return image_from_json(document, spec)


def image_from_json(document: Mapping[str, Any], name: str) -> Image:
    """An image from a ``nvsim-tree/1`` document with an optional ``config``. Raises `InputError` naming the faulty entry."""
    tree = document.get("tree")
    if not isinstance(tree, Mapping):
        raise InputError("lacks 'tree', an object of path: entry", source=name)
    entries = canonical_entries(tree, name)
    config = config_from_json(document.get("config") or {}, name)
    platform, assumptions = document.get("platform"), document.get("assumptions") or []
    if platform is not None and not isinstance(platform, str):
        raise InputError("must be a string such as linux/amd64", source=name, position="platform")
    if not isinstance(assumptions, list) or not all(isinstance(a, str) for a in assumptions):
        raise InputError("must be a list of sentences", source=name, position="assumptions")
    nodes = tree_from_json(entries, f"image:{name}", Origin("image", name))
    return Image(name, nodes, config, platform, tuple(assumptions))


def image_to_json(image: Image) -> dict[str, Any]:
    """The image as a ``nvsim-tree/1`` document with its config; the content of lazily read files is read now."""
    out: dict[str, Any] = {"format": FORMAT, "name": image.name, "tree": tree_to_json(image.tree)}
    config = config_to_json(image.config) if image.config != ImageConfig() else {}
    if config:
        out["config"] = config
    if image.platform:
        out["platform"] = image.platform
    if image.assumptions:
        out["assumptions"] = list(image.assumptions)
    return out
