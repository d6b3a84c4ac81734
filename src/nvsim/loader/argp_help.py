"""The help and usage messages of programs that use argp (glibc ``argp/argp-help.c``, ``argp/argp-fmtstream.c``), letter by letter.

Lines are broken as argp's stream does it, with its buffer of 200 characters: a text that ends exactly at the margin is broken or not by what
an earlier line left behind its end. ``ARGP_HELP_FMT`` is not looked at.
"""

from __future__ import annotations

from functools import cmp_to_key

from nvsim.errors import UnsupportedError
from nvsim.loader.argp import Option, Program

_SHORT_COL, _LONG_COL, _DOC_COL, _TEXT_COL, _HEADER_COL, _USAGE_INDENT, _MARGIN = 2, 6, 2, 29, 1, 12, 79
_BUFFER, _PRINTF_GUESS = 200, 150
_DUPLICATES = "Mandatory or optional arguments to long options are also mandatory or optional for any corresponding short options."


def message(program: Program, kind: str) -> str:
    """What argp prints: `kind` is "help", "usage", "see" (the hint after an error), or "wrong" (a short usage with the hint).

    Raises `UnsupportedError` when a text that belongs into it is not known.
    """
    out = _Stream()
    if kind != "see":
        _usage_line(out, program, short=kind != "usage")
    if kind in ("see", "wrong"):
        out.printf(f"Try `{program.name} --help' or `{program.name} --usage' for more information.\n")
    if kind == "help":
        if program.extra is None:
            raise UnsupportedError(f"how the help of this {program.name} ends is not known")
        out.puts(program.doc)
        if out.point() > 0:
            out.puts("\n")
        out.puts("\n")
        _option_list(out, program)
        if program.extra:
            out.puts("\n")
            out.puts(program.extra)
        if program.bug_address:
            out.puts("\n")
            out.printf(f"Report bugs to {program.bug_address}.\n")
    return out.text()


def _sorted(program: Program) -> list[Option]:
    """All entries in the order of a listing (``hol_entry_cmp``): headers first in their groups, groups 0, 1, ..., -2, -1."""
    compare = _compare_all if program.total_order else _compare_some
    return sorted(program.all_options(), key=cmp_to_key(compare))


def _compare_all(a: Option, b: Option) -> int:
    key_a, key_b = (
        (*_group_key(o), _first(o).lower(), -ord(_first(o)), bool(_letter(o)), "" if _letter(o) else o.name.lower())
        for o in (a, b)
    )
    return (key_a > key_b) - (key_a < key_b)


def _compare_some(a: Option, b: Option) -> int:
    """The rule up to 2.33, which leaves options that begin with the same letter as they stand if one has a short form."""
    key_a, key_b = _group_key(a), _group_key(b)
    if key_a == key_b and not _letter(a) and not _letter(b) and _name(a) and _name(b):
        text_a, text_b = a.name.lower(), b.name.lower()
        return (text_a > text_b) - (text_a < text_b)
    whole_a, whole_b = ((*k, _first(o).lower(), -ord(_first(o))) for k, o in ((key_a, a), (key_b, b)))
    return (whole_a > whole_b) - (whole_a < whole_b)


def _group_key(option: Option) -> tuple[bool, int, bool]:
    return option.group < 0, option.group, option.documentation


def _letter(option: Option) -> str:
    return "" if option.hidden else option.letter


def _name(option: Option) -> str:
    return "" if option.hidden else option.name


def _first(option: Option) -> str:
    return _letter(option) or _name(option)[:1] or "\0"


def _usage_line(out: _Stream, program: Program, *, short: bool) -> None:
    out.set_margins(wrap=_USAGE_INDENT)
    out.printf(f"Usage: {program.name}")
    out.set_margins(left=_USAGE_INDENT)
    if short:
        out.puts(" [OPTION...]")
    else:
        _usage_options(out, program)
    if program.args_doc:
        out.space(1 + len(program.args_doc))
        out.puts(program.args_doc)
    out.set_margins(wrap=0)
    out.set_margins(left=0)
    out.puts("\n")


