"""The words of a TOML text, as the library of the toolkit takes them (pelletier/go-toml v1, ``lexer.go``).

The library's dialect is wider here and narrower there than TOML 1.0, and its errors name a line and a column, which users see.
What the words mean together is in `nvsim.toolkit.toml_reader`.
"""

from __future__ import annotations

from collections.abc import Callable

from nvsim.frozen import frozen
from nvsim.toolkit.go_text import go_quote

ERROR, EOF, KEY, STRING, INTEGER, FLOAT = "Error", "EOF", "Key", "String", "Integer", "Float"
TRUE, FALSE, INF, NAN = "True", "False", "Inf", "NaN"
LOCAL_DATE, LOCAL_TIME, TIME_OFFSET = "LocalDate", "LocalTime", "TimeOffset"
KEY_GROUP, KEY_GROUP_ARRAY = "KeyGroup", "KeyGroupArray"
# The library's name for the words "[[" and "]]" is the other way round.
DOUBLE_LEFT, DOUBLE_RIGHT = "]]", "[["

_SPACE = " \t"
_DIGITS = frozenset("0123456789")
_HEX = frozenset("0123456789abcdefABCDEF")
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
_BASES = {"x": _HEX | {"_"}, "o": frozenset("01234567_"), "b": frozenset("01_")}
_WORDS = (("true", TRUE), ("false", FALSE), ("inf", INF), ("nan", NAN))
_ESCAPES = {'"': '"', "n": "\n", "b": "\b", "f": "\f", "/": "/", "t": "\t", "r": "\r", "\\": "\\"}


@frozen
class Token:
    """One word: its kind, its text (for an error: what is wrong) and where it starts, both counted from 1."""

    kind: str
    text: str
    line: int
    column: int

    def __str__(self) -> str:
        if self.kind == EOF:
            return "EOF"
        return self.text if self.kind == ERROR else go_quote(self.text)


class _Bad(Exception):  # noqa: N818 - ends the reading of one word
    """What is wrong with the current word."""


def tokens_of(text: str) -> list[Token]:
    """The words of `text`; the last one is of kind ``EOF`` or ``Error``."""
    return _Lexer(text).run()


_State = Callable[[], "_State | None"]


