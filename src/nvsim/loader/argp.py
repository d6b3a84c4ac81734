"""Command lines as glibc's argp reads them (``argp/argp-parse.c`` over ``posix/getopt.c``), with the errors that it prints.

What help and usage messages look like is `nvsim.loader.argp_help`. What the options mean is with the programs that have them.
"""

from __future__ import annotations

from collections.abc import Iterator

from nvsim.frozen import evolve, frozen

EX_USAGE = 64


@frozen
class Option:
    """An entry of a program's table of options (argp(3), ``struct argp_option``).

    `name` is the long name and `letter` the short one, "" where there is none; without both the entry is the header of its group, with
    `doc` as text. `arg` is what messages call the value, None for an option without one and "" where nobody told how it is called.
    `doc` None: its text is not known. A `documentation` entry is shown in the help and is no option.
    """

    name: str
    letter: str = ""
    arg: str | None = None
    doc: str | None = ""
    group: int = 0
    optional: bool = False
    hidden: bool = False
    documentation: bool = False

    @property
    def key(self) -> str:
        return self.name or self.letter


@frozen
class Program:
    """What argp knows of a program (or of one of its commands). `argv0` stands in front of getopt's errors, what follows its last slash is its name.

    `extra` ends the help (``ARGP_KEY_HELP_EXTRA``; None: it is not known), as `bug_address` does. `version` is all that ``--version`` prints. `total_order`: equal
    options are sorted by a rule (glibc 2.34), not left as they stand.
    """

    argv0: str
    options: tuple[Option, ...]
    doc: str = ""
    args_doc: str = ""
    extra: str | None = ""
    bug_address: str = ""
    version: str = ""
    error_status: int = EX_USAGE
    in_order: bool = False
    total_order: bool = True

    @property
    def name(self) -> str:
        return self.argv0.rpartition("/")[2]

    def all_options(self) -> tuple[Option, ...]:
        """The program's options and those that argp adds."""
        return (*self.options, *_ADDED)


_ADDED = (
    Option("help", "?", None, "Give this help list", -1),
    Option("usage", "", None, "Give a short usage message", -1),
    Option("program-name", "", "NAME", "Set the program name", -1, hidden=True),
    Option("HANG", "", "SECS", "Hang for SECS seconds (default 3600)", -1, optional=True, hidden=True),
    Option("version", "V", None, "Print program version", -1),
)


class Ended(Exception):  # noqa: N818 - a predicted end of the real program
    """argp ends the program with `status`, after it printed `stdout` and `stderr`. `asked`: the option that asked for it, "" after an error."""

    def __init__(self, stdout: str, stderr: str, status: int, asked: str = ""):
        super().__init__(stderr or stdout)
        self.stdout, self.stderr, self.status, self.asked = stdout, stderr, status, asked


class Reading:
    """One pass over a command line. `operands` and `name` (``--program-name`` changes it) fill up while `options` are taken."""

    def __init__(self, program: Program, argv: tuple[str, ...]):
        self.program = program
        self.name = program.name
        self.operands: list[str] = []
        self._todo = list(argv)
        self._known = [o for o in program.all_options() if o.key and not o.documentation]

    def options(self) -> Iterator[tuple[Option, str | None]]:
        """The options with their values, one by one as the program meets them: what is wrong behind one is not seen before it.

        With ``Program.in_order`` the first operand ends the options. Raises `Ended`, and `UnsupportedError` for a help text that is not known.
        """
        while self._todo:
            word = self._todo.pop(0)
            if word == "--":
                break
            if not word.startswith("-") or word == "-":
                self.operands.append(word)
                if self.program.in_order:
                    break
            elif word.startswith("--"):
                yield from self._met(*self._long(word[2:]))
            else:
                yield from self._short(word[1:])
        self.operands += self._todo

    def error(self, text: str) -> Ended:
        """The program ends with an error of its own (``argp_error``)."""
        return self._end(f"{self.name}: {text}\n", "see")

    def usage(self) -> Ended:
        """The program ends since its arguments are not as they must be (``argp_usage``)."""
        return self._end("", "wrong")

    def _end(self, text: str, kind: str) -> Ended:
        return Ended("", text + self._message(kind), self.program.error_status)

    def _message(self, kind: str) -> str:
        from nvsim.loader.argp_help import message  # few command lines are wrong or ask for help

        return message(evolve(self.program, argv0=self.name), kind)

    def _wrong(self, text: str) -> Ended:
        """getopt's complaint."""
        return self._end(f"{self.program.argv0}: {text}\n", "see")

    def _met(self, option: Option, value: str | None) -> Iterator[tuple[Option, str | None]]:
        if option not in _ADDED:
            yield option, value
        elif option.name in ("help", "usage"):
            raise Ended(self._message(option.name), "", 0, option.name)
        elif option.name == "version":
            raise Ended(self.program.version, "", 0, option.name)
        elif option.name == "program-name":
            self.name = (value or "").rpartition("/")[2]

    def _long(self, word: str) -> tuple[Option, str | None]:
        name, eq, value = word.partition("=")
        long = [o for o in self._known if o.name]
        found = [o for o in long if o.name == name] or [o for o in long if o.name.startswith(name)]
        if not found:
            raise self._wrong(f"unrecognized option '--{word}'")
        if len(found) > 1:
            many = "".join(f" '--{o.name}'" for o in found)
            raise self._wrong(f"option '--{word}' is ambiguous; possibilities:{many}")
        option = found[0]
        if eq and option.arg is None:
            raise self._wrong(f"option '--{option.name}' doesn't allow an argument")
        if option.arg is not None and not option.optional and not eq:
            if not self._todo:
                raise self._wrong(f"option '--{option.name}' requires an argument")
            return option, self._todo.pop(0)
        return option, value if eq else None

    def _short(self, letters: str) -> Iterator[tuple[Option, str | None]]:
        while letters:
            letter, letters = letters[0], letters[1:]
            option = next((o for o in self._known if o.letter == letter), None)
            if option is None:
                raise self._wrong(f"invalid option -- '{letter}'")
            if option.arg is None:
                yield from self._met(option, None)
                continue
            if not option.optional and not letters:
                if not self._todo:
                    raise self._wrong(f"option requires an argument -- '{letter}'")
                letters = self._todo.pop(0)
                yield from self._met(option, letters)
            else:
                yield from self._met(option, letters or None)
            return
