"""Answers about ``nvidia-ctk config`` and nvidia-ctk's help (kind ``tool``): what is printed, and the files that are written on the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nvsim.errors import InputError
from nvsim.inject.hooks.effects import tree_changes
from nvsim.queries.cdi import with_files
from nvsim.rootfs.node import Directory, Node, Origin, Special
from nvsim.rootfs.overlay import RootFS
from nvsim.rootfs.tree import MemoryTree, Tree
from nvsim.rootfs.treefile import tree_from_json
from nvsim.toolkit.config import config_path
from nvsim.toolkit.ctk.config_command import run_nvidia_ctk
from nvsim.toolkit.ctk.model import NotModelled
from nvsim.toolkit.go_strings import log_line
from nvsim.toolkit.releases import NEWEST, release_of

Query = Mapping[str, Any]


def answer(query: Query) -> dict[str, Any]:
    """`rc`, `stdout`, `stderr` (log lines without their time stamps) and `effect`, as for nvidia-cdi-hook. Raises `InputError`."""
    toolkit = _text(query, "toolkit", NEWEST)
    release = release_of(toolkit)
    argv = query.get("argv")
    if not isinstance(argv, list) or not argv or not all(isinstance(a, str) for a in argv):
        raise InputError("argv must be a list of strings that begins with the program's name")
    environ = {str(k): str(v) for k, v in _object(query, "env").items()}
    texts = {str(k): str(v) for k, v in _object(query, "files").items()}
    if query.get("config_toml") is not None:
        texts[config_path(environ, release)] = _text(query, "config_toml", "")
    host = RootFS(with_files(_host(query), texts))
    version = _text(query, "version", toolkit.removeprefix("v"))
    try:
        run = run_nvidia_ctk(argv, host, environ, release, cwd=_text(query, "cwd", "/"), version=version)
    except NotModelled as e:
        known = "nvidia-ctk config, cdi generate, cdi transform root and the help of nvidia-ctk are modelled"
        raise InputError(f"nvidia-ctk: {e} is not modelled", hint=known) from None
    logged = f"{log_line('error', run.error)}\n" if run.error else ""
    return {
        "rc": run.exit,
        "stdout": run.stdout,
        "stderr": run.stderr + logged,
        "effect": tree_changes(host, run.rootfs),
    }


def _host(query: Query) -> Tree:
    """The query's host, or one with the usual directories and nothing in them."""
    if query.get("host") is not None:
        data = _object(query, "host")
        name = str(data.get("name") or "host")
        return tree_from_json(_object(data, "tree"), name, Origin("host", name))
    nodes: dict[str, Node] = {path: Directory() for path in ("/dev", "/etc", "/root", "/tmp", "/usr", "/var")}
    nodes["/dev/null"] = Special("char", (1, 3), 0o666)
    return MemoryTree("host", nodes)


def _object(query: Query, key: str) -> Mapping[str, Any]:
    value = query.get(key)
    if value is not None and not isinstance(value, Mapping):
        raise InputError(f"{key} must be an object")
    return value or {}


def _text(query: Query, key: str, default: str) -> str:
    value = query.get(key)
    if value is not None and not isinstance(value, str):
        raise InputError(f"{key} must be a string")
    return default if value is None else value