def _usage_options(out: _Stream, program: Program) -> None:
    shown = [o for o in _sorted(program) if o.key and not o.documentation and not o.hidden]
    if any(o.arg == "" for o in shown):
        raise UnsupportedError(f"how {program.name} calls the value of an option in its messages is not known")
    plain = "".join(o.letter for o in shown if o.arg is None)
    if plain:
        out.printf(f" [-{plain}]")
    for o in shown:
        if o.letter and o.arg is not None:
            if o.optional:
                out.printf(f" [-{o.letter}[{o.arg}]]")
            else:
                out.space(6 + len(o.arg))
                out.printf(f"[-{o.letter} {o.arg}]")
    for o in shown:
        if o.name:
            value = "" if o.arg is None else f"[={o.arg}]" if o.optional else f"={o.arg}"
            out.printf(f" [--{o.name}{value}]")


def _option_list(out: _Stream, program: Program) -> None:
    previous: Option | None = None
    separate = suppressed = False
    for o in _sorted(program):
        if o.hidden:
            continue
        if o.doc is None or o.arg == "":
            raise UnsupportedError(f"what the help of {program.name} says about --{o.name} is not known")
        if not o.key:
            if previous is not None:
                out.puts("\n")
            out.indent_to(_HEADER_COL)
            out.set_margins(left=_HEADER_COL)
            out.set_margins(wrap=_HEADER_COL)
            out.puts(o.doc)
            out.set_margins(left=0)
            out.puts("\n")
            separate = True
        else:
            out.set_margins(wrap=_SHORT_COL)
            if separate and previous is not None and previous.group != o.group:
                out.puts("\n")
            _option_names(out, o)
            suppressed = suppressed or bool(o.letter and o.name and o.arg is not None)
            _option_text(out, o.doc)
        out.set_margins(left=0)
        out.set_margins(wrap=0)
        previous = o
    if suppressed:
        out.puts("\n")
        out.puts(_DUPLICATES)
        out.puts("\n")


def _option_names(out: _Stream, o: Option) -> None:
    if o.letter:
        out.indent_to(_SHORT_COL)
        out.puts("-")
        out.puts(o.letter)
        if not o.name and o.arg is not None:
            out.printf(f"[{o.arg}]" if o.optional else f" {o.arg}")
    if o.documentation:
        out.set_margins(wrap=_DOC_COL)
        out.indent_to(_DOC_COL)
        out.puts(o.name)
        return
    out.set_margins(wrap=_LONG_COL)
    if o.name:
        if o.letter:
            out.puts(", ")
        out.indent_to(_LONG_COL)
        out.printf(f"--{o.name}")
        if o.arg is not None:
            out.printf(f"[={o.arg}]" if o.optional else f"={o.arg}")


def _option_text(out: _Stream, text: str) -> None:
    out.set_margins(left=0)
    if text:
        column = out.point()
        out.set_margins(left=_TEXT_COL)
        out.set_margins(wrap=_TEXT_COL)
        if column > _TEXT_COL + 3:
            out.puts("\n")
        elif column >= _TEXT_COL:
            out.puts("   ")
        else:
            out.indent_to(_TEXT_COL)
        out.puts(text)
    out.set_margins(left=0)
    out.puts("\n")


