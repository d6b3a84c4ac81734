"""Shell-style patterns over a tree: ``*``, ``?`` and ``[...]`` within one path component, links followed (``glob(7)``)."""

from __future__ import annotations

from fnmatch import fnmatchcase

from nvsim.rootfs.node import Directory
from nvsim.rootfs.resolve import Resolved, Resolver


def has_magic(text: str) -> bool:
    """Whether `text` holds a pattern character."""
    return "*" in text or "?" in text or "[" in text


def glob(resolver: Resolver, pattern: str) -> tuple[str, ...]:
    """The existing paths that match an absolute pattern, in byte order. A leading dot must be matched literally."""
    found = [""]
    for part in _steps(pattern):
        found = [path for directory in found for path in _matches(resolver, directory, part)]
    return tuple(sorted(path or "/" for path in found))


def _steps(pattern: str) -> list[str]:
    """The components of a pattern; those without a pattern character that follow each other are one step."""
    steps: list[str] = []
    plain = False
    for part in pattern.split("/"):
        if not part:
            continue
        magic = has_magic(part)
        if plain and not magic:
            steps[-1] += f"/{part}"
        else:
            steps.append(part)
        plain = not magic
    return steps


def _matches(resolver: Resolver, directory: str, part: str) -> list[str]:
    if not has_magic(part):
        path = f"{directory}/{part}"
        return [path] if isinstance(resolver.resolve(path), Resolved) else []
    at = resolver.resolve(directory or "/")
    if not isinstance(at, Resolved) or not isinstance(at.node, Directory):
        return []
    return [
        f"{directory}/{name}"
        for name in resolver.tree.names(at.path)
        if fnmatchcase(name, part) and (not name.startswith(".") or part.startswith("."))
    ]
