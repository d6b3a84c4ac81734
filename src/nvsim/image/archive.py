"""Images as archives: ``docker save`` (manifest.json), OCI layouts (index.json) in a tar file or a directory, and bare root file systems.

Which manifest is meant is decided by tag and platform; layers are read by `nvsim.image.layer` and laid over each other by
`nvsim.image.stack`. Formats: OCI image-spec ``image-layout.md``, ``image-index.md``, ``manifest.md``; moby ``image/tarexport``.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any

from nvsim.elf.store import FactsStore, Identity, identity_of
from nvsim.errors import InputError, UnsupportedError
from nvsim.frozen import frozen
from nvsim.image.blobs import Blobs, FolderBlobs, TarBlobs, plain_file, read_json_blob
from nvsim.image.config import config_from_document
from nvsim.image.layer import layer_index, read_member
from nvsim.image.model import Image, ImageConfig
from nvsim.image.stack import Layer, stack_layers
from nvsim.rootfs.node import FileFacts

DEFAULT_PLATFORM = "linux/amd64"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_DEPTH = 4  # of indexes in indexes
_MOST_LAYERS = 1000
_TAG_KEYS = ("org.opencontainers.image.ref.name", "io.containerd.image.name")


@frozen
class _Found:
    """One image of an archive: its tags, its config's blob, its layers' blobs, the platform that an index gives it."""

    tags: tuple[str, ...]
    config: str
    layers: tuple[str, ...]
    platform: str | None = None


def load_archive(path: Path, spec: str, *, tag: str | None, platform: str | None, store: FactsStore) -> Image:
    """The image in an archive file or an OCI layout directory. `tag` chooses among several, `platform` ("linux/arm64") likewise.

    Raises `InputError` for what is broken or not there, `UnsupportedError` for a compression that cannot be read here.
    """
    with _opened(path, spec) as blobs:
        if blobs is None or not (blobs.has("manifest.json") or blobs.has("index.json")):
            if path.is_dir():
                raise InputError("is no OCI layout: it has no index.json", source=spec)
            return _bare(path, spec, store)
        images = _docker_images(blobs, spec) if blobs.has("manifest.json") else _oci_images(blobs, spec)
        found = _choose(images, spec, tag, platform)
        return _image(found, blobs, path, spec, store)


def _opened(path: Path, spec: str) -> AbstractContextManager[Blobs]:
    return nullcontext(FolderBlobs(path)) if path.is_dir() else _TarFile(path, spec)


class _TarFile(AbstractContextManager[Blobs]):
    """An archive file, open while it is needed."""

    def __init__(self, path: Path, spec: str):
        self._file = plain_file(path, spec)
        self._spec = spec

    def __enter__(self) -> Blobs:
        file = self._file.__enter__()
        try:
            return TarBlobs(file, self._spec)
        except BaseException:
            self._file.__exit__(None, None, None)
            raise

    def __exit__(self, *error: Any) -> None:
        self._file.__exit__(*error)


def _bare(path: Path, spec: str, store: FactsStore) -> Image:
    """A tar file of a root file system (``docker export``, debootstrap): one layer, no config."""

    def open_layer() -> IO[bytes]:
        return path.open("rb")

    before = _identity(path)
    index, diff_id = layer_index(None, open_layer, spec, store)
    if not any(p.startswith(("/bin", "/usr", "/etc", "/lib", "/nix", "/sbin")) for p in index["tree"]):
        raise InputError("is no image: neither manifest.json nor index.json nor a root file system", source=spec)

    def later(number: int, symbols: bool) -> FileFacts:
        _unchanged(path, before, spec)
        return read_member(open_layer, number, spec, symbols=symbols)

    layer = Layer(index, f"{spec} ({diff_id[:19]})", spec, later)
    assumption = f"{spec} is taken for the root file system of an image without a config"
    return Image(spec, stack_layers([layer], f"image:{spec}"), ImageConfig(), None, (assumption,))


def _image(found: _Found, blobs: Blobs, path: Path, spec: str, store: FactsStore) -> Image:
    document = read_json_blob(blobs, found.config, spec)
    config, platform = config_from_document(document, f"{spec}:{found.config}")
    ids = _diff_ids(document, found, spec)
    layers = []
    before = _identity(path)
    for number, (name, diff_id) in enumerate(zip(found.layers, ids, strict=True), 1):
        source = f"{spec}:{name}"

        def open_layer(name: str = name) -> IO[bytes]:
            return blobs.open(name)

        def later(member: int, symbols: bool, name: str = name, source: str = source) -> FileFacts:
            _unchanged(path, before, spec)
            with _opened(path, spec) as again:
                return read_member(lambda: again.open(name), member, source, symbols=symbols)

        index, digest = layer_index(diff_id, open_layer, source, store)
        title = f"layer {number} of {len(ids)} ({digest[:19]})"
        layers.append(Layer(index, title, source, later))
    return Image(spec, stack_layers(layers, f"image:{spec}"), config, found.platform or platform)


def _unchanged(path: Path, before: Identity | None, spec: str) -> None:
    if _identity(path) != before:
        raise InputError("changed while it was read", source=spec, hint="run again")


def _identity(path: Path) -> Identity | None:
    try:
        return identity_of(path.stat()) if path.is_file() else None
    except OSError:
        return None


def _diff_ids(document: Any, found: _Found, spec: str) -> list[str | None]:
    """What the config says that the layers hold; None for each when it does not tell."""
    rootfs = document.get("rootfs") if isinstance(document, Mapping) else None
    ids = rootfs.get("diff_ids") if isinstance(rootfs, Mapping) else None
    if ids is None:
        return [None] * len(found.layers)
    if not isinstance(ids, list) or not all(isinstance(i, str) and _DIGEST.fullmatch(i) for i in ids):
        raise InputError(
            "must be a list of sha256 digests", source=f"{spec}:{found.config}", position="rootfs.diff_ids"
        )
    if len(ids) != len(found.layers):
        raise InputError(f"has {len(found.layers)} layers, its config names {len(ids)}", source=spec)
    return list(ids)


def _docker_images(blobs: Blobs, spec: str) -> list[_Found]:
    document = read_json_blob(blobs, "manifest.json", spec)
    images = []
    for item in document if isinstance(document, list) else ():
        if isinstance(item, Mapping) and isinstance(item.get("Config"), str) and _texts(item.get("Layers")):
            layers = tuple(posixpath.normpath(name) for name in item["Layers"])
            tags = tuple(item["RepoTags"]) if _texts(item.get("RepoTags")) else ()
            images.append(_Found(tags, posixpath.normpath(item["Config"]), layers))
    if not images:
        raise InputError("names no image with Config and Layers", source=f"{spec}:manifest.json")
    return images


def _texts(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= _MOST_LAYERS and all(isinstance(item, str) for item in value)


def _oci_images(blobs: Blobs, spec: str) -> list[_Found]:
    images = _indexed(blobs, read_json_blob(blobs, "index.json", spec), f"{spec}:index.json", (), _DEPTH)
    if not images:
        raise InputError("names no image manifest", source=f"{spec}:index.json")
    return images


def _indexed(blobs: Blobs, index: Any, source: str, tags: tuple[str, ...], depth: int) -> list[_Found]:
    """The images of an index and of the indexes in it."""
    if not isinstance(index, Mapping) or not isinstance(index.get("manifests"), list):
        raise InputError("lacks the list 'manifests'", source=source)
    if not depth:
        raise InputError("indexes are nested too deeply", source=source)
    images: list[_Found] = []
    for descriptor in index["manifests"][:_MOST_LAYERS]:
        name = _blob(descriptor, source)
        notes = descriptor.get("annotations")
        own = tuple(str(notes[k]) for k in _TAG_KEYS if k in notes) if isinstance(notes, Mapping) else ()
        if not blobs.has(name):
            continue  # a platform that was not copied
        document = read_json_blob(blobs, name, source)
        if isinstance(document, Mapping) and "manifests" in document:
            images += _indexed(blobs, document, source, own or tags, depth - 1)
        elif isinstance(document, Mapping) and isinstance(document.get("layers"), list):
            found = _manifest(document, descriptor, own or tags, source)
            if found.platform != "unknown/unknown":  # an attestation, no image
                images.append(found)
    return images


def _manifest(document: Mapping[str, Any], descriptor: Mapping[str, Any], tags: tuple[str, ...], source: str) -> _Found:
    told = descriptor.get("platform")
    platform = None
    if isinstance(told, Mapping):
        platform = "/".join(str(told[k]) for k in ("os", "architecture", "variant") if told.get(k))
    for layer in document["layers"]:
        kind = layer.get("mediaType", "") if isinstance(layer, Mapping) else ""
        if "encrypted" in str(kind):
            raise UnsupportedError(f"{source}: encrypted layers cannot be read")
    layers = tuple(_blob(layer, source) for layer in document["layers"][:_MOST_LAYERS])
    return _Found(tags, _blob(document.get("config"), source), layers, platform)


def _blob(descriptor: Any, source: str) -> str:
    """The file of the blob that a descriptor names."""
    digest = descriptor.get("digest") if isinstance(descriptor, Mapping) else None
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise InputError(f"{digest!r} is no sha256 digest", source=source)
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _choose(images: list[_Found], spec: str, tag: str | None, platform: str | None) -> _Found:
    """The one image that tag and platform mean."""
    if tag is not None:
        tagged = [i for i in images if any(t == tag or t.rpartition(":")[2] == tag for t in i.tags)]
        if not tagged:
            raise InputError(
                f"has no image tagged {tag!r}", source=spec, hint=f"it has {', '.join(_all_tags(images)) or 'no tags'}"
            )
        images = tagged
    if len(images) > 1 and any(i.platform for i in images):
        wanted = platform or DEFAULT_PLATFORM
        fitting = [i for i in images if i.platform == wanted or (i.platform or "").startswith(f"{wanted}/")]
        if not fitting:
            have = ", ".join(sorted({str(i.platform) for i in images}))
            raise InputError(f"has no image for {wanted}", source=spec, hint=f"it has {have}; choose with --platform")
        images = fitting
    if len({(i.config, i.layers) for i in images}) > 1:
        hint = f"add one of its tags: {', '.join(f'{spec}:{t}' for t in _all_tags(images))}"
        raise InputError(f"holds {len(images)} images", source=spec, hint=hint)
    return images[0]  # one image of another platform is what the engine speaks about


def _all_tags(images: list[_Found]) -> list[str]:
    return sorted({t for i in images for t in i.tags})
