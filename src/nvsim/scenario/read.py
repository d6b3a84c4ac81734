"""Scenarios from what users name: `Sources` finds hosts, images and known programs; `scenario_from_json` reads a query object.

The values of single options are read by `nvsim.scenario.options`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvsim.errors import InputError
from nvsim.frozen import evolve
from nvsim.host.datadir import data_dir
from nvsim.scenario.model import Scenario
from nvsim.scenario.options import read_file, settings_from
from nvsim.scenario.options_docker import platform as docker_platform

if TYPE_CHECKING:
    from nvsim.elf.store import FactsStore
    from nvsim.host.profile import HostProfile
    from nvsim.image.model import Image
    from nvsim.programs import KnownProgram

_OWN_KEYS = ("host", "image", "argv")


class Sources:
    """Where hosts, images and known programs come from. Shipped ones are read once; files and directories each time anew.

    `shipped`: other sources that are asked for shipped hosts and images, because they live longer.
    """

    def __init__(self, data: Path | None = None, store: FactsStore | None = None, shipped: Sources | None = None):
        self.data = data or data_dir()
        self.store = store
        self._shipped = shipped
        self._programs: tuple[KnownProgram, ...] | None = None
        self._hosts: dict[str, HostProfile] = {}
        self._images: dict[str, Image] = {}

    @property
    def programs(self) -> tuple[KnownProgram, ...]:
        """What is known of programs."""
        if self._programs is None:
            from nvsim.programs import load_programs

            self._programs = load_programs(self.data / "programs")
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
        from nvsim.image.read import image_from_json, load_image

        if isinstance(told, Mapping):
            if "tree" in told:
                return image_from_json(told, str(told.get("name", "image")))
            told = _single(told, "image")
        if not isinstance(told, str):
            raise InputError("image must be a name, a path, or an object with 'image', 'path' or 'tree'")
        if told in self._images:
            return self._images[told]
        if told.startswith("example:") and self._shipped is not None:
            return self._shipped.image(told, platform)
        wanted = docker_platform(platform) if platform is not None else None
        image = load_image(told, self.data, store=self.store, platform=wanted)
        if told.startswith("example:"):
            self._images[told] = image
        return image


@lru_cache(maxsize=1)
def shipped_sources() -> Sources:
    """The shipped hosts, images and programs, which a process reads once."""
    return Sources()


def _single(told: Mapping[str, Any], kind: str) -> Any:
    if len(told) != 1 or next(iter(told)) not in (kind, "path"):
        raise InputError(f"{kind} must be an object with '{kind}', 'path' or 'tree'")
    path = next(iter(told.values()))
    # a path is never taken for a shipped name
    is_plain = kind == "host" and "path" in told and isinstance(path, str) and "/" not in path
    return f"./{path}" if is_plain else path


def scenario_from_json(
    query: Mapping[str, Any], sources: Sources, *, read: Callable[[str], str] = read_file
) -> Scenario:
    """A scenario from an object with ``host``, ``image``, ``argv`` and the options by name. Raises `InputError`."""
    for name in ("host", "image"):
        if query.get(name) is None:
            raise InputError(f"a scenario needs '{name}'", hint="'host' and 'image', each a name, a path or an object")
    argv = query.get("argv")
    if argv is not None and (not isinstance(argv, list | tuple) or not all(isinstance(a, str) for a in argv)):
        raise InputError("argv must be a list of strings")
    options = {k: v for k, v in query.items() if k not in _OWN_KEYS}
    return make_scenario(
        sources.host(query["host"]),
        sources.image(query["image"], _text(query.get("platform"))),
        options,
        tuple(argv) if argv is not None else None,
        read=read,
    )


def make_scenario(
    host: HostProfile,
    image: Image,
    options: Mapping[str, Any],
    command: tuple[str, ...] | None = None,
    *,
    read: Callable[[str], str] = read_file,
) -> Scenario:
    """A scenario of a host, an image and option values by name. Raises `InputError`, with Docker's words where it is Docker's."""
    settings = settings_from(options, command, read=read)
    image = with_config(image, options.get("image_config"))
    if settings.platform is not None and image.platform is not None and not _same_platform(settings.platform, image):
        raise InputError(
            f"docker: Error response from daemon: image with reference {image.name} was found but does not provide the "
            f"specified platform ({settings.platform})",
            hint=f"it is for {image.platform}",
        )
    return Scenario(host, image, settings)


def _text(value: Any) -> str | None:
    """A value that is read again, and refused if it is no text, with the other options."""
    return value if isinstance(value, str) else None


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
        config, platform = read_config(Path(path))
    return evolve(image, config=config, platform=platform or image.platform)


def _same_platform(wanted: str, image: Image) -> bool:
    have = (image.platform or "").split("/")
    return wanted.split("/")[:2] == have[:2]


def verify(tree: object) -> None:
    """Raise `InputError` when what was read of a directory has changed since; other trees cannot change."""
    check = getattr(tree, "verify", None)
    if check is not None:
        check()
