"""The faults of a host profile, of its layout and its driver set: all of them at once, each with file and JSON path."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nvsim.errors import InputError, did_you_mean
from nvsim.frozen import frozen
from nvsim.rootfs.datafile import FilePath, names_in, read_object
from nvsim.rootfs.tree import is_canonical

Problems = Iterator[tuple[str, str]]
Check = Callable[[Any, str], Problems]

LAYOUT_FORMAT = "nvsim-layout/1"


@frozen
class Fault:
    """One fault: the file (or shipped data file), the JSON path in it ("gpus[0].uuid"), and what is wrong."""

    source: str
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.source}:{self.path}: {self.message}" if self.path else f"{self.source}: {self.message}"


def check_profile(profile: Mapping[str, Any], data: FilePath, source: str) -> None:
    """Raises one `InputError` that tells every fault of the profile."""
    faults = faults_of_profile(profile, data, source)
    if faults:
        more = f"{len(faults)} faults: " if len(faults) > 1 else ""
        raise InputError(
            more + "; ".join(f"{f.path}: {f.message}" if f.path else f.message for f in faults), source=source
        )


def faults_of_profile(profile: Any, data: FilePath, source: str) -> tuple[Fault, ...]:
    """Every fault of a ``nvsim-host/1`` object and of the layout that it names; () = it is valid."""
    if not isinstance(profile, Mapping):
        return (Fault(source, "", "must be an object"),)
    composed = "layout" in profile
    problems = list(_object(_COMPOSED if composed else _EXPANDED)(profile, ""))
    if composed:
        problems += _references(profile, data)
    elif "tree" not in profile:
        problems.append(("", "a profile needs 'layout' (composed) or 'tree' (expanded)"))
    faults = [Fault(source, path, message) for path, message in problems]
    layout = profile.get("layout")
    if isinstance(layout, str) and layout in names_in(os.path.join(data, "layouts")):
        faults += faults_of_layout(layout, data)
    return tuple(faults)


def faults_of_layout(name: str, data: FilePath) -> tuple[Fault, ...]:
    """Every fault of a shipped layout."""
    source = f"layouts/{name}.json"
    layout = read_object(os.path.join(data, "layouts", f"{name}.json"), LAYOUT_FORMAT)
    problems = list(_object(_LAYOUT)(layout, ""))
    for key, folder in (("based_on", "layouts"), ("host", "layouts"), ("libc", "libcs")):
        problems += _reference(layout.get(key), os.path.join(data, folder), key)
    return tuple(Fault(source, path, message) for path, message in problems)


def _references(profile: Mapping[str, Any], data: FilePath) -> Problems:
    yield from _reference(profile["layout"], os.path.join(data, "layouts"), "layout")
    driver = profile.get("driver")
    if isinstance(driver, Mapping):
        yield from _reference(driver.get("set"), os.path.join(data, "drivers"), "driver.set")
    overrides = profile.get("overrides")
    if isinstance(overrides, Mapping):
        yield from _reference(overrides.get("libc"), os.path.join(data, "libcs"), "overrides.libc")


def _reference(value: Any, folder: FilePath, path: str) -> Problems:
    if isinstance(value, str) and value not in names_in(folder):
        yield (
            path,
            f"unknown {os.path.basename(folder).rstrip('s').replace('_', ' ')} {value!r} ({did_you_mean(value, names_in(folder))})",
        )


def _is(*kinds: type, what: str) -> Check:
    def check(value: Any, path: str) -> Problems:
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            yield path, f"must be {what}, not {_shown(value)}"

    return check


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _or_null(check: Check) -> Check:
    return lambda value, path: iter(()) if value is None else check(value, path)


def _list(check: Check) -> Check:
    def every(value: Any, path: str) -> Problems:
        if not isinstance(value, list):
            yield path, f"must be a list, not {_shown(value)}"
            return
        for i, item in enumerate(value):
            yield from check(item, f"{path}[{i}]")

    return every


def _mapping(check: Check, keys: Check | None = None) -> Check:
    def every(value: Any, path: str) -> Problems:
        if not isinstance(value, Mapping):
            yield path, f"must be an object, not {_shown(value)}"
            return
        for key, item in value.items():
            at = f"{path}[{key!r}]" if "/" in key or "." in key or "*" in key else f"{path}.{key}"
            if keys is not None:
                yield from keys(key, at)
            yield from check(item, at)

    return every


@frozen
class _Keys:
    """The keys of an object: name -> check; `required` must be there, others are faults."""

    known: Mapping[str, Check]
    required: tuple[str, ...] = ()


def _object(keys: _Keys) -> Check:
    def check(value: Any, path: str) -> Problems:
        if not isinstance(value, Mapping):
            yield path, f"must be an object, not {_shown(value)}"
            return
        prefix = f"{path}." if path else ""
        for name in keys.required:
            if name not in value:
                yield path, f"lacks {name!r}"
        for name, item in value.items():
            if name not in keys.known:
                yield f"{prefix}{name}", f"unknown key ({did_you_mean(name, keys.known)})"
            else:
                yield from keys.known[name](item, f"{prefix}{name}")

    return check


def _one_of(*values: str) -> Check:
    def check(value: Any, path: str) -> Problems:
        if value not in values:
            yield path, f"must be one of {', '.join(values)}, not {_shown(value)}"

    return check


def _path(value: Any, path: str) -> Problems:
    if not isinstance(value, str) or not is_canonical(value):
        yield path, f"must be an absolute path without '.', '..' and '//', not {_shown(value)}"


def _pci(value: Any, path: str) -> Problems:
    """A bus id; "" = an integrated GPU, which has none."""
    if value == "":
        return
    domain, _, rest = value.partition(":") if isinstance(value, str) else ("", "", "")
    digits = "0123456789abcdefABCDEF"
    good = len(domain) in (4, 8) and all(c in digits for c in domain) and len(rest) == 7 and rest[2] == ":"
    if not good:
        yield path, f"must be a PCI bus id such as 0000:00:1e.0, not {_shown(value)}"


def _mode(value: Any, path: str) -> Problems:
    if not isinstance(value, str) or not value or any(c not in "01234567" for c in value):
        yield path, f"must be an octal mode such as '0644', not {_shown(value)}"


def _anything(value: Any, path: str) -> Problems:
    return iter(())


_text = _is(str, what="a string")
_number = _is(int, what="a whole number")
_flag = _is(bool, what="true or false")
_texts = _list(_text)
_entry = _is(dict, what="a tree entry")


def _node(value: Any, path: str) -> Problems:
    if not isinstance(value, Mapping) or not isinstance(value.get("type"), str):
        yield path, "must be a tree entry with a 'type'"


_tree = _mapping(_node, _path)


def _directory(value: Any, path: str) -> Problems:
    """A directory of a layout: an absolute path, or one that begins with a variable; null = not installed."""
    if value is not None and not (isinstance(value, str) and value.startswith(("/", "{"))):
        yield path, f"must be an absolute directory or null, not {_shown(value)}"


def _pairs(value: Any, path: str) -> Problems:
    """One directory, null, or a list of [pattern, directory or null]."""
    if not isinstance(value, list):
        yield from _directory(value, path)
        return
    for i, row in enumerate(value):
        if isinstance(row, list) and len(row) == 2 and isinstance(row[0], str):
            yield from _directory(row[1], f"{path}[{i}][1]")
        else:
            yield f"{path}[{i}]", "must be [pattern, directory or null]"


def _lib_dirs(value: Any, path: str) -> Problems:
    yield from _object(_Keys({"64": _pairs, "32": _pairs}))(value, path)


def _dirs(value: Any, path: str) -> Problems:
    if not isinstance(value, Mapping):
        yield path, f"must be an object, not {_shown(value)}"
        return
    for role, rule in value.items():
        yield from (_lib_dirs if role == "lib" else _pairs)(rule, f"{path}.{role}")


def _cache_rows(value: Any, path: str) -> Problems:
    if not isinstance(value, list):
        yield path, f"must be a list of [soname, flags, path], not {_shown(value)}"
        return
    for i, row in enumerate(value):
        if not (isinstance(row, list) and len(row) == 3 and all(isinstance(row[k], str) for k in (0, 2))):
            yield f"{path}[{i}]", "must be [soname, flags, path]"


def _cache_content(value: Any, path: str) -> Problems:
    if isinstance(value, list):
        yield from _cache_rows(value, path)
    else:
        yield from _one_of("generated", "none", "stale")(value, path)


def _device_rows(value: Any, path: str) -> Problems:
    if value == "standard" or value is None:
        return
    if isinstance(value, Mapping):
        known = {"uvm_major": _number, "caps_major": _number, "drm": _flag, "missing": _texts}
        yield from _object(_Keys(known))(value, path)
    elif isinstance(value, list):
        for i, row in enumerate(value):
            kinds = (str, str, int, int, str, int, int)
            if not isinstance(row, list) or [type(v) for v in row] != list(kinds):
                yield f"{path}[{i}]", "must be [path, type, major, minor, mode, uid, gid]"
    else:
        yield path, 'must be "standard", an object or a list'


def _alternative(value: Any, path: str) -> Problems:
    if not (isinstance(value, list) and len(value) == 2 and all(isinstance(v, str) for v in value)):
        yield path, f"must be [link, target], not {_shown(value)}"


def _config(value: Any, path: str) -> Problems:
    if value is not None and not isinstance(value, str | Mapping):
        yield path, "must be the text of config.toml, an object of dotted keys, or null"


def _pair(value: Any, path: str) -> Problems:
    if not (isinstance(value, list) and len(value) == 2 and all(isinstance(v, str) for v in value)):
        yield path, f"must be [host path, container path], not {_shown(value)}"


_mig = _object(_Keys({"uuid": _text, "gi": _number, "ci": _number, "profile": _text}, ("uuid", "gi", "ci")))
_gpu = _object(
    _Keys(
        {
            "minor": _number,
            "uuid": _text,
            "pci": _pci,
            "model": _text,
            "brand": _text,
            "compute": _text,
            "mig": _list(_mig),
            "mig_enabled": _flag,
        },
        ("minor", "uuid", "pci", "model", "brand", "compute"),
    )
)
_toolkit = _object(
    _Keys(
        {
            "version": _or_null(_text),
            "runtime": _or_null(_text),
            "engine": _text,
            "config": _config,
            "path": _or_null(_text),
            "env": _mapping(_text),
            "directory": _path,
            "engine_version": _or_null(_text),
            "engine_cdi": _or_null(_flag),
            "device_plugin": _or_null(_one_of("envvar", "volume-mounts", "cdi-annotations", "cdi-cri", "bind-mount")),
            "cdi_specs": _mapping(_object(_Keys({"argv": _texts, "mounts": _list(_pair)})), _path),
        }
    )
)
_cpu = _object(_Keys({"isa_level": _number, "platform": _text, "hwcaps": _texts}))
_ldcache = _object(_Keys({"path": _path, "content": _cache_content, "missing": _texts, "extra": _cache_rows}))
_ldconfig = _object(_Keys({"path": _path, "kind": _one_of("elf", "script")}, ("path",)))
_HEAD: dict[str, Check] = {
    "format": _text,
    "name": _text,
    "title": _text,
    "sources": _texts,
    "gpus": _or_null(_list(_gpu)),
    "cpu": _cpu,
    "kernel": _text,
    "toolkit": _or_null(_toolkit),
    "mode": _or_null(_text),
    "dxcore_driver_store_paths": _or_null(_list(_path)),
    "assumptions": _texts,
}
_LAYOUT_KEYS: dict[str, Check] = {
    "root_links": _mapping(_text, _path),
    "libc": _or_null(_text),
    "patch": _mapping(_object(_Keys({"interp": _text, "runpath": _text, "rpath": _text}))),
    "dirs": _dirs,
    "place": _mapping(_directory),
    "mode": _mapping(_mode),
    "links": _list(_one_of("soname", "dev")),
    "alternatives": _mapping(_alternative),
    "driver_tree": _tree,
    "tree": _tree,
    "remove": _texts,
    "ld_so_conf": _mapping(_texts, _path),
    "ldcache": _ldcache,
    "ldconfig": _or_null(_ldconfig),
    "devices": _device_rows,
    "sockets": _list(_path),
    "toolkit": _toolkit,
}
_LAYOUT = _Keys(
    {
        **_LAYOUT_KEYS,
        "format": _text,
        "name": _text,
        "title": _text,
        "based_on": _or_null(_text),
        "host": _text,
        "driver_root": _path,
        "sources": _texts,
        "uncertain": _mapping(_text),
        "os": _anything,
        "cpu": _cpu,
        "kernel": _text,
    },
    ("format", "name", "sources"),
)
_DRIVER = _Keys(
    {"set": _text, "root": _path, "kernel_module": _or_null(_text), "open": _flag, "nvml_init": _number},
)
_COMPOSED = _Keys(
    {**_HEAD, "layout": _text, "driver": _object(_DRIVER), "overrides": _object(_Keys(_LAYOUT_KEYS))},
    ("format", "name", "layout"),
)
_EXPANDED_DRIVER = _Keys(
    {
        "version": _or_null(_text),
        "kernel_module": _or_null(_text),
        "cuda": _or_null(_text),
        "root": _path,
        "open": _flag,
        "nvml_init": _number,
    }
)
_EXPANDED = _Keys(
    {
        **_HEAD,
        "tree": _tree,
        "os": _is(dict, what="an object"),
        "driver": _or_null(_object(_EXPANDED_DRIVER)),
        "uncertain": _mapping(_text),
        "provenance": _anything,
        "devices": _device_rows,
        "ld_so_conf": _or_null(_mapping(_texts, _path)),
        "ldcache": _anything,
        "ldcache_total": _number,
        "profile": _anything,
    },
    ("format", "name"),
)