class _Lexer:
    """A reader of words. `at` is the next character; the word being read began at `start`, in `line` and `column`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.start = 0
        self.line = self.column = 1
        self.end_line = self.end_column = 1
        self.tokens: list[Token] = []
        self.brackets: list[str] = []

    def run(self) -> list[Token]:
        state: _State | None = self.void
        while state is not None:
            try:
                state = state()
            except _Bad as e:
                self.tokens.append(Token(ERROR, str(e), self.line, self.column))
                state = None
        return self.tokens

    # ---- characters

    def peek(self) -> str:
        """The next character, "" at the end."""
        return self.text[self.at : self.at + 1]

    def follows(self, words: str) -> bool:
        return self.text.startswith(words, self.at)

    def next(self, count: int = 1) -> str:
        """Take `count` characters; the last of them."""
        c = ""
        for _ in range(count):
            c = self.peek()
            if c == "\n":
                self.end_line += 1
                self.end_column = 1
            else:
                self.end_column += 1
            self.at += len(c)
        return c

    def drop(self) -> None:
        """Forget what was taken: the word begins here."""
        self.start = self.at
        self.line, self.column = self.end_line, self.end_column

    def skip(self, count: int = 1) -> None:
        for _ in range(count):
            self.next()
            self.drop()

    def emit(self, kind: str, text: str | None = None) -> None:
        word = self.text[self.start : self.at] if text is None else text
        self.tokens.append(Token(kind, word, self.line, self.column))
        self.drop()

    def take(self, kind: str, count: int, state: _State) -> _State:
        self.next(count)
        self.emit(kind)
        return state

    # ---- where a key or a table header may begin

    def void(self) -> _State | None:
        while True:
            c = self.peek()
            if c == "":
                self.emit(EOF)
                return None
            if c in "\r\n" or c in _SPACE:
                self.skip()
            elif c == "}":
                return self.right_curly
            elif c == "[":
                return self.header
            elif c == "#":
                self.comment()
            elif c == "=":
                return self.take("=", 1, self.value)
            else:
                return self.key

    def comment(self) -> None:
        while (c := self.peek()) not in ("", "\n"):
            if c == "\r" and self.follows("\r\n"):
                break
            self.next()
        self.drop()

    def key(self) -> _State:
        """A key up to the equals sign; quoted parts are unescaped and keep their quotes."""
        out: list[str] = []
        while (c := self.peek()) not in ("", "="):
            if c in "\"'":
                self.next()
                body = self.basic(c, lines=True) if c == '"' else self.literal(c)
                out.append(f"{c}{body}{c}")
            elif c == "\n":
                raise _Bad("keys cannot contain new lines")
            elif c in _SPACE:
                blanks = self.blanks()
                if self.peek() != ".":
                    break
                self.next()
                out.append(f" {blanks[1:]}.{self.blanks()}")
                continue
            elif c != "." and c not in _BARE:
                raise _Bad(f"keys cannot contain {c} character")
            else:
                out.append(c)
            self.next()
        self.emit(KEY, "".join(out))
        return self.void

    def blanks(self) -> str:
        begin = self.at
        while self.peek() and self.peek() in _SPACE:
            self.next()
        return self.text[begin : self.at]

    def header(self) -> _State:
        self.next()
        array = self.peek() == "["
        if array:
            self.next()
        self.emit(DOUBLE_LEFT if array else "[")
        name = "table array key" if array else "table key"
        while (c := self.peek()) != "":
            if c == "[":
                raise _Bad(f"{name} cannot contain ']'")
            if c != "]":
                self.next()
                continue
            if self.at > self.start:
                self.emit(KEY_GROUP_ARRAY if array else KEY_GROUP)
            self.next()
            if not array:
                self.emit("]")
                return self.void
            if self.peek() == "]":
                return self.take(DOUBLE_RIGHT, 1, self.void)
        raise _Bad(f"unclosed {name}")

    # ---- where a value may begin

    def value(self) -> _State | None:
        while True:
            c = self.peek()
            if c == "":
                self.emit(EOF)
                return None
            if c in "\r\n":
                self.skip()
                if not (self.brackets and self.brackets[-1] == "["):
                    return self.void
            elif c in _SPACE:
                self.skip()
            elif c == "#":
                self.comment()
            elif c in _PUNCTUATION:
                return self.punctuation(c)
            elif c == '"':
                return self.string('"')
            elif c == "'":
                return self.string("'")
            elif c == ".":
                raise _Bad("cannot start float with a dot")
            elif (word := next((w for w in _WORDS if self.follows(w[0])), None)) is not None:
                return self.take(word[1], len(word[0]), self.value)
            elif c in "+-":
                return self.number()
            elif c in _DIGITS:
                return self.moment_or_number()
            else:
                raise _Bad(f"no value can start with {c}")

    def punctuation(self, c: str) -> _State:
        if c == "}":
            return self.right_curly
        self.take(c, 1, self.value)
        if c in "[{":
            self.brackets.append(c)
            return self.void if c == "{" else self.value
        if c == "]":
            self.close("[", "]")
        elif c == "," and self.brackets and self.brackets[-1] == "{":
            return self.void
        return self.value

    def right_curly(self) -> _State:
        self.take("}", 1, self.value)
        self.close("{", "}")
        return self.value

    def close(self, opening: str, closing: str) -> None:
        if not self.brackets or self.brackets[-1] != opening:
            raise _Bad(f"cannot have '{closing}' here")
        self.brackets.pop()

    # ---- strings

    def string(self, quote: str) -> _State:
        self.skip()
        terminator, lines = quote, False
        if self.follows(quote * 2):
            self.skip(2)
            terminator, lines = quote * 3, True
            if self.follows("\r\n"):
                self.skip(2)
            elif self.peek() == "\n":
                self.skip()
        body = self.basic(terminator, lines=lines) if quote == '"' else self.literal(terminator)
        self.emit(STRING, body)
        self.next(len(terminator))
        self.drop()
        return self.value

    def literal(self, terminator: str) -> str:
        begin = self.at
        while not self.follows(terminator):
            if self.peek() == "":
                raise _Bad("unclosed string")
            self.next()
        return self.text[begin : self.at]

    def basic(self, terminator: str, *, lines: bool) -> str:
        """A double-quoted string up to its terminator; `lines`: it may hold line breaks."""
        out: list[str] = []
        while not self.follows(terminator):
            c = self.peek()
            if c == "\\":
                self.next()
                out.append(self.escape())
            elif c != "" and ord(c) < 0x20 and c != "\t" and not (lines and c in "\r\n"):
                raise _Bad(f"unescaped control character U+{ord(c):04X}")
            else:
                out.append(self.next())
            if self.peek() == "":
                raise _Bad("unclosed string")
        return "".join(out)

    def escape(self) -> str:
        c = self.peek()
        if c != "" and c in "\r\n\t ":
            while self.peek() != "" and self.peek() in "\r\n\t ":
                self.next()
            return ""
        if c in ("u", "U"):
            self.next()
            digits = ""
            for _ in range(4 if c == "u" else 8):
                if self.peek() not in _HEX:
                    raise _Bad("unfinished unicode escape")
                digits += self.next()
            code = int(digits, 16)
            return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"
        if c not in _ESCAPES:
            raise _Bad("invalid escape sequence: \\" + (c or "\ufffd"))
        self.next()
        return _ESCAPES[c]

    # ---- numbers and times

    def number(self) -> _State:
        based = self.based_number()
        if based is not None:
            return based
        if self.peek() in ("+", "-"):
            self.next()
            for word, kind in (("inf", INF), ("nan", NAN)):
                if self.follows(word):
                    return self.take(kind, len(word), self.value)
        point = exponent = digit = False
        while (c := self.peek()) != "":
            if c == ".":
                if point:
                    raise _Bad("cannot have two dots in one float")
                self.next()
                if self.peek() not in _DIGITS:
                    raise _Bad("float cannot end with a dot")
                point = True
            elif c in "eE":
                exponent = True
                self.next()
                if self.peek() in ("+", "-"):
                    self.next()
            elif c in _DIGITS or c == "_":
                digit = digit or c != "_"
                self.next()
            else:
                break
            if point and not digit:
                raise _Bad("cannot start float with a dot")
        if not digit:
            raise _Bad("no digit in that number")
        self.emit(FLOAT if point or exponent else INTEGER)
        return self.value

    def based_number(self) -> _State | None:
        """A number such as 0x1f; None when it is no such number."""
        base = self.text[self.at + 1 : self.at + 2]
        if self.peek() != "0" or not (base.isascii() and base.isalpha()):
            return None
        allowed = _BASES.get(base)
        if allowed is None:
            raise _Bad(f"unknown number base: {base}. possible options are x (hex) o (octal) b (binary)")
        self.next(2)
        begin = self.at
        while self.peek() in allowed:
            self.next()
        if self.at == begin:
            raise _Bad("number needs at least one digit")
        self.emit(INTEGER)
        return self.value

    def moment_or_number(self) -> _State:
        ahead = self.text[self.at : self.at + 5]
        first = next((i for i, c in enumerate(ahead) if c not in _DIGITS), None)
        if len(ahead) >= 3 and first == 2 and ahead[2] == ":":
            self.next(3)
            self.minutes_and_seconds()
            self.emit(LOCAL_TIME)
            return self.value
        if len(ahead) >= 3 and first == 4 and ahead[4] == "-":
            self.next(5)
            return self.date()
        return self.number()

    def digits(self, what: str) -> None:
        for _ in range(2):
            c = self.next()
            if c not in _DIGITS:
                raise _Bad(f"invalid {what}: {c or chr(0xFFFD)}")

    def separator(self, wanted: str, text: str) -> None:
        c = self.next()
        if c != wanted:
            raise _Bad(f"{text}{c or chr(0xFFFD)}")

    def date(self) -> _State:
        self.digits("month digit in date")
        self.separator("-", "expected - to separate month of a date, not ")
        self.digits("day digit in date")
        self.emit(LOCAL_DATE)
        c = self.peek()
        if c == "":
            return self.value
        if c not in " T":
            raise _Bad(f"incorrect date/time separation character: {c}")
        ahead = self.text[self.at + 1 : self.at + 3]
        if c == " " and not (len(ahead) == 2 and set(ahead) <= _DIGITS):
            return self.value
        self.skip()
        self.digits("hour digit in time")
        self.separator(":", "time hour/minute separator should be :, not ")
        self.minutes_and_seconds()
        self.emit(LOCAL_TIME)
        c = self.peek()
        if c == "Z":
            return self.take(TIME_OFFSET, 1, self.value)
        if c in ("+", "-"):
            self.next()
            self.digits("hour digit in time offset")
            self.separator(":", "time offset hour/minute separator should be :, not ")
            self.digits("minute digit in time offset")
            self.emit(TIME_OFFSET)
        return self.value

    def minutes_and_seconds(self) -> None:
        self.digits("minute digit in time")
        self.separator(":", "time minute/second separator should be :, not ")
        self.digits("second digit in time")
        if self.peek() == ".":
            self.next()
            c = self.next()
            if c not in _DIGITS:
                raise _Bad(f"expected at least one digit in time's fraction, not {c or chr(0xFFFD)}")
            while self.peek() in _DIGITS:
                self.next()


_PUNCTUATION = frozenset("=[]{},}")
