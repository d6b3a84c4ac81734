"""The batch kind ``ldconfig``: a run of ldconfig over a tree (see ``docs/formats.md``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nvsim.elf.facts import LdconfigFacts, ldconfig_from_json
from nvsim.errors import InputError
from nvsim.loader.ldconfig.run import LdconfigRun, run_ldconfig
from nvsim.rootfs.node import File
from nvsim.rootfs.resolve import Resolved, resolve
from nvsim.rootfs.tree import Tree
from nvsim.rootfs.treefile import ldcache_to_json, tree_from_json

_PLACES = ("/sbin/ldconfig.real", "/sbin/ldconfig", "/usr/sbin/ldconfig", "/usr/bin/ldconfig")
_DEBIAN = ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib")
_UPSTREAM = ("/lib64", "/usr/lib64")


def answer(kind: str, query: dict[str, Any]) -> dict[str, Any]:
    """The result of one ``ldconfig`` query. Raises `InputError`."""
    rootfs = query.get("rootfs")
    if not isinstance(rootfs, dict) or "tree" not in rootfs:
        raise InputError("ldconfig needs rootfs.tree")
    argv = query.get("argv") or []
    if not isinstance(argv, list) or not all(isinstance(a, str) for a in argv):
        raise InputError("argv of ldconfig must be a list of strings")
    tree = tree_from_json(rootfs["tree"], "rootfs")
    facts, assumed = _facts(query.get("ldconfig"), tree)
    out = render(run_ldconfig(tree, facts, tuple(argv), readonly=bool(query.get("readonly", False))))
    if assumed:
        out["assumptions"] = list(assumed)
    return out


def _facts(given: Any, tree: Tree) -> tuple[LdconfigFacts, tuple[str, ...]]:
    """The program: as given (facts, or a version alone), else the one that is in the tree; and what was assumed."""
    if isinstance(given, Mapping) and "system_dirs" in given:
        return ldconfig_from_json(given), ()
    if given is None:
        for path in _PLACES:
            found = resolve(tree, path)
            if isinstance(found, Resolved) and isinstance(found.node, File) and found.node.facts.ldconfig is not None:
                return found.node.facts.ldconfig, ()
    version = given.get("version") if isinstance(given, Mapping) else given
    if version is None:
        raise InputError("no ldconfig program is given, nor one with facts in the tree", hint="give ldconfig: VERSION")
    if not isinstance(version, str) or not version[:1].isdigit():
        raise InputError(f"{version!r} is no version of ldconfig", hint='such as "2.36"')
    debian = isinstance(resolve(tree, "/etc/debian_version"), Resolved)
    multiarch = debian or isinstance(resolve(tree, _DEBIAN[1]), Resolved)
    dirs = _DEBIAN if multiarch else _UPSTREAM
    name = "Debian's" if multiarch else "an unpatched build's"
    return LdconfigFacts(version, dirs), (f"ldconfig {version} is taken to have {name} built-in directories",)


def render(run: LdconfigRun) -> dict[str, Any]:
    """The JSON form of a run."""
    return {
        "cache": None if run.cache is None else ldcache_to_json(run.cache),
        "links": dict(run.links),
        "removed": list(run.removed),
        "stdout": run.stdout,
        "stderr": run.stderr,
        "rc": run.rc,
    }
