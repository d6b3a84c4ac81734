"""JSON as Go's programs read it: what they accept, and what they say of the rest."""

from __future__ import annotations

import pytest

from nvsim.toolkit.go_json import (
    BOOL,
    INT,
    STRING,
    JsonError,
    ListOf,
    MapOf,
    Raw,
    RawValue,
    Struct,
    decode,
    decode_value,
)

INNER = Struct("pkg.Inner", {"list": ListOf(STRING), "map": MapOf(STRING), "raw": Raw()})
OUTER = Struct("pkg.Outer", {"name": STRING, "count": INT, "on": BOOL, "inner": INNER, "all": ListOf(INNER)})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "EOF"),
        (" \n", "EOF"),
        ("x", "invalid character 'x' looking for beginning of value"),
        ("{,}", "invalid character ',' looking for beginning of object key string"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ('{"a": 1 "b"}', "invalid character '\"' after object key:value pair"),
        ("[1 2]", "invalid character '2' after array element"),
        ("[01]", "invalid character '1' after array element"),
        ("[-]", "invalid character ']' in numeric literal"),
        ("[1.]", "invalid character ']' after decimal point in numeric literal"),
        ("[1e+]", "invalid character ']' in exponent of numeric literal"),
        ("[nil]", "invalid character 'i' in literal null (expecting 'u')"),
        ('["\\x"]', "invalid character 'x' in string escape code"),
        ('["\\u12g4"]', "invalid character 'g' in \\u hexadecimal character escape"),
        ('["a\tb"]', "invalid character '\\t' in string literal"),
        ("[NaN]", "invalid character 'N' looking for beginning of value"),
        ("é", "invalid character 'Ã' looking for beginning of value"),
        ('{"a": [1, {"b": "c"}', "unexpected EOF"),
        ("1.", "unexpected EOF"),
        ('"abc', "unexpected EOF"),
    ],
)
def test_a_syntax_error_is_worded_as_gos_scanner_words_it(text: str, message: str) -> None:
    with pytest.raises(JsonError) as caught:
        decode(text, OUTER)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "cannot unmarshal array into Go value of type pkg.Outer"),
        ('{"name": 1}', "cannot unmarshal number into Go struct field Outer.name of type string"),
        ('{"count": 1.5}', "cannot unmarshal number 1.5 into Go struct field Outer.count of type int"),
        ('{"count": 9223372036854775808}', "number 9223372036854775808 into Go struct field Outer.count of type int"),
        ('{"on": "true"}', "cannot unmarshal string into Go struct field Outer.on of type bool"),
        ('{"inner": {"list": [true]}}', "cannot unmarshal bool into Go struct field Inner.inner.list of type string"),
        ('{"inner": {"map": []}}', "unmarshal array into Go struct field Inner.inner.map of type map[string]string"),
        ('{"all": {}}', "cannot unmarshal object into Go struct field Outer.all of type []pkg.Inner"),
        ('{"all": [{"list": 1}], "name": 2}', "number into Go struct field Inner.all.list of type []string"),
    ],
)
def test_the_first_value_of_a_wrong_type_is_named_with_its_place(text: str, message: str) -> None:
    with pytest.raises(JsonError) as caught:
        decode(text, OUTER)
    assert str(caught.value).endswith(message)


def test_keys_match_in_any_letter_case_and_unknown_ones_are_passed_over() -> None:
    assert decode('{"NAME": "a", "other": [1], "Count": 3}', OUTER) == {"name": "a", "count": 3}
    with pytest.raises(JsonError, match='json: unknown field "other"'):
        decode('{"other": 1}', OUTER, strict=True)


def test_null_unsets_and_what_follows_the_first_value_is_ignored() -> None:
    assert decode('{"name": null, "inner": null} trailing', OUTER) == {}
    assert decode("null", OUTER) is None


def test_a_second_object_of_a_name_is_merged_into_the_first() -> None:
    text = '{"inner": {"list": ["a"]}, "inner": {"map": {"k": "v"}}}'
    assert decode(text, OUTER) == {"inner": {"list": ["a"], "map": {"k": "v"}}}


def test_half_a_surrogate_pair_becomes_the_replacement_character() -> None:
    assert decode(r'{"name": "\ud800\u0041\udc00 \ud83d\ude00 \\ud800"}', OUTER) == {
        "name": "\ufffdA\ufffd \U0001f600 \\ud800"
    }


def test_raw_values_are_decoded_later() -> None:
    raw = decode('{"inner": {"raw": ["x"]}}', OUTER)["inner"]["raw"]
    assert isinstance(raw, RawValue)
    assert decode_value(raw, ListOf(STRING)) == ["x"]
    with pytest.raises(JsonError, match=r"cannot unmarshal array into Go value of type pkg\.Inner"):
        decode_value(raw, INNER)


def test_nesting_without_end_is_one_of_gos_errors() -> None:
    with pytest.raises(JsonError):
        decode("[" * 100_000, OUTER)
