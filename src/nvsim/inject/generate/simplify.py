"""Tidying a generated spec: duplicates, edits that are common already, order, and the merged device ``all``
(toolkit: ``pkg/nvcdi/transform``)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TypeVar

from nvsim.frozen import evolve
from nvsim.inject.cdi.inject import clean_path
from nvsim.inject.cdi.spec import CdiDevice, CdiSpec, Edits

_T = TypeVar("_T", bound=Hashable)


def simplify(spec: CdiSpec, *, in_order: bool = True) -> CdiSpec:
    """`spec` without duplicates and without device edits that are common ones, everything in its canonical order (or as it is).

    A device that would lose all its edits keeps them.
    """
    common = _unique_edits(spec.edits)
    devices = []
    for device in spec.devices:
        edits = _unique_edits(device.edits)
        own = _without(edits, common)
        devices.append(evolve(device, edits=edits if _nothing_left(own) else own))
    if not in_order:
        return evolve(spec, devices=tuple(devices), edits=common)
    devices = [evolve(d, edits=_sorted_edits(d.edits)) for d in devices]
    return evolve(spec, devices=tuple(sorted(devices, key=lambda d: d.name.encode())), edits=_sorted_edits(common))


def with_merged_device(spec: CdiSpec, name: str = "all") -> CdiSpec:
    """`spec` with a device that has the edits of all others, unless it has one of that name; simplified again."""
    merged = merged_device(spec, name)
    return spec if merged is spec else simplify(merged)


def merged_device(spec: CdiSpec, name: str = "all") -> CdiSpec:
    """`spec` with a device that has the edits of all others, unless it has one of that name."""
    if any(d.name == name for d in spec.devices):
        return spec
    merged = Edits()
    for device in spec.devices:
        merged += device.edits
    return evolve(spec, devices=(*spec.devices, CdiDevice(name, merged)))


def _unique(items: Iterable[_T]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(items))


def _unique_edits(edits: Edits) -> Edits:
    return evolve(
        edits,
        env=_unique(edits.env),
        nodes=_unique(edits.nodes),
        hooks=_unique(edits.hooks),
        mounts=_unique(edits.mounts),
        gids=tuple(sorted(set(edits.gids))),
    )


def _without(edits: Edits, common: Edits) -> Edits:
    return evolve(
        edits,
        env=tuple(x for x in edits.env if x not in common.env),
        nodes=tuple(x for x in edits.nodes if x not in common.nodes),
        hooks=tuple(x for x in edits.hooks if x not in common.hooks),
        mounts=tuple(x for x in edits.mounts if x not in common.mounts),
    )


def _nothing_left(edits: Edits) -> bool:
    return not (edits.env or edits.nodes or edits.hooks or edits.mounts)


def _sorted_edits(edits: Edits) -> Edits:
    return evolve(
        edits,
        nodes=tuple(sorted(edits.nodes, key=lambda n: _depth_first(n.path))),
        mounts=tuple(sorted(edits.mounts, key=lambda m: _depth_first(m.container_path))),
    )


def _depth_first(path: str) -> tuple[int, bytes]:
    return clean_path(path).count("/"), path.encode("utf-8", "surrogateescape")
