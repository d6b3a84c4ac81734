"""Whom ``--user=UID[:GID]`` names: numbers, or names of /etc/passwd and /etc/group (libnvidia-container ``str_to_ugid``)."""

from __future__ import annotations

import re

from nvsim.frozen import frozen
from nvsim.inject.legacy.paths import failure
from nvsim.rootfs.node import File
from nvsim.rootfs.resolve import Resolved, resolve
from nvsim.rootfs.tree import Tree

UNPRIVILEGED = (65534, 65534)  # /proc/sys/kernel/overflowuid and overflowgid
_WRONG = "parse user/group failed"


@frozen
class Accounts:
    """The accounts of a host: rows of /etc/passwd (name, uid, gid) and of /etc/group (name, gid); None = it is not known."""

    users: tuple[tuple[str, int, int], ...] | None = None
    groups: tuple[tuple[str, int], ...] | None = None


def accounts_of(tree: Tree) -> Accounts:
    """The accounts that the files of a tree tell; a file that is not there tells nothing."""
    users, groups = _rows(tree, "/etc/passwd", 4), _rows(tree, "/etc/group", 3)
    return Accounts(
        None if users is None else tuple((r[0], int(r[2]), int(r[3])) for r in users),
        None if groups is None else tuple((r[0], int(r[2])) for r in groups),
    )


def parse_user(text: str, accounts: Accounts) -> tuple[int, int]:
    """(uid, gid) of an argument. Raises `EngineFailure` with the text behind "input error: ".

    What cannot be known is taken to exist, with the ids of an unprivileged user.
    """
    number = re.match(r"\s*[+-]?\d+", text)
    if number is not None:
        head, colon, group = number[0], text[number.end() : number.end() + 1], text[number.end() + 1 :]
        if colon not in ("", ":"):
            raise failure(_WRONG, "EINVAL")
        uid = _id(head)
        gid = _default_group(uid, accounts)
    else:
        name, _, group = text.partition(":")
        uid, gid = _user(name, accounts)
    if group:
        gid = _group(group, accounts)
    if gid is None:
        raise failure(_WRONG, "ENOENT")
    return uid, gid


def _id(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**32:
        raise failure(_WRONG, "ERANGE")
    return number


def _user(name: str, accounts: Accounts) -> tuple[int, int]:
    if accounts.users is None:
        return (0, 0) if name == "root" else UNPRIVILEGED
    found = next(((uid, gid) for known, uid, gid in accounts.users if known == name), None)
    if found is None:
        raise failure(_WRONG, "ENOENT")
    return found


def _default_group(uid: int, accounts: Accounts) -> int | None:
    if accounts.users is None:
        return uid
    return next((gid for _, known, gid in accounts.users if known == uid), None)


def _group(text: str, accounts: Accounts) -> int:
    number = re.match(r"\s*[+-]?\d+", text)
    if number is not None:
        if number.end() != len(text):
            raise failure(_WRONG, "EINVAL")
        return _id(number[0])
    if accounts.groups is None:
        return UNPRIVILEGED[1]
    found = next((gid for known, gid in accounts.groups if known == text), None)
    if found is None:
        raise failure(_WRONG, "ENOENT")
    return found


def _rows(tree: Tree, path: str, least: int) -> list[list[str]] | None:
    """The rows of a file of accounts that have `least` fields and numbers behind the password."""
    found = resolve(tree, path)
    text = found.node.facts.text if isinstance(found, Resolved) and isinstance(found.node, File) else None
    if text is None:
        return None
    rows = (line.split(":") for line in text.splitlines())
    return [r for r in rows if len(r) >= least and all(x.isascii() and x.isdigit() for x in r[2:least])]
