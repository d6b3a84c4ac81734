"""The command line of docker: its spellings of options, and options that change nothing here."""

from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands import nvsim
from nvsim.cli.docker_line import as_click_reads
from nvsim.cli.run import command as run
from nvsim.errors import InputError
from nvsim.scenario.option_values import AFTER, CHECKS
from nvsim.scenario.options_ignored import IGNORED

HOST = ("--host", "debian12-535")


def parsed(*words: str) -> dict:
    """The values that ``nvsim run`` gets."""
    return run.make_context("run", [*HOST, *words]).params


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (("-e=A=1", "image"), "env", ("A=1",)),
        (("-eA=1", "image"), "env", ("A=1",)),
        (("-e", "=A", "image"), "env", ("=A",)),
        (("-e=", "image"), "env", ("=",)),
        (("-w=/tmp", "image"), "workdir", "/tmp"),
        (("-u=1000", "image"), "user", "1000"),
        (("-v=/a:/b", "image"), "volume", ("/a:/b",)),
        (("-itv=/a:/b", "image"), "volume", ("/a:/b",)),
        (("-itv", "/a:/b", "image"), "volume", ("/a:/b",)),
        (("-e", "-w=/x", "image"), "env", ("-w=/x",)),
        (("--workdir=/a=b", "image"), "workdir", "/a=b"),
    ],
)
def test_the_equals_sign_behind_a_short_option_is_no_part_of_its_value(words: tuple, name: str, value: object) -> None:
    assert parsed(*words)[name] == value
    assert parsed(*words)["image"] == "image"


def test_what_follows_the_image_is_the_containers() -> None:
    assert parsed("image", "-e=A=1", "--privileged=false")["argv"] == ("-e=A=1", "--privileged=false")
    assert parsed("--", "image", "-w=/x")["argv"] == ("-w=/x",)


WORDS = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), max_size=5)


@given(st.lists(WORDS, max_size=4), st.booleans())
def test_words_that_are_no_short_options_or_flags_are_left_as_they_are(words: list[str], interspersed: bool) -> None:
    options = [click.Option(["-e", "--env"], multiple=True)]
    words = [f"--{word}" if word.startswith("-") else word for word in words]
    assert as_click_reads(words, options, interspersed=interspersed) == words


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (("--privileged",), True),
        (("--privileged=true",), True),
        (("--privileged=false",), False),
        (("--privileged=0",), False),
        (("--privileged", "--privileged=f"), False),
        (("--privileged=F", "-it", "--privileged"), True),
        ((), False),
    ],
)
def test_flags_take_a_value_behind_an_equals_sign_and_the_last_one_holds(words: tuple, value: bool) -> None:
    assert parsed(*words, "image")["privileged"] is value
    assert parsed(*(w.replace("privileged", "read-only") for w in words), "image")["read_only"] is value


@pytest.mark.parametrize(
    ("word", "shown", "value"),
    [
        ("--privileged=maybe", "--privileged", "maybe"),
        ("--read-only=", "--read-only", ""),
        ("-t=no", "-t, --tty", "no"),
    ],
)
def test_a_flags_value_that_is_neither_true_nor_false_is_refused_in_dockers_words(
    word: str, shown: str, value: str
) -> None:
    with pytest.raises(InputError) as told:
        parsed(word, "image")
    syntax = f'strconv.ParseBool: parsing "{value}": invalid syntax'
    assert str(told.value) == f'docker: invalid argument "{value}" for "{shown}" flag: {syntax}'
    assert nvsim("run", *HOST, word, "example:debian12").status == 2


_GOOD = {
    **{name: "5" for name, check in CHECKS.items() if check("5") is None},
    **{name: "5s" for name, check in CHECKS.items() if check("5s") is None and check("5") is not None},
    **{
        "--attach": "stdin",
        "--dns": "1.2.3.4",
        "--add-host": "a:1.2.3.4",
        "--device-cgroup-rule": "c 1:3 r",
        "--label": "a",
    },
    **{name: "" for name, check in AFTER.items() if name not in CHECKS and check("") is None},
    "--storage-opt": "size=1G",
}


def test_every_option_of_docker_run_without_effect_is_accepted_and_its_value_consumed() -> None:
    plain = parsed("-e", "A=1", "image", "true")
    for names, flag in IGNORED.items():
        for name in names:
            if flag:
                spellings = [[name], [f"{name}=false"]]
            else:
                good = _GOOD.get(names[-1], "a=b")  # docker looks at some values
                spellings = [[name, _GOOD.get(names[-1], "--rm")], [f"{name}={good}"]]
            for words in spellings:
                assert parsed(*words, "-e", "A=1", *words, "image", "true") == plain


def test_no_option_is_both_ignored_and_understood() -> None:
    understood = {name for o in run.params if isinstance(o, click.Option) for name in o.opts}
    assert not understood & {name for names in IGNORED for name in names}


@pytest.mark.parametrize(
    ("words", "told"),
    [(("--name",), "--name"), (("-w",), "'w' in -w"), (("-ip",), "'p' in -p"), (("-e", "A=1", "-e"), "'e' in -e")],
)
def test_a_value_that_is_missing_is_told_in_dockers_words(words: tuple, told: str) -> None:
    with pytest.raises(InputError, match=f"^docker: flag needs an argument: {told}"):
        parsed(*words)


def test_h_with_a_value_is_the_host_name() -> None:
    plain = nvsim("run", *HOST, "--gpus", "all", "example:debian12")
    assert nvsim("run", *HOST, "-h", "box", "--gpus", "all", "example:debian12") == plain
    helped = nvsim("run", "--help").out
    assert nvsim("run", "-h").out == helped
    assert "-h, --help" not in helped and "--help" in helped
