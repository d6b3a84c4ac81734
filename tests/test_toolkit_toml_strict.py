"""config.toml as the hook of releases before 1.14 reads it (BurntSushi/toml): every expected text was printed by that library."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsim.toolkit.toml_strict import read_strict
from nvsim.toolkit.toml_strict_text import StrictError


def values(text: str) -> dict[str, Any]:
    return read_strict(text, newest=True).values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = yes", 'toml: line 1 (last key "a"): expected value but found "yes" instead'),
        ("a =", 'toml: line 0 (last key "a"): unexpected EOF; expected value'),
        ("a =\n1\n", "toml: line 2 (last key \"a\"): expected value but found '\\n' instead"),
        ('b.c = "x\n', 'toml: line 1 (last key "b.c"): strings cannot contain newlines'),
        ('a = "\\q"\n', "toml: line 1 (last key \"a\"): invalid escape in string '\\q'"),
        ("a = 0x\n", "toml: line 1 (last key \"a\"): not a hexidecimal number: '0x\n'"),
        ("a = 1__0\n", 'toml: line 1 (last key "a"): Invalid integer "1__0": underscores must be surrounded by digits'),
        ("a = 007\n", 'toml: line 1 (last key "a"): Invalid integer "007": cannot have leading zeroes'),
        ("a = 1979-13-01\n", 'toml: line 1 (last key "a"): Invalid TOML Datetime: "1979-13-01".'),
        ("a = 1 2\n", "expected a top-level item to end with a newline, comment, or EOF, but got '2' instead"),
        ("a = [1 2]\n", "expected a comma (',') or array terminator (']'), but got '2'"),
        ("[t]\na = {b = 1,}\n", 'toml: line 2 (last key "t.a.b"): trailing comma not allowed in inline tables'),
        ("[t\n", "toml: line 2: expected '.' or ']' to end table name, but got '\\n' instead"),
        ("[]\n", "toml: line 1: unexpected end of table name (table names cannot be empty)"),
        ("= 1\n", "toml: line 1: unexpected '=': key name appears blank"),
        ("a = 1\na = 2\n", "toml: line 2 (last key \"a\"): Key 'a' has already been defined."),
        ("a = 1\n[a.b]\n", "toml: line 2: Key 'a' was already created as a hash."),
        ("a = 1 # \x01\n", "TOML files cannot contain control characters: '0x01'"),
        ("\ufeffa = 1\n", "toml: line 1: expected '.' or '=', but got '\\ufeff' instead"),
        ('"a b".c = tru\n', 'toml: line 1 (last key "\\"a b\\".c"): expected value but found "tru" instead'),
    ],
)
def test_what_is_refused_is_told_with_line_and_last_key(text: str, message: str) -> None:
    with pytest.raises(StrictError) as caught:
        values(text)
    assert str(caught.value).endswith(message)


def test_a_list_may_be_set_again() -> None:
    assert values("a = [1]\na = 'x'\n") == {"a": "x"}


def test_numbers_out_of_range_were_told_in_other_words_before() -> None:
    text = "a = 9223372036854775808\n"
    for newest, told in (
        (True, "9223372036854775808 is out of range for int64"),
        (False, "Integer '9223372036854775808' is out of the range of 64-bit signed integers."),
    ):
        with pytest.raises(StrictError) as caught:
            read_strict(text, newest=newest)
        assert str(caught.value) == f'toml: line 1 (last key "a"): {told}'


def test_line_ends_behind_an_escaped_one_are_lost() -> None:
    assert values('a = """x\\\n  y\nz"""') == {"a": "xyz"}


def test_the_line_of_every_key_is_kept() -> None:
    assert read_strict("a = 1\n[b]\nc.d = [\n1]\n", newest=True).lines == {"a": 1, "b": 2, "b.c.d": 3}


PLAIN = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text("ab'\"\\\n é", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab .", max_size=3), inner, max_size=3),
    max_leaves=8,
)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_toml(k)} = {_toml(v)}' for k, v in value.items())}}}"
    return str(value)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), PLAIN, max_size=4))
def test_plain_documents_are_read_as_toml_says(document: dict[str, Any]) -> None:
    text = "".join(f"{k} = {_toml(v)}\n" for k, v in document.items())
    assert tomllib.loads(text) == document
    assert values(text) == document


@given(
    st.text(st.sampled_from("abe[]{}\"'=,.#\n\r\t -+_0123\\u:TZ\ufeff\x00"), max_size=40),
    st.booleans(),
)
def test_any_text_is_read_or_refused_with_a_line(text: str, newest: bool) -> None:
    try:
        read_strict(text, newest=newest)
    except StrictError as e:
        assert str(e).startswith("toml: line ")
