"""Writing images for tests: layers as tar bytes, ``docker save`` archives, OCI layouts and archives."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen


@frozen
class Member:
    """One member of a layer: `kind` a tarfile type, `content` of a file, or the target of a link."""

    name: str
    content: bytes | str = b""
    kind: bytes = tarfile.REGTYPE
    mode: int = 0o644
    uid: int = 0
    device: tuple[int, int] = (0, 0)


def directory(name: str, mode: int = 0o755) -> Member:
    return Member(name, kind=tarfile.DIRTYPE, mode=mode)


def symlink(name: str, target: str) -> Member:
    return Member(name, target, tarfile.SYMTYPE)


def hardlink(name: str, of: str) -> Member:
    return Member(name, of, tarfile.LNKTYPE)


def layer(members: Iterable[Member | tarfile.TarInfo], form: int = tarfile.PAX_FORMAT) -> bytes:
    """The uncompressed tar stream of a layer."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for m in members:
            if isinstance(m, tarfile.TarInfo):
                archive.addfile(m)
                continue
            info = tarfile.TarInfo(m.name)
            info.type, info.mode, info.uid = m.kind, m.mode, m.uid
            info.devmajor, info.devminor = m.device
            if isinstance(m.content, str):
                info.linkname = m.content
                archive.addfile(info)
            else:
                info.size = len(m.content)
                archive.addfile(info, io.BytesIO(m.content))
    return out.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def config(layers: Sequence[bytes], fields: Mapping[str, Any], platform: str = "linux/amd64") -> bytes:
    system, architecture = platform.split("/")
    ids = [f"sha256:{sha256(one)}" for one in layers]
    document = {"os": system, "architecture": architecture, "config": dict(fields)}
    return json.dumps({**document, "rootfs": {"type": "layers", "diff_ids": ids}}).encode()


def docker_save(images: Mapping[str, tuple[Sequence[bytes], bytes]]) -> bytes:
    """An archive as ``docker save`` wrote it before it knew OCI: tag -> (layers, config)."""
    members: dict[str, Member] = {}
    manifest = []
    for tag, (layers, document) in images.items():
        names = []
        for one in layers:
            names.append(f"{sha256(one)}/layer.tar")
            members[names[-1]] = Member(names[-1], one)
        own = f"{sha256(document)}.json"
        members[own] = Member(own, document)
        manifest.append({"Config": own, "RepoTags": [tag], "Layers": names})
    return layer([*members.values(), Member("manifest.json", json.dumps(manifest).encode())])


@frozen
class Oci:
    """The files of an OCI layout: name -> bytes."""

    files: dict[str, bytes]

    def write(self, folder: Path) -> Path:
        for name, data in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        return folder

    def archive(self) -> bytes:
        return layer(Member(name, data) for name, data in self.files.items())


def oci(
    images: Sequence[tuple[str | None, str | None, Sequence[bytes], bytes]], *, compress: Any = gzip.compress
) -> Oci:
    """A layout of images, each (tag, platform, layers, config)."""
    files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}

    def add(data: bytes, kind: str) -> dict[str, Any]:
        files[f"blobs/sha256/{sha256(data)}"] = data
        return {"mediaType": kind, "digest": f"sha256:{sha256(data)}", "size": len(data)}

    manifests = []
    for tag, platform, layers, document in images:
        manifest = {
            "schemaVersion": 2,
            "config": add(document, "application/vnd.oci.image.config.v1+json"),
            "layers": [add(compress(one), "application/vnd.oci.image.layer.v1.tar+gzip") for one in layers],
        }
        descriptor = add(json.dumps(manifest).encode(), "application/vnd.oci.image.manifest.v1+json")
        if tag is not None:
            descriptor["annotations"] = {"org.opencontainers.image.ref.name": tag}
        if platform is not None:
            descriptor["platform"] = dict(zip(("os", "architecture"), platform.split("/"), strict=True))
        manifests.append(descriptor)
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()
    return Oci(files)
