"""argp's messages and errors: beside a program that the machine's C compiler makes, and by release of glibc."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from nvsim.errors import UnsupportedError
from nvsim.loader.argp import Ended, Option, Program, Reading

COMPILER = shutil.which("gcc") or shutil.which("cc")
# Reads its table from a file: doc, arguments, extra, address of bugs, then an option a line, fields between tabs.
SOURCE = r"""
#define _GNU_SOURCE
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
const char *argp_program_version = "a version";
const char *argp_program_bug_address;
static char *head[4];
static char *filter(int key, const char *text, void *input) {
  return key == ARGP_KEY_HELP_EXTRA ? (*head[2] ? strdup(head[2]) : NULL) : (char *)text;
}
static error_t parse(int key, char *arg, struct argp_state *state) {
  if (key == ARGP_KEY_ARG) printf("operand %s\n", arg);
  else if (key > 0 && key < 0x1000000) printf("option %d %s\n", key, arg ? arg : "(none)");
  else return ARGP_ERR_UNKNOWN;
  return 0;
}
int main(int argc, char **argv) {
  FILE *file = fopen(getenv("TABLE"), "r");
  char *line = NULL, *at;
  size_t size = 0;
  for (int i = 0; i < 4; i++) {
    getline(&line, &size, file);
    line[strcspn(line, "\n")] = 0;
    for (at = line; *at; at++) if (*at == '|') *at = '\n';
    head[i] = strdup(line);
  }
  struct argp_option options[64] = {0};
  for (int k = 0; getline(&line, &size, file) > 0; k++) {
    line[strcspn(line, "\n")] = 0;
    char *rest = strdup(line), *field[8];
    for (int i = 0; i < 8; i++) field[i] = strsep(&rest, "\t");
    int shown = atoi(field[7]);
    options[k].name = *field[0] ? field[0] : NULL;
    options[k].key = *field[1] ? *field[1] : options[k].name && !shown ? 0x80 + k : 0;
    options[k].arg = strcmp(field[2], "-") ? field[2] : NULL;
    options[k].doc = field[3];
    options[k].group = atoi(field[4]);
    options[k].flags = (atoi(field[5]) ? OPTION_ARG_OPTIONAL : 0) | (atoi(field[6]) ? OPTION_HIDDEN : 0)
                       | (shown ? OPTION_DOC | OPTION_NO_USAGE : 0);
  }
  if (*head[3]) argp_program_bug_address = head[3];
  struct argp argp = {options, parse, *head[1] ? head[1] : NULL, head[0], NULL, filter, NULL};
  argp_parse(&argp, argc, argv, 0, NULL, NULL);
  return 0;
}
"""
WORDS = [
    "a",
    "bb",
    "ccc",
    "option",
    "path",
    "library",
    "directory",
    "x",
    "system",
    "configure",
    "containers",
    "libraries",
    "1234567890123456789012345",
    "the-longest-word-of-all-the-words-that-are-in-this-list",
]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program whose options are read from the file that TABLE names."""
    if COMPILER is None:
        pytest.skip("no C compiler")
    directory = tmp_path_factory.mktemp("argp")
    (directory / "argp.c").write_text(SOURCE)
    made = subprocess.run([COMPILER, "-w", "-o", directory / "argp", directory / "argp.c"], check=False)
    if made.returncode:
        pytest.skip("the C compiler makes no program that uses argp")
    return directory / "argp"


