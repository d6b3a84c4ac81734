"""Where what users name is found: `Sources` finds hosts, images and known programs, of which scenarios are made (`nvsim.scenario.read`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from nvsim.errors import InputError
from nvsim.frozen import evolve
from nvsim.image.directory import load_directory

if TYPE_CHECKING:
    from nvsim.elf.store import FactsStore
    from nvsim.host.profile import HostProfile
    from nvsim.image.model import Image
    from nvsim.programs import KnownProgram
    from nvsim.rootfs.datafile import FilePath


class Sources:
    """Where hosts, images and known programs come from. Shipped ones are read once; files and directories each time anew.

    `open_store` gives the facts that are kept of real files, when the first are read. `shipped`: other sources that are asked for shipped
    hosts and images, because they live longer.
    """

    def __init__(
        self,
        data: FilePath | None = None,
        open_store: Callable[[], FactsStore | None] = lambda: None,
        shipped: Sources | None = None,
    ):
        self._data = data
        self._open_store = open_store
        self._shipped = shipped
        self._programs: tuple[KnownProgram, ...] | None = None
        self._hosts: dict[str, HostProfile] = {}
        self._images: dict[str, Image] = {}

    @cached_property
    def store(self) -> FactsStore | None:
        """The facts that are kept."""
        return self._open_store()

    @cached_property
    def data(self) -> FilePath:
        """The folder of the shipped data files."""
        from nvsim.host.datadir import data_folder

        return self._data or data_folder()

    @property
    def programs(self) -> tuple[KnownProgram, ...]:
        """What is known of programs."""
        if self._programs is None:
            from nvsim.programs import load_programs

            self._programs = load_programs(os.path.join(self.data, "programs"))
        return self._programs

    def host(self, told: Any) -> HostProfile:
        """A host by name or path, or as an object: ``{"host": NAME}``, ``{"path": FILE}``, or a whole profile. Raises `InputError`."""
        from nvsim.host.read import host_from_json, list_hosts, load_host

        if isinstance(told, Mapping):
            if "tree" in told or "layout" in told:
                return host_from_json(told, self.data, str(told.get("name", "host")))
            told = _single(told, "host")
        if not isinstance(told, str):
            raise InputError("host must be a name, a path, or an object with 'host', 'path' or 'tree'")
        if told in self._hosts:
            return self._hosts[told]
        shipped = told in list_hosts(self.data)
        if shipped and self._shipped is not None:
            return self._shipped.host(told)
        host = load_host(told, self.data)
        if shipped:
            self._hosts[told] = host
        return host

    def image(self, told: Any, platform: str | None = None) -> Image:
        """An image by name or path, or as an object: ``{"image": NAME}``, ``{"path": PATH}``, or with ``tree``. Raises `InputError`.

        `platform` (the text of ``--platform``) chooses among the images of an archive or layout.
        """
        if isinstance(told, Mapping):
            if "tree" in told:
                from nvsim.image.read import image_from_json

                return image_from_json(told, str(told.get("name", "image")))
            told = _single(told, "image")
        if not isinstance(told, str):
            raise InputError("image must be a name, a path, or an object with 'image', 'path' or 'tree'")
        if told in self._images:
            return self._images[told]
        if told.startswith("example:") and self._shipped is not None:
            return self._shipped.image(told, platform)
        wanted = _docker_platform(platform)
        store = None if told.startswith("example:") else self.store
        unpacked = load_directory(told, store)
        if unpacked is not None:
            return unpacked
        from nvsim.image.read import load_image

        image = load_image(told, self.data, store=store, platform=wanted)
        if told.startswith("example:"):
            self._images[told] = image
        return image


@lru_cache(maxsize=1)
def shipped_sources() -> Sources:
    """The shipped hosts, images and programs, which a process reads once."""
    return Sources()


def _docker_platform(text: str | None) -> str | None:
    if text is None:
        return None
    from nvsim.scenario.options_docker import platform

    return platform(text)


def _single(told: Mapping[str, Any], kind: str) -> Any:
    if len(told) != 1 or next(iter(told)) not in (kind, "path"):
        raise InputError(f"{kind} must be an object with '{kind}', 'path' or 'tree'")
    path = next(iter(told.values()))
    # a path is never taken for a shipped name
    is_plain = kind == "host" and "path" in told and isinstance(path, str) and "/" not in path
    return f"./{path}" if is_plain else path


def with_config(image: Image, told: Any) -> Image:
    """The image with another config: a path, ``{"path": ...}``, or a document as OCI or docker inspect writes it."""
    if told is None:
        return image
    from nvsim.image.config import config_from_document, read_config

    if isinstance(told, Mapping) and set(told) != {"path"}:
        config, platform = config_from_document(told, "image_config")
    else:
        path = told["path"] if isinstance(told, Mapping) else told
        if not isinstance(path, str):
            raise InputError("image_config must be a path or an object")
        config, platform = read_config(path)
    return evolve(image, config=config, platform=platform or image.platform)


def verify(tree: object) -> None:
    """Raise `InputError` when what was read of a directory has changed since; other trees cannot change."""
    check = getattr(tree, "verify", None)
    if check is not None:
        check()