class _Stream:
    """argp's stream: text is kept in a buffer, and broken into lines when a margin changes, the column is asked, or the buffer is full."""

    def __init__(self) -> None:
        self._buffer = ["\0"] * _BUFFER
        self._end = 0  # of the text in the buffer
        self._scanned = 0
        self._column = 0  # of what was scanned; -1: at the start of a line that gets no left margin
        self._left = self._wrap = 0
        self._out: list[str] = []

    def text(self) -> str:
        """All that was written."""
        self._update()
        self._flush(self._end)
        self._end = self._scanned = 0
        return "".join(self._out)

    def set_margins(self, *, left: int | None = None, wrap: int | None = None) -> None:
        if self._end > self._scanned:
            self._update()
        self._left = self._left if left is None else left
        self._wrap = self._wrap if wrap is None else wrap

    def point(self) -> int:
        """The column."""
        if self._end > self._scanned:
            self._update()
        return max(self._column, 0)

    def indent_to(self, column: int) -> None:
        for _ in range(column - self.point()):
            self.puts(" ")

    def space(self, ensure: int) -> None:
        """A space, or a new line if fewer than `ensure` columns are left."""
        self.puts("\n" if self.point() + ensure >= _MARGIN else " ")

    def puts(self, text: str) -> None:
        if self._end + len(text) > len(self._buffer):
            self._ensure(len(text))
        self._buffer[self._end : self._end + len(text)] = text
        self._end += len(text)

    def printf(self, text: str) -> None:
        """As `puts`, in the way of formatted text: with room in advance, and a NUL behind it."""
        need = _PRINTF_GUESS
        while True:
            if len(self._buffer) - self._end < need:
                self._ensure(need)
            room = len(self._buffer) - self._end
            written = text[: room - 1] + "\0"
            self._buffer[self._end : self._end + len(written)] = written
            if len(text) < room:
                break
            need = len(text) + 1
        self._end += len(text)

    def _flush(self, end: int) -> None:
        self._out.append("".join(self._buffer[:end]))

    def _ensure(self, amount: int) -> None:
        self._update()
        self._flush(self._end)
        self._end = self._scanned = 0
        if len(self._buffer) < amount:
            self._buffer += ["\0"] * amount

    def _update(self) -> None:
        at = self._scanned
        while at < self._end:
            if self._column == 0 and self._left:
                at = self._pad(at)
            length = self._end - at
            newline = next((i for i in range(at, self._end) if self._buffer[i] == "\n"), None)
            self._column = max(self._column, 0)
            if newline is None and self._column + length < _MARGIN:
                self._column += length
                break
            if newline is not None and self._column + newline - at < _MARGIN:
                self._column = 0
                at = newline + 1
                continue
            at = self._break(at, self._end if newline is None else newline)
        self._scanned = self._end

    def _pad(self, at: int) -> int:
        """The left margin of a new line; where its text begins then."""
        pad = self._left
        self._column = pad
        if self._end + pad < len(self._buffer):
            self._buffer[at : self._end + pad] = [" "] * pad + self._buffer[at : self._end]
            self._end += pad
            return at + pad
        self._out.append(" " * pad)  # in front of what the buffer holds, as the real one does
        return at

    def _break(self, at: int, newline: int) -> int:
        """Break the line that begins at `at` and is too long; where its rest begins."""
        last = at + _MARGIN - self._column
        i = last
        while i >= at and not self._blank(i):
            i -= 1
        rest = i + 1
        if rest > at:
            while i >= at and self._blank(i):
                i -= 1
            end = i + 1
        else:  # one long word
            i = last + 1
            while i < newline and not self._blank(i):
                i += 1
            if i == newline:
                self._column = 0
                return newline + 1
            end = i
            while self._blank(i):
                i += 1
            rest = i
        return self._carry_over(end, rest)

    def _carry_over(self, end: int, rest: int) -> int:
        """End the line at `end` and go on with the text from `rest`, behind the wrap margin; where it lies then.

        `rest` is one behind the text when a line ended at the margin and what an earlier one left behind its end was a blank: then one
        column of the margin is lost.
        """
        buffer, wrap = self._buffer, self._wrap
        size, stop = len(buffer), self._end
        short = size - end < wrap + 1 if rest == stop + 1 else rest - end - 1 < wrap
        if short and stop > rest:
            if size - stop > wrap + 1:
                moved = end + 1 + wrap
                buffer[moved : moved + stop - rest] = buffer[rest:stop]
                rest, stop = moved, moved + stop - rest
                buffer[end] = "\n"
                to = end + 1
            else:
                self._out.append("".join(buffer[:end]) + "\n")
                to = 0
        else:
            buffer[end] = "\n"
            to = end + 1
        if rest - to >= wrap or (rest == stop + 1 and size - rest >= wrap):
            buffer[to : to + wrap] = " " * wrap
            to += wrap
        else:
            self._out.append(" " * wrap)
        if to < rest:
            buffer[to : to + stop - rest] = buffer[rest:stop]
        self._end = to + stop - rest
        self._column = wrap or -1
        return to

    def _blank(self, at: int) -> bool:
        return at < len(self._buffer) and self._buffer[at] in " \t"
