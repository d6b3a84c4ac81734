"""Scenarios from a host, an image and option values by name, or from a query object.

The values of single options are read by `nvsim.scenario.options`; hosts and images are found by `nvsim.scenario.sources`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nvsim.errors import InputError
from nvsim.scenario.model import Scenario
from nvsim.scenario.options import read_file, settings_from
from nvsim.scenario.sources import Sources, with_config

if TYPE_CHECKING:
    from nvsim.host.profile import HostProfile
    from nvsim.image.model import Image

_OWN_KEYS = ("host", "image", "argv")


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


def _same_platform(wanted: str, image: Image) -> bool:
    have = (image.platform or "").split("/")
    return wanted.split("/")[:2] == have[:2]
