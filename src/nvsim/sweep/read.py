"""Reading a sweep file (YAML or TOML, ``docs/sweep.md``): every fault of the file is told with its place, before anything runs."""

from __future__ import annotations

import glob as globbing
import re
import shlex
from collections.abc import Mapping, Sequence
from fnmatch import filter as fnfilter
from pathlib import Path
from typing import Any

from nvsim.errors import InputError, did_you_mean
from nvsim.frozen import evolve, frozen
from nvsim.host.read import list_hosts
from nvsim.image.read import load_image
from nvsim.sweep.dockerfile import image_of_dockerfile, is_dockerfile
from nvsim.sweep.model import MUSTS, Expectation, ImageSource, Pattern, Setting, Sweep

_TOP = ("name", "hosts", "images", "bases", "settings", "commands", "exclude", "include", "expect")
_AXES = ("host", "image", "setting", "command")
_GLOB = re.compile(r"[*?\[]")


def read_sweep(path: Path, data: Path, images: Sequence[str] = ()) -> Sweep:
    """The sweep that a file describes; `images` replace those of the file. Raises `InputError` with the file and the place in it.

    Paths in the file are relative to the file; host patterns ("eks-*") mean shipped profiles, with a slash files.
    """
    given = _parsed(path)
    _only(given, _TOP, path, "")
    base = path.parent
    hosts = _hosts(_texts(given.get("hosts"), path, "hosts"), base, data, path)
    read_image = _ImageReader(path, base, data, _bases(given.get("bases"), path, base))
    if images:
        listed = [evolve(read_image, base=Path())(i, "command line") for i in images]
    else:
        listed = [read_image(i, f"images[{n}]") for n, i in enumerate(_listed(given.get("images"), path, "images"))]
    if not hosts or not listed:
        raise InputError("a sweep needs at least one host and one image", source=str(path))
    settings = _settings(given.get("settings"), path)
    commands = tuple(_command(c, path, f"commands[{n}]") for n, c in enumerate(given.get("commands") or [None]))
    return Sweep(
        str(given.get("name", path.stem)),
        hosts,
        tuple(listed),
        settings,
        commands,
        tuple(_pattern(p, path, f"exclude[{n}]") for n, p in enumerate(given.get("exclude") or [])),
        tuple(_include(i, read_image, settings, f"include[{n}]") for n, i in enumerate(given.get("include") or [])),
        tuple(_expectation(e, path, f"expect[{n}]") for n, e in enumerate(given.get("expect") or [])),
    )


