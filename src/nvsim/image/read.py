"""Reading an image that the user names: ``example:NAME``, a directory, an archive, an OCI layout, or a ``nvsim-tree/1`` file.

What it is is decided by its beginning, never by its name. Archives and layouts are read by `nvsim.image.archive`.
"""

from __future__ import annotations

import errno
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nvsim.errors import InputError, did_you_mean
from nvsim.frozen import evolve
from nvsim.image.config import config_from_json, config_to_json, read_config
from nvsim.image.directory import load_directory
from nvsim.image.example import list_examples, read_example
from nvsim.image.model import Image, ImageConfig
from nvsim.rootfs.datafile import FilePath, canonical_entries, read_json
from nvsim.rootfs.node import Origin
from nvsim.rootfs.treefile import FORMAT, tree_from_json, tree_to_json

if TYPE_CHECKING:
    from pathlib import Path

    from nvsim.elf.store import FactsStore

_TAR_MAGIC_AT = 257
_COMPRESSED = (b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")  # bzip2, xz, zstd


_ARCHIVES = {"oci:": "directory", "oci-archive:": "file", "docker-archive:": "file"}
_NO_FILE = "no such file or directory"


def load_image(
    spec: str,
    data: FilePath,
    *,
    store: FactsStore | None = None,
    image_config: FilePath | None = None,
    platform: str | None = None,
) -> Image:
    """The image named by `spec`; an archive or layout may be followed by ``:TAG``.

    `store` keeps what is learned of real files; `image_config` replaces the config that comes with the image; `platform`
    ("linux/arm64") chooses among several, linux/amd64 when it is None.

    Raises `InputError`: unknown example (with near names), no such file, something that is no image, broken JSON; `UnsupportedError`
    for what is an image but cannot be read.
    """
    image = _load(spec, data, store, platform)
    if image_config is None:
        return image
    config, told = read_config(image_config)
    return evolve(image, config=config, platform=told or image.platform)


def _load(spec: str, data: FilePath, store: FactsStore | None, platform: str | None) -> Image:
    if spec.startswith("example:"):
        name = spec.removeprefix("example:")
        return image_from_json(read_example(name, data), spec)
    prefix = next((p for p in _ARCHIVES if spec.startswith(p)), "")
    unpacked = load_directory(spec, store)
    if unpacked is not None:
        return unpacked
    path, tag = _split(spec.removeprefix(prefix))
    missing = _missing(path)
    if missing is not None:
        wanted = missing if missing != _NO_FILE or not prefix else f"no such {_ARCHIVES[prefix]}: {path}"
        raise InputError(wanted, source=spec, hint=_instead(spec, data) if missing == _NO_FILE and not prefix else None)
    if path.is_dir() or prefix or _is_archive(path, spec):
        from nvsim.elf.store import FactsStore
        from nvsim.image.archive import load_archive

        return load_archive(path, spec, tag=tag, platform=platform, store=store or FactsStore())
    if not path.is_file():
        raise InputError("is no image: neither a directory nor a regular file", source=spec)
    return _from_file(path, spec)


def _missing(path: Path) -> str | None:
    """Why there is nothing at a path (a loop of links, a directory that may not be entered, ...); None when there is something."""
    try:
        path.stat()
    except OSError as e:
        return _NO_FILE if e.errno == errno.ENOENT else (e.strerror or str(e)).lower()
    except ValueError:  # a NUL in it
        return _NO_FILE
    return None


def _split(text: str) -> tuple[Path, str | None]:
    """Path and tag of ``PATH[:TAG]``; a path that exists has no tag."""
    from pathlib import Path

    if not Path(text).exists():
        for at in (i for i, c in enumerate(text) if c == ":"):
            head = Path(text[:at])
            if text[at + 1 :] and (head.is_file() or (head / "oci-layout").is_file()):
                return head, text[at + 1 :]
    return Path(text), None


def _instead(spec: str, data: FilePath) -> str:
    known = list_examples(data)
    if spec in known:
        return f"did you mean example:{spec}?"
    if "/" in spec or spec.endswith((".json", ".gz", ".tar")):
        return "give a directory, an archive, a tree file or example:NAME"
    return did_you_mean(spec, known).replace("did you mean ", "did you mean example:").replace("known: ", "examples: ")


def _head(path: Path, spec: str) -> bytes:
    try:
        with path.open("rb") as f:
            return f.read(512)
    except OSError as e:
        raise InputError(f"cannot be read: {e.strerror or e}", source=spec) from None


def _is_archive(path: Path, spec: str) -> bool:
    """Whether a file is a tar archive, plain or compressed; compressed JSON is none."""
    if not path.is_file():
        return False
    head = _head(path, spec)
    if head[:2] == b"\x1f\x8b":
        import gzip

        try:
            with gzip.open(path) as file:
                head = file.read(512)
        except (OSError, EOFError, zlib.error):
            return False
        return not head.lstrip().startswith(b"{")
    return head[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar" or head.startswith(_COMPRESSED)


def _from_file(path: Path, spec: str) -> Image:
    head = _head(path, spec)
    if not head:
        raise InputError("is no image: the file is empty", source=spec)
    if head.startswith(b"\x7fELF"):
        raise InputError("is no image: an ELF file", source=spec, hint="give the image first, then the program")
    if not head.startswith(b"\x1f\x8b") and not head.lstrip().startswith(b"{"):
        raise InputError("is no image", source=spec, hint="give a directory, an archive, a tree file or example:NAME")
    document = read_json(path, unique=True)
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
    told, assumed = document.get("config"), document.get("assumptions")
    config = config_from_json(told if told is not None else {}, name)
    platform, assumptions = document.get("platform"), assumed if assumed is not None else []
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
