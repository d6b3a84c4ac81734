"""The CDI registry: spec files (`nvsim.inject.cdi.spec_files`) in directories of rising priority (CDI library, ``pkg/cdi/cache.go``, ``spec-dirs.go``)."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping

from nvsim.frozen import frozen
from nvsim.inject.cdi.library import NEWEST_LIBRARY, CdiLibrary
from nvsim.inject.cdi.spec import CdiDevice, CdiSpec, Edits
from nvsim.inject.log import ToolFailure
from nvsim.toolkit.cdi_name import parse_kind
from nvsim.toolkit.go_text import go_quote
from nvsim.toolkit.request import Because

DEFAULT_DIRS = ("/etc/cdi", "/var/run/cdi")


@frozen
class LoadedSpec:
    """A valid spec, the file it comes from, and the index of its directory."""

    spec: CdiSpec
    path: str
    priority: int

    @property
    def vendor(self) -> str:
        return parse_kind(self.spec.kind)[0]

    @property
    def cls(self) -> str:
        return parse_kind(self.spec.kind)[1]


@frozen
class Registry:
    """What the library knows after a refresh. `devices` maps qualified names to their spec and device; `errors` are per file."""

    specs: tuple[LoadedSpec, ...]
    devices: Mapping[str, tuple[LoadedSpec, CdiDevice]]
    errors: Mapping[str, tuple[str, ...]]

    @property
    def vendors(self) -> tuple[str, ...]:
        return tuple(sorted({s.vendor for s in self.specs}))

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(sorted({s.cls for s in self.specs}))

    def edits_for(self, devices: Iterable[str]) -> tuple[Edits, tuple[str, ...]]:
        """The concatenated edits of `devices`, a spec's common ones at its first device; and the names that are not known."""
        edits = Edits()
        unresolved = []
        seen: set[str] = set()
        for name in devices:
            found = self.devices.get(name)
            if found is None:
                unresolved.append(name)
                continue
            loaded, device = found
            if loaded.path not in seen:
                seen.add(loaded.path)
                edits += loaded.spec.edits
            edits += device.edits
        return edits, tuple(unresolved)


def load_registry(files: Mapping[str, str], dirs: Iterable[str], library: CdiLibrary = NEWEST_LIBRARY) -> Registry:
    """The registry of the spec files (path -> text) that lie directly in `dirs`, a later directory having priority.

    A file that cannot be loaded is recorded in `errors` and ignored. Two files of one directory that define one device lose it,
    even where a directory of higher priority defines it too.
    """
    specs: list[LoadedSpec] = []
    devices: dict[str, tuple[LoadedSpec, CdiDevice]] = {}
    conflicts: set[str] = set()
    errors: dict[str, list[str]] = {}
    for priority, directory in enumerate(dirs):
        clean = posixpath.normpath(directory)
        for path in sorted(p for p in files if posixpath.dirname(p) == clean and p.endswith((".json", ".yaml"))):
            try:
                loaded = LoadedSpec(_read(path, files[path], library), path, priority)
            except ToolFailure as e:
                errors.setdefault(path, []).append(f"failed to load CDI Spec {e.text}")
                continue
            specs.append(loaded)
            for device in loaded.spec.devices:
                name = f"{loaded.spec.kind}={device.name}"
                other = devices.get(name)
                if other is not None and priority == other[0].priority:
                    text = f"conflicting device {go_quote(name)} (specs {go_quote(path)}, {go_quote(other[0].path)})"
                    errors.setdefault(path, []).append(text)
                    errors.setdefault(other[0].path, []).append(text)
                    conflicts.add(name)
                    continue
                devices[name] = (loaded, device)
    for name in conflicts:
        del devices[name]
    return Registry(tuple(specs), devices, {p: tuple(e) for p, e in errors.items()})


def _read(path: str, text: str, library: CdiLibrary) -> CdiSpec:
    from nvsim.inject.cdi.load import parse_spec  # the readers are for hosts that have specs
    from nvsim.inject.cdi.validate import spec_error

    because = (Because(f"CDI spec {path}", f"the CDI spec {path} says so"),)
    try:
        spec = parse_spec(text, because, library)
    except ToolFailure as e:
        raise e.within(f"failed to parse CDI Spec {go_quote(path)}") from None
    if spec is None:
        raise ToolFailure(f"failed to parse CDI Spec {go_quote(path)}, no Spec data")
    error = spec_error(spec, library)
    if error:
        raise ToolFailure(f"invalid CDI Spec: {error}")
    return spec