def some_program(r: random.Random) -> Program:
    """A random table of options. Groups other than 0 are told, so that none follows from its neighbours."""

    def text(most: int) -> str:
        return " ".join(r.choice(WORDS) for _ in range(r.randint(1, most)))

    group = r.choice((-1, 1))
    options = [Option("", "", None, "Options:", -1)] if group == -1 else []
    used: set[str] = set()
    for _ in range(r.randint(1, 14)):
        name = "".join(r.choice("abcdz-") for _ in range(r.randint(0, 12))).strip("-")
        letter = r.choice(("", r.choice("abcdezABCZ")))
        if not name + letter or name in used or letter in used:
            continue
        used |= {name, letter} - {""}
        arg = r.choice((None, None, "ID", "SOME_LONG_ARGUMENT"))
        doc = text(16) if r.random() < 0.9 else "y" + " ab" * r.randint(12, 18)
        optional = bool(arg and name) and r.random() < 0.3
        options.append(Option(name, letter, arg, doc, r.choice((group, group, 1, 2, -2)), optional, r.random() < 0.1))
    if r.random() < 0.3:
        options += [Option("", "", None, "Commands:", 3), Option("info", "", None, text(9), 3, documentation=True)]
    doc = text(30) if r.random() < 0.9 else f"{text(8)}\n\n{text(40)}"
    bugs = r.choice(("", "http://bugs"))
    name = f"./argp-{'y' * r.randint(0, 40)}"
    return Program(
        name, tuple(options), doc, r.choice(("", "A [B...]")), r.choice(("", "See:\n<x>.\n")), bugs, "a version\n"
    )


def table(program: Program) -> str:
    head = (program.doc, program.args_doc, program.extra or "", program.bug_address)
    lines = ["\n".join(h.replace("\n", "|") for h in head)]
    for o in program.options:
        flags = (str(o.group), *(str(int(f)) for f in (o.optional, o.hidden, o.documentation)))
        lines.append("\t".join((o.name, o.letter, "-" if o.arg is None else o.arg, o.doc or "", *flags)))
    return "\n".join(lines) + "\n"


def ran(program: Program, argv: tuple[str, ...]) -> tuple[str, str, int]:
    """What the C program would print for a command line."""
    reading, out = Reading(program, argv), ""
    try:
        for option, value in reading.options():
            key = ord(option.letter) if option.letter else 0x80 + program.options.index(option)
            out += f"option {key} {'(none)' if value is None else value}\n"
    except Ended as end:
        return out + end.stdout, end.stderr, end.status
    return out + "".join(f"operand {o}\n" for o in reading.operands), "", 0


@pytest.mark.parametrize("seed", range(30))
def test_messages_and_errors_are_those_of_the_c_library(real: Path, seed: int, tmp_path: Path) -> None:
    r = random.Random(seed)
    program = some_program(r)
    (tmp_path / "table").write_text(table(program))
    words = ["--help", "--usage", "-?", "-V", "--bad=x", "-Q", "x", "--", "--usage=3", "--program-name=/a/foo", "--=x"]
    words += [f"--{o.name[:n]}" for o in program.options if o.name for n in (2, 20)]
    words += [f"-{o.letter}{more}" for o in program.options if o.letter for more in ("", "q")]
    lines = [("--help",), ("--usage",), *(tuple(r.choice(words) for _ in range(r.randint(1, 4))) for _ in range(3))]
    for argv in lines:
        done = subprocess.run(
            [program.argv0, *argv],
            executable=real,
            env={"TABLE": str(tmp_path / "table"), "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran(program, argv) == (done.stdout, done.stderr, done.returncode), argv


def test_up_to_2_33_options_of_one_letter_stay_as_the_program_lists_them() -> None:
    options = (Option("compute", "c", None, "x"), Option("compat32", "", None, "y"))
    new = ran(Program("p", options), ("--usage",))[0]
    old = ran(Program("p", options, total_order=False), ("--usage",))[0]
    assert new == "Usage: p [-c?V] [--compat32] [--compute] [--help] [--usage] [--version]\n"
    assert old == "Usage: p [-c?V] [--compute] [--compat32] [--help] [--usage] [--version]\n"


def test_a_text_that_is_not_known_is_not_made_up() -> None:
    options = (Option("mode", "", "", None),)
    reading = Reading(Program("p", options), ("--mode=x", "--help"))
    with pytest.raises(UnsupportedError, match="--mode is not known"):
        list(reading.options())
    with pytest.raises(UnsupportedError, match="value of an option"):
        list(Reading(Program("p", options), ("--usage",)).options())
    with pytest.raises(UnsupportedError, match="help of this p ends"):
        list(Reading(Program("p", (), extra=None), ("--help",)).options())
