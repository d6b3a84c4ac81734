"""Words of plain shell scripts: quotes and the simple parameter expansions that wrapper scripts are made of (POSIX XCU 2.2, 2.6.2; bash).

Whatever needs a shell to be understood (commands, globs, pipes, arithmetic) is refused with `NotPlainError`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SPECIAL = frozenset("|&;<>()`*?[~!")


class NotPlainError(Exception):
    """The script does something that only a shell could tell; the text says what."""


class Words:
    """Splits one line into words and expands them with `variables` (name -> value) and the script's own arguments."""

    def __init__(self, line: str, variables: Mapping[str, str], script: str, arguments: tuple[str, ...]):
        self._text = line
        self._at = 0
        self._variables = variables
        self._script = script
        self._arguments = arguments

    def all(self) -> list[str]:
        """Every word of the line. ``"$@"`` becomes the arguments."""
        out: list[str] = []
        while True:
            while self._peek() in (" ", "\t"):
                self._at += 1
            if not self._peek() or self._peek() == "#":
                return out
            for sign in ('"$@"', "$@", '"${extraFlagsArray[@]}"'):
                if self._text.startswith(sign, self._at) and self._text[self._at + len(sign) :][:1] in ("", " "):
                    self._at += len(sign)
                    out += self._arguments if "$@" in sign else ()
                    break
            else:
                out.append(self._word(" \t"))

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        char = self._peek()
        if not char:
            raise NotPlainError("a quote or brace is not closed on its line")
        self._at += 1
        return char

    def _word(self, ends: str) -> str:
        """Up to one of `ends` outside of quotes, or the end of the line; the end itself is left."""
        out = []
        while self._peek() and self._peek() not in ends:
            char = self._next()
            if char == "'":
                out.append(self._until("'"))
            elif char == '"':
                out.append(self._double_quoted())
            elif char == "$":
                out.append(self._parameter())
            elif char == "\\":
                out.append(self._next())
            elif char in _SPECIAL and ends != "}":
                raise NotPlainError(f"{char} in {self._text.strip()!r}")
            else:
                out.append(char)
        return "".join(out)

    def _until(self, end: str) -> str:
        start = self._at
        while self._next() != end:
            pass
        return self._text[start : self._at - 1]

    def _double_quoted(self) -> str:
        out = []
        while (char := self._next()) != '"':
            if char == "$":
                char = self._parameter()
            elif char == "\\" and self._peek() in ("$", "`", '"', "\\"):
                char = self._next()
            elif char == "`":
                raise NotPlainError("a command substitution")
            out.append(char)
        return "".join(out)

    def _parameter(self) -> str:
        """What stands behind a ``$``."""
        if self._peek() == "0":
            self._at += 1
            return self._script
        match = _NAME.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
            return self._variables.get(match[0], "")
        if self._peek() != "{":
            raise NotPlainError(f"${self._peek()} in {self._text.strip()!r}")
        self._at += 1
        match = _NAME.match(self._text, self._at)
        if match is None:
            raise NotPlainError(f"an expansion in {self._text.strip()!r}")
        self._at = match.end()
        value = self._operation(self._variables.get(match[0]))
        if self._next() != "}":
            raise NotPlainError(f"an expansion in {self._text.strip()!r}")
        return value

    def _operation(self, value: str | None) -> str:
        """The operator of ``${NAME...}`` applied to the variable's value (None: unset); the closing brace is left."""
        if self._peek() == "}":
            return value or ""
        operator = self._next()
        filled = bool(value)
        if operator == ":":
            operator = self._next()
        else:
            filled = value is not None
        if operator == "/":
            pattern = self._word("/}")
            replacement = ""
            if self._peek() == "/":
                self._at += 1
                replacement = self._word("}")
            return (value or "").replace(pattern, replacement, 1) if pattern else value or ""
        word = self._word("}")
        match operator:
            case "+":
                return word if filled else ""
            case "-":
                return (value or "") if filled else word
            case "#":
                return (value or "").removeprefix(word.removeprefix("#"))
            case "%":
                return (value or "").removesuffix(word.removeprefix("%"))
        raise NotPlainError(f"the expansion operator {operator}")
