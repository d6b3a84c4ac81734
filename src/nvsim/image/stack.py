"""Layers to one tree: whiteouts, opaque directories, replaced files, hard links into lower layers (OCI image-spec ``layer.md``).

Paths of a layer are taken below the links of the layers under it, as containerd applies layers (``archive/tar.go``); every node keeps
the layer that it comes from as its origin.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from typing import Any

from nvsim.elf.facts import ElfFacts
from nvsim.errors import InputError
from nvsim.frozen import evolve, frozen
from nvsim.rootfs.node import Deferred, Directory, File, FileFacts, Node, Origin, Symlink
from nvsim.rootfs.resolve import MAX_LINKS
from nvsim.rootfs.tree import MemoryTree, parent_of
from nvsim.rootfs.treefile import node_from_json


@frozen
class Layer:
    """One layer: its index (`nvsim.image.layer`) and how it is called (the origin of its nodes). `source` names it in messages.

    `read` gives what the index does not hold of a file, by the number of its member: its text, or (True) a binary with its symbols.
    """

    index: Mapping[str, Any]
    title: str
    source: str
    read: Callable[[int, bool], FileFacts]


class _Stack:
    """The tree that grows. `children`: directory -> names in it."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {"/": Directory()}
        self.children: dict[str, set[str]] = {"/": set()}
        self.real: dict[str, str] = {"/": "/"}  # directories with their links resolved

    def remove(self, path: str) -> None:
        """Remove a node and what lies below it."""
        if path == "/" or path not in self.nodes:
            return
        self.empty(path)
        self.children.pop(path, None)
        self.children[parent_of(path)].discard(posixpath.basename(path))
        if isinstance(self.nodes.pop(path), Symlink | Directory):
            self.real = {"/": "/"}

    def empty(self, path: str) -> None:
        for name in sorted(self.children.get(path, ())):
            self.remove(posixpath.join(path, name))

    def put(self, path: str, node: Node) -> None:
        """Put a node; a directory over a directory keeps what is in it."""
        old = self.nodes.get(path)
        if isinstance(old, Directory) and not isinstance(node, Directory) and path != "/":
            self.remove(path)
        if isinstance(old, Symlink) or isinstance(node, Symlink):
            self.real = {"/": "/"}
        self.nodes[path] = node
        if isinstance(node, Directory):
            self.children.setdefault(path, set())
        if path != "/":
            self.children[parent_of(path)].add(posixpath.basename(path))

    def directory(self, path: str, origin: Origin | None, source: str, entry: str | None = None) -> str | None:
        """The directory that `path` leads to, links followed. Missing ones are made with `origin`; without, None for a missing one.

        `entry`: what is to lie there, for the error when something on the way is no directory.
        """
        known = self.real.get(path)
        if known is not None:
            return known
        todo = path.split("/")[:0:-1]
        at = "/"
        links = 0
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                at = parent_of(at)
                continue
            step = posixpath.join(at, part)
            node = self.nodes.get(step)
            if isinstance(node, Symlink):
                links += 1
                if links > MAX_LINKS:
                    raise InputError("too many levels of symbolic links", source=source, position=path)
                if node.target.startswith("/"):
                    at = "/"
                todo.extend(reversed(node.target.split("/")))
                continue
            if node is None:
                if origin is None:
                    return None
                self.put(step, Directory(origin=origin))
            elif not isinstance(node, Directory):
                if origin is None:
                    return None
                raise InputError(f"lies below {step}, which is no directory", source=source, position=entry or path)
            at = step
        self.real[path] = at
        return at


def stack_layers(layers: Iterable[Layer], name: str) -> MemoryTree:
    """The tree of an image whose layers are given lowest first. Raises `InputError` for a layer that no engine could apply."""
    stack = _Stack()
    for number, layer in enumerate(layers):
        for path in layer.index["opaque"]:
            directory = stack.directory(path, None, layer.source)
            if directory is not None:
                stack.empty(directory)
        for path in layer.index["whiteouts"]:
            directory = stack.directory(parent_of(path), None, layer.source)
            if directory is not None:
                stack.remove(posixpath.join(directory, posixpath.basename(path)))
        _apply(stack, layer, f"{name}:{number}")
    return MemoryTree(name, stack.nodes)


def _apply(stack: _Stack, layer: Layer, device: str) -> None:
    origin = Origin("image", layer.title)
    for path, entry in layer.index["tree"].items():
        parent = stack.directory(parent_of(path), origin, layer.source, path)
        assert parent is not None
        place = posixpath.join(parent, posixpath.basename(path)) if path != "/" else path
        if entry["type"] == "hardlink":
            node = _linked(stack, entry["of"], layer, path)
        else:
            given = {k: v for k, v in entry.items() if k not in ("ino", "later")}
            node = node_from_json(given, (device, entry.get("ino", 0)), origin)
            if isinstance(node, File):
                node = _with_reader(node, entry, layer)
        if path == "/" and not isinstance(node, Directory):
            raise InputError("replaces the root directory", source=layer.source)
        stack.put(place, node)


def _with_reader(node: File, entry: Mapping[str, Any], layer: Layer) -> File:
    """The file with what is read only when somebody asks for it."""
    if entry.get("later"):
        return evolve(node, content=Deferred(layer.read, entry["ino"], False))
    if node.facts.elf is None:
        return node
    return evolve(node, content=evolve(node.facts, symbols=cache(partial(_symbols, layer, entry["ino"]))))


def _symbols(layer: Layer, number: int) -> ElfFacts | None:
    return layer.read(number, True).elf


def _linked(stack: _Stack, of: str, layer: Layer, path: str) -> Node:
    """The file of a lower layer that a hard link names."""
    directory = stack.directory(parent_of(of), None, layer.source)
    target = stack.nodes.get(posixpath.join(directory, posixpath.basename(of))) if directory is not None else None
    if target is None or isinstance(target, Directory):
        raise InputError(f"is a hard link of {of}, which is no file", source=layer.source, position=path)
    return target
