"""PyYAML's scanner with the rules of libyaml and its Go port where the two differ: tabs, and the end of a plain scalar."""

from __future__ import annotations

from typing import Any

import yaml
from yaml.scanner import ScannerError
from yaml.tokens import ScalarToken

_BREAKS = "\r\n\x85\u2028\u2029"
_BLANK_OR_END = f"\0 \t{_BREAKS}"


class GoLoader(yaml.SafeLoader):
    """Composes nodes as Go's yaml.v2 does."""

    def scan_to_next_token(self) -> None:
        """White space and comments; a tab counts as white space where no simple key can start."""
        scanner: Any = self
        if self.index == 0 and self.peek() == "\ufeff":
            self.forward()
        while True:
            while self.peek() == " " or (self.peek() == "\t" and (self.flow_level or not self.allow_simple_key)):
                self.forward()
            if self.peek() == "#":
                while self.peek() not in f"\0{_BREAKS}":
                    self.forward()
            if not scanner.scan_line_break():
                return
            if not self.flow_level:
                self.allow_simple_key = True

    def scan_plain(self) -> ScalarToken:
        """A plain scalar (libyaml ``yaml_parser_scan_plain_scalar``): tabs inside are part of it, in an indentation they are errors."""
        scanner: Any = self
        start = end = self.get_mark()
        indent = self.indent + 1
        chunks: list[str] = []
        joint = ""
        broken = False
        while not (self.column == 0 and self.prefix(3) in ("---", "...") and self.peek(3) in _BLANK_OR_END):
            length = 0 if self.peek() == "#" else self._plain_length()
            if length:
                chunks += (joint, self.prefix(length))
                self.forward(length)
                end = self.get_mark()
                joint, broken = "", False
            elif self.peek() == "#" or self.peek() not in f" \t{_BREAKS}":
                break
            breaks: list[str] = []
            blanks = ""
            while self.peek() in f" \t{_BREAKS}":
                if self.peek() in _BREAKS:
                    breaks.append(scanner.scan_line_break())
                elif not breaks:
                    blanks += self.peek()
                    self.forward()
                elif self.peek() == "\t" and self.column < indent:
                    text = "found a tab character that violates indentation"
                    raise ScannerError("while scanning a plain scalar", start, text, self.get_mark())
                else:
                    self.forward()
            if breaks:
                folded = "".join(breaks[1:]) or " " if breaks[0] == "\n" else "".join(breaks)
                joint, broken = folded, True
            else:
                joint = blanks
            if not (breaks or blanks) or (not self.flow_level and self.column < indent):
                break
        self.allow_simple_key = broken
        return ScalarToken("".join(chunks), True, start, end)

    def _plain_length(self) -> int:
        """How many characters of a plain scalar come next without white space."""
        length = 0
        while (char := self.peek(length)) not in _BLANK_OR_END:
            if (char == ":" and self.peek(length + 1) in _BLANK_OR_END) or (self.flow_level and char in ",?[]{}"):
                break
            length += 1
        return length
