"""Wrappers: programs that only set an environment and execute another one (nixpkgs ``make-wrapper.sh``, ``make-binary-wrapper.sh``).

A shell script is followed where every line is plain: assignments, export, unset, cd, and one exec at the end. A compiled wrapper says in a
string of its own which command made it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from nvsim.frozen import frozen
from nvsim.loader.shell_words import NotPlainError, Words

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?)=")
_IGNORED = re.compile(r"(set [-+][a-z]+|declare -a extraFlagsArray=\(\))\s*\Z")
_SHELLS = ("sh", "bash", "dash")


@frozen
class Wrapped:
    """What a wrapper executes: the program (without a slash: to be found in PATH), its argv and environment, and the directory it runs in
    (None: as before)."""

    exec: str
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    cwd: str | None = None


def is_shell(path: str) -> bool:
    """Whether the interpreter of a script is a shell whose plain scripts can be followed."""
    return path.rpartition("/")[2] in _SHELLS


def follow_script(
    text: str, script: str, arguments: tuple[str, ...], env: Iterable[tuple[str, str]]
) -> Wrapped | str | None:
    """What the shell script `text` executes; a string: it is a wrapper, but not a plain one, and why; None: it is no wrapper.

    `script` is ``$0``. A script counts as a wrapper when its last command is an exec that hands on its arguments.
    """
    lines = [line.strip() for line in text.replace("\\\n", " ").split("\n")]
    commands = [line for line in lines if line and not line.startswith("#")]
    if not commands or not commands[-1].startswith("exec ") or "$@" not in commands[-1]:
        return None
    state = _Shell(script, arguments, env)
    try:
        for line in commands[:-1]:
            state.run(line)
        return state.execute(commands[-1])
    except NotPlainError as e:
        return f"{script} is a wrapper script that only a shell can follow: {e}"


class _Shell:
    """The variables of a script while its lines are read."""

    def __init__(self, script: str, arguments: tuple[str, ...], env: Iterable[tuple[str, str]]):
        self.script, self.arguments = script, arguments
        self.variables = dict(env)
        self.exported = dict.fromkeys(self.variables)
        self.cwd: str | None = None

    def words(self, line: str) -> list[str]:
        return Words(line, self.variables, self.script, self.arguments).all()

    def run(self, line: str) -> None:
        """One line that is not the exec."""
        if _IGNORED.match(line):
            return
        command, _, rest = line.partition(" ")
        if command == "export":
            for name in self._assign(rest):
                self.exported[name] = None
        elif command == "unset":
            for name in self.words(rest):
                self.variables.pop(name, None)
                self.exported.pop(name, None)
        elif command == "cd":
            self.cwd = self.words(rest)[0]
        elif _ASSIGNMENT.match(line):
            self._assign(line)
        else:
            raise NotPlainError(line)

    def _assign(self, text: str) -> list[str]:
        """``NAME=WORD``, ``NAME+=WORD`` or (for export) ``NAME``, one or more; the names."""
        names = []
        for word in self.words(text):
            match = _ASSIGNMENT.match(word)
            name = match[1] if match is not None else word
            if match is not None:
                before = self.variables.get(name, "") if match[2] else ""
                self.variables[name] = before + word[match.end() :]
            names.append(name)
        return names

    def execute(self, line: str) -> Wrapped:
        """The exec at the end."""
        words = self.words(line)[1:]
        argv0 = None
        if words[:1] == ["-a"] and len(words) > 1:
            argv0, words = words[1], words[2:]
        if not words or words[0].startswith("-"):
            raise NotPlainError(line)
        env = tuple((name, self.variables[name]) for name in self.exported if name in self.variables)
        return Wrapped(words[0], (words[0] if argv0 is None else argv0, *words[1:]), env, self.cwd)


def follow_command(command: str, argv: tuple[str, ...], env: Iterable[tuple[str, str]]) -> Wrapped | str:
    """What a compiled wrapper executes, from the command that made it ("makeCWrapper '/nix/...' --prefix ..."); a string: why unknown."""
    try:
        _, program, *words = shlex.split(command.replace("\\\n", " "))
    except ValueError:
        return "the command in the compiled wrapper cannot be read"
    variables = dict(env)
    flags: list[str] = []
    argv0, cwd = program, None
    while words:
        option = words.pop(0)
        takes = {
            "--inherit-argv0": 0,
            "--resolve-argv0": 0,
            "--set": 2,
            "--set-default": 2,
            "--prefix": 3,
            "--suffix": 3,
        }
        values, words = words[: takes.get(option, 1)], words[takes.get(option, 1) :]
        match option, values:
            case "--set", [name, value]:
                variables[name] = value
            case "--set-default", [name, value]:
                variables.setdefault(name, value)
            case "--unset", [name]:
                variables.pop(name, None)
            case "--prefix", [name, separator, value]:
                variables[name] = f"{value}{separator}{variables[name]}" if name in variables else value
            case "--suffix", [name, separator, value]:
                variables[name] = f"{variables[name]}{separator}{value}" if name in variables else value
            case "--chdir", [directory]:
                cwd = directory
            case "--add-flags", [text]:
                flags += text.split()
            case "--add-flag", [flag]:
                flags.append(flag)
            case "--argv0", [name]:
                argv0 = name
            case (("--inherit-argv0" | "--resolve-argv0"), []):
                argv0 = argv[0] if argv else ""
            case _:
                return f"the compiled wrapper uses {option}, which is not modelled"
    return Wrapped(program, (argv0, *flags, *argv[1:]), tuple(variables.items()), cwd)
