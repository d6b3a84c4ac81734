"""Command lines that only start another program: ``sh -c 'CMD ARGS'``, ``env A=b CMD``, ``tini -- CMD`` and the like.

`unwrap` finds the program that is really meant, where that can be told from the words alone; anything with the power of a shell
(pipes, variables, patterns, more than one command) is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from nvsim.frozen import evolve, frozen

_SHELLS = ("sh", "bash", "dash", "ash", "ksh", "zsh")
_SPECIAL = r"[|&;<>()$`\\*?\[\]#~{}!\n]"
_ASSIGNMENT = r"[A-Za-z_][A-Za-z0-9_]*="
# What a shell does itself: such a command starts no program, or not one that the words show.
_BUILTIN_WORDS = (
    "if for while until case select function time coproc . : alias bg bind break builtin caller cd command compgen complete compopt "
    "continue declare dirs disown echo enable eval exit export false fc fg getopts hash help history jobs kill let local logout mapfile "
    "popd printf pushd pwd read readarray readonly return set shift shopt source suspend test times trap true type typeset ulimit umask "
    "unalias unset wait [ [[ {"
)
_BUILTINS = frozenset(_BUILTIN_WORDS.split())


@frozen
class Wrapper:
    """A program that ends by executing another one.

    `values`: options that take a value (in the next word, or joined). `plain`: options without one. `operands`: words that come before
    the command. `assignments`: NAME=VALUE words change the environment. `ends`: "--" must stand before the command.
    """

    values: frozenset[str] = frozenset()
    plain: frozenset[str] = frozenset()
    operands: int = 0
    assignments: bool = False
    ends: bool = False


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


WRAPPERS: Mapping[str, Wrapper] = {
    "env": Wrapper(_set("-u --unset -C --chdir"), _set("-i - --ignore-environment"), assignments=True),
    "nice": Wrapper(_set("-n --adjustment")),
    "ionice": Wrapper(_set("-c --class -n --classdata"), _set("-t --ignore")),
    "chrt": Wrapper(frozenset(), _set("-b -f -i -o -r --batch --fifo --idle --other --rr"), operands=1),
    "taskset": Wrapper(frozenset(), _set("-c --cpu-list"), operands=1),
    "numactl": Wrapper(
        _set("-N -m -C -p -i --cpunodebind --membind --physcpubind --preferred --interleave"), _set("-l --localalloc")
    ),
    "nohup": Wrapper(),
    "setsid": Wrapper(frozenset(), _set("-c -f -w --ctty --fork --wait")),
    "stdbuf": Wrapper(_set("-i -o -e --input --output --error")),
    "timeout": Wrapper(
        _set("-k -s --kill-after --signal"), _set("-v --verbose --foreground --preserve-status"), operands=1
    ),
    "tini": Wrapper(_set("-p -e"), _set("-s -g -v -vv -vvv -w")),
    "tini-static": Wrapper(_set("-p -e"), _set("-s -g -v -vv -vvv -w")),
    "docker-init": Wrapper(_set("-p -e"), _set("-s -g -v -w")),
    "dumb-init": Wrapper(_set("-r --rewrite"), _set("-c -v --single-child --verbose")),
    "catatonit": Wrapper(frozenset(), _set("-g -P")),
    "gosu": Wrapper(operands=1),
    "su-exec": Wrapper(operands=1),
    "setpriv": Wrapper(
        _set("--reuid --regid --groups --inh-caps --bounding-set --ambient-caps"),
        _set("--no-new-privs --clear-groups --init-groups --keep-groups"),
    ),
}
_MAX_DEPTH = 16
_USER_CHANGED = ("gosu", "su-exec", "setpriv")


@frozen
class Link:
    """One wrapper of the chain: the words that call it (``argv[0]`` first), and for a shell the word ``exec`` if it was used."""

    argv: tuple[str, ...]
    shell: bool = False
    uses_exec: bool = False


@frozen
class Meant:
    """The program that a command line really means: its `argv`, the wrappers around it from outside in, and what they change.

    `env` are assignments in order, `unset` names taken away, `clear` whether everything was (``env -i``). `user_changed`: a wrapper runs it
    as another user, which is not modelled.
    """

    argv: tuple[str, ...]
    chain: tuple[Link, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    unset: tuple[str, ...] = ()
    clear: bool = False
    user_changed: bool = False


def unwrap(argv: tuple[str, ...]) -> Meant | None:
    """The program that is really meant; `Meant(argv)` itself when there is no wrapper, None when it cannot be told from the words."""
    meant: Meant | None = Meant(argv)
    for _ in range(_MAX_DEPTH):
        if meant is None:
            return None
        inner = unwrap_once(meant)
        if inner is meant:
            return meant
        meant = inner
    return None


def unwrap_once(meant: Meant) -> Meant | None:
    """`meant` without its outermost wrapper; `meant` itself when it has none, None when what it starts cannot be told."""
    name = meant.argv[0].rpartition("/")[2]
    if name == "busybox" and len(meant.argv) > 1:
        applet = evolve(meant, argv=meant.argv[1:])
        return unwrap_once(applet) if applet.argv[0] in (*_SHELLS, *WRAPPERS) else None
    if name in _SHELLS:
        return _shell(meant)
    return _wrapped(meant, name, WRAPPERS[name]) if name in WRAPPERS else meant


def _shell(meant: Meant) -> Meant | None:
    """``sh -c TEXT``: the one simple command of the text. A shell without ``-c`` is itself what is meant."""
    words = list(meant.argv[1:])
    while words and re.fullmatch(r"-[aefhlux]+|--login|--noprofile|--norc|--posix", words[0]):
        words.pop(0)
    if not words or not re.fullmatch(r"-[aefhlux]*c", words[0]):
        return meant
    if len(words) < 2:
        return None
    command = simple_command(words[1])
    if command is None:
        return None
    assignments, uses_exec, argv = command
    link = Link(meant.argv, shell=True, uses_exec=uses_exec)
    return Meant(argv, (*meant.chain, link), (*meant.env, *assignments), meant.unset, meant.clear, meant.user_changed)


def simple_command(text: str) -> tuple[tuple[tuple[str, str], ...], bool, tuple[str, ...]] | None:
    """Assignments, whether ``exec`` was used, and the words of a shell text that is one simple command; None for anything else."""
    import shlex

    text = text.strip().removesuffix(";").rstrip()
    bare = re.sub(r"'[^']*'", "''", text)
    quoted = "".join(re.findall(r'"[^"]*"', bare))
    if re.search(r"[$`\\]", quoted) or re.search(_SPECIAL, re.sub(r'"[^"]*"', '""', bare)):
        return None
    try:
        words = shlex.split(text, posix=True)
    except ValueError:
        return None
    assignments: list[tuple[str, str]] = []
    while words and re.match(_ASSIGNMENT, words[0]):
        name, _, value = words.pop(0).partition("=")
        assignments.append((name, value))
    uses_exec = bool(words) and words[0] == "exec"
    if uses_exec:
        words.pop(0)
    if not words or words[0].startswith("-") or words[0] in _BUILTINS:
        return None
    return tuple(assignments), uses_exec, tuple(words)


def _wrapped(meant: Meant, name: str, wrapper: Wrapper) -> Meant | None:
    words = list(meant.argv[1:])
    unset, clear = list(meant.unset), meant.clear
    env = list(meant.env)
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word == "--":
            break
        option, eq, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if option in wrapper.plain:
            clear = clear or (name == "env" and option in ("-i", "-", "--ignore-environment"))
        elif option in wrapper.values:
            if not eq and not words:
                return None
            value = value if eq else words.pop(0)
            if name == "env" and option in ("-u", "--unset"):
                unset.append(value)
            elif name == "env":
                return None  # another working directory
        elif not (word[:2] in wrapper.values and not word.startswith("--")) and not (
            name == "nice" and re.fullmatch(r"-\d+", word)
        ):
            return None
    if clear and not meant.clear:
        env, unset = [], []
    while wrapper.assignments and words and "=" in words[0]:
        key, _, value = words.pop(0).partition("=")
        env.append((key, value))
    del words[: wrapper.operands]
    if not words:
        return meant if name == "env" or not meant.argv[1:] else None
    link = Link(meant.argv[: len(meant.argv) - len(words)])
    changed = meant.user_changed or name in _USER_CHANGED
    return Meant(tuple(words), (*meant.chain, link), tuple(env), tuple(unset), clear, changed)
