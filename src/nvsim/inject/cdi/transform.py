"""Moving a CDI spec from one root to another: ``nvidia-ctk cdi transform root`` (toolkit: ``pkg/nvcdi/transform/root``)."""

from __future__ import annotations

from collections.abc import Callable

from nvsim.frozen import evolve
from nvsim.inject.cdi.inject import clean_path
from nvsim.inject.cdi.spec import CdiHook, CdiMount, CdiNode, CdiSpec, Edits

_IN_CONTAINER = ("createContainer", "startContainer")  # stages whose arguments speak of paths of the container


def transform_root(spec: CdiSpec, root: str, target: str, relative_to: str = "host") -> CdiSpec:
    """`spec` with every path below `root` moved below `target`: host paths, or container paths (`relative_to` "container").

    Equal roots change nothing at all.
    """
    if root == target:
        return spec

    def move(path: str) -> str:
        return move_path(path, root, target)

    edit = _container_edits if relative_to == "container" else _host_edits
    devices = tuple(evolve(d, edits=edit(d.edits, move)) for d in spec.devices)
    return evolve(spec, devices=devices, edits=edit(spec.edits, move))


def move_path(path: str, root: str, target: str) -> str:
    """`path` moved from below `root` to below `target`; prefixes end at a component."""
    prefix = root if root.endswith("/") else root + "/"
    whole = path + "/"
    if not whole.startswith(prefix):
        return path
    return (
        clean_path("/".join(p for p in (target, whole[len(prefix) :]) if p)) if target or whole[len(prefix) :] else ""
    )


def _host_edits(edits: Edits, move: Callable[[str], str]) -> Edits:
    def node(n: CdiNode) -> CdiNode:
        return evolve(n, host_path=move(n.host_path or n.path))

    def hook(h: CdiHook) -> CdiHook:
        moved = h if h.name == "startContainer" else evolve(h, path=move(h.path))
        return moved if h.name in _IN_CONTAINER else evolve(moved, args=_moved_args(h.args, move))

    def mount(m: CdiMount) -> CdiMount:
        return evolve(m, host_path=move(m.host_path))

    return _mapped(edits, node, hook, mount)


def _container_edits(edits: Edits, move: Callable[[str], str]) -> Edits:
    def node(n: CdiNode) -> CdiNode:
        return evolve(n, path=move(n.path))

    def hook(h: CdiHook) -> CdiHook:
        moved = evolve(h, path=move(h.path)) if h.name == "startContainer" else h
        return evolve(moved, args=_moved_args(h.args, move)) if h.name in _IN_CONTAINER else moved

    def mount(m: CdiMount) -> CdiMount:
        return evolve(m, container_path=move(m.container_path))

    return _mapped(edits, node, hook, mount)


def _mapped(
    edits: Edits,
    node: Callable[[CdiNode], CdiNode],
    hook: Callable[[CdiHook], CdiHook],
    mount: Callable[[CdiMount], CdiMount],
) -> Edits:
    return evolve(
        edits,
        nodes=tuple(map(node, edits.nodes)),
        hooks=tuple(map(hook, edits.hooks)),
        mounts=tuple(map(mount, edits.mounts)),
    )


def _moved_args(args: tuple[str, ...], move: Callable[[str], str]) -> tuple[str, ...]:
    return tuple("::".join(move(part) for part in arg.split("::", 1)) for arg in args)