def _parsed(path: Path) -> dict[str, Any]:
    try:
        raw = path.read_bytes()
    except OSError as e:
        raise InputError(f"cannot be read: {e.strerror or e}", source=str(path)) from None
    found: Any
    if path.suffix == ".toml":
        import tomllib

        try:
            found = tomllib.loads(raw.decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
            raise InputError(f"bad TOML: {e}", source=str(path)) from None
    else:
        import yaml

        try:
            found = yaml.safe_load(raw)
        except yaml.MarkedYAMLError as e:
            mark = e.problem_mark
            where = f"{mark.line + 1}:{mark.column + 1}" if mark else None
            raise InputError(f"bad YAML: {e.problem}", source=str(path), position=where) from None
        except (yaml.YAMLError, UnicodeDecodeError) as e:
            raise InputError(f"bad YAML: {' '.join(str(e).split())}", source=str(path)) from None
    if not isinstance(found, dict):
        raise InputError("a sweep file is a mapping with hosts and images", source=str(path))
    return found


def _only(given: Mapping[str, Any], known: Sequence[str], path: Path, where: str) -> None:
    for key in given:
        if key not in known:
            hint = did_you_mean(str(key), tuple(known))
            raise InputError(f"unknown key {key!r}", source=str(path), position=where or None, hint=hint)


def _listed(value: Any, path: Path, where: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise InputError("must be a list", source=str(path), position=where)
    return value


def _texts(value: Any, path: Path, where: str) -> list[str]:
    items = _listed(value, path, where)
    for number, item in enumerate(items):
        if not isinstance(item, str):
            raise InputError("must be text", source=str(path), position=f"{where}[{number}]")
    return items


def _hosts(names: Sequence[str], base: Path, data: Path, path: Path) -> tuple[str, ...]:
    """Names and files of hosts; patterns are expanded in sorted order."""
    found: list[str] = []
    shipped = list_hosts(data)
    for number, name in enumerate(names):
        where = f"hosts[{number}]"
        if "/" in name or name.endswith(".json"):
            files = sorted(globbing.glob(str(base / name))) if _GLOB.search(name) else [str(base / name)]
            if not files or not all(Path(f).is_file() for f in files):
                raise InputError(f"no such file: {name}", source=str(path), position=where)
            found += files
        elif _GLOB.search(name):
            hits = sorted(fnfilter(shipped, name))
            if not hits:
                raise InputError(f"no shipped host matches {name!r}", source=str(path), position=where)
            found += hits
        elif name not in shipped:
            hint = did_you_mean(name, shipped)
            raise InputError(f"unknown host {name!r}", source=str(path), position=where, hint=hint)
        else:
            found.append(name)
    return tuple(dict.fromkeys(found))


def _bases(value: Any, path: Path, base: Path) -> dict[str, str]:
    """Patterns of FROM names and the images that stand for them."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(v, str) for v in value.values()):
        raise InputError("must map FROM names to images", source=str(path), position="bases")
    return {str(k): v if v.startswith("example:") else _beside(base, v) for k, v in value.items()}


def _beside(base: Path, spec: str) -> str:
    """An image's name with its path taken relative to `base`."""
    return f"oci:{base / spec.removeprefix('oci:')}" if spec.startswith("oci:") else str(base / spec)


@frozen
class _ImageReader:
    """How images of one sweep file are read: its path, the directory that paths are relative to, and what stands for FROM names."""

    path: Path
    base: Path
    data: Path
    bases: Mapping[str, str]

    def __call__(self, value: Any, where: str) -> ImageSource:
        """An image: its name, or {dockerfile, base}; a path that is a Dockerfile counts as one."""
        if isinstance(value, Mapping):
            _only(value, ("dockerfile", "base"), self.path, where)
            if not isinstance(value.get("dockerfile"), str):
                raise InputError("needs 'dockerfile', a path", source=str(self.path), position=where)
            named = value.get("base")
            return self._dockerfile(self.base / value["dockerfile"], named and self._spec(str(named)))
        if not isinstance(value, str):
            raise InputError("must be an image or {dockerfile, base}", source=str(self.path), position=where)
        if is_dockerfile(self.base / value):
            return self._dockerfile(self.base / value, None)
        spec = self._spec(value)
        return ImageSource(value, spec if spec == value and spec.startswith("example:") else {"path": spec})

    def _spec(self, name: str) -> str:
        return name if name.startswith("example:") else _beside(self.base, name)

    def _dockerfile(self, path: Path, base: str | None) -> ImageSource:
        return image_of_dockerfile(path, base, self.bases, self._environment)

    def _environment(self, image: str) -> dict[str, str]:
        env = load_image(image, self.data).config.env
        return {name: value for name, _, value in (e.partition("=") for e in env)}


def _settings(value: Any, path: Path) -> tuple[Setting, ...]:
    if value is None:
        return (Setting("default", {}),)
    if not isinstance(value, Mapping) or not value:
        raise InputError("must map names to options", source=str(path), position="settings")
    out = []
    for name, options in value.items():
        if options is not None and not isinstance(options, Mapping):
            raise InputError("must be a mapping of options", source=str(path), position=f"settings.{name}")
        taken = {"host", "image", "argv"} & set(options or {})
        if taken:
            text = f"{sorted(taken)[0]} is an axis of its own"
            raise InputError(text, source=str(path), position=f"settings.{name}")
        out.append(Setting(str(name), dict(options or {})))
    return tuple(out)


def _command(value: Any, path: Path, where: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, str):
        return tuple(shlex.split(value))
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return tuple(value)
    raise InputError("must be a command line or a list of words", source=str(path), position=where)


def _pattern(value: Any, path: Path, where: str, extra: Sequence[str] = ()) -> Pattern:
    if not isinstance(value, Mapping):
        raise InputError(f"must be a mapping with some of {', '.join(_AXES)}", source=str(path), position=where)
    _only(value, (*_AXES, *extra), path, where)
    return Pattern(**{axis: str(value[axis]) for axis in _AXES if axis in value})


def _include(value: Any, reader: _ImageReader, settings: Sequence[Setting], where: str) -> Mapping[str, Any]:
    path = reader.path
    if not isinstance(value, Mapping) or "host" not in value or "image" not in value:
        raise InputError("needs host and image", source=str(path), position=where)
    _only(value, _AXES, path, where)
    host = _hosts([str(value["host"])], reader.base, reader.data, path)
    if len(host) != 1:
        raise InputError("host must be one host", source=str(path), position=where)
    wanted = value.get("setting", settings[0].name)
    setting = next((s for s in settings if s.name == wanted), None)
    if setting is None:
        hint = did_you_mean(str(wanted), tuple(s.name for s in settings))
        raise InputError(f"unknown setting {wanted!r}", source=str(path), position=where, hint=hint)
    return {
        "host": host[0],
        "image": reader(value["image"], where),
        "setting": setting,
        "command": _command(value.get("command"), path, where),
    }


def _expectation(value: Any, path: Path, where: str) -> Expectation:
    pattern = _pattern(value, path, where, ("must", "with"))
    must = value.get("must")
    if must not in MUSTS:
        raise InputError(f"needs 'must', one of {', '.join(MUSTS)}", source=str(path), position=where)
    codes = value.get("with") or []
    codes = [codes] if isinstance(codes, str) else codes
    if not isinstance(codes, list) or not all(isinstance(c, str) for c in codes):
        raise InputError("'with' must be a finding's code or a list of them", source=str(path), position=where)
    from nvsim.diagnosis.catalogue import CATALOGUE

    for code in codes:
        if code not in CATALOGUE:
            hint = did_you_mean(code, tuple(CATALOGUE))
            raise InputError(f"no finding is called {code!r}", source=str(path), position=where, hint=hint)
    if codes and must != "fail":
        raise InputError("'with' goes with 'must: fail'", source=str(path), position=where)
    return Expectation(pattern, must, tuple(codes), where)
