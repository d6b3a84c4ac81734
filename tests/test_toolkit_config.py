"""config.toml as the toolkit reads it: keys, spelling, types, defaults, and where it lies, release by release."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsim.queries.toolkit import answer
from nvsim.toolkit.config import (
    OVERRIDE,
    ConfigCrash,
    ConfigError,
    HostDefaults,
    config_json,
    config_path,
    default_config,
    host_defaults,
    load_config,
    normalised_ldconfig,
)
from nvsim.toolkit.config_hook import load_hook_config
from nvsim.toolkit.config_schema import ToolkitConfig
from nvsim.toolkit.releases import release_of
from nvsim.toolkit.toml_reader import read_toml
from nvsim.toolkit.toml_tree import Table, TomlError

NEWEST = release_of("1.20.0")
RELEASES = [release_of(v) for v in ("1.10.0", "1.12.1", "1.13.5", "1.14.6", "1.16.2", "1.17.9", "1.18.2", "1.20.0")]


def config(text: str, release: str = "1.20.0") -> ToolkitConfig:
    return load_config(text, release_of(release))


def refusal(text: str, release: str = "1.20.0") -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        config(text, release)
    return caught.value


# ---- keys and values


def test_a_missing_and_an_empty_file_mean_the_defaults() -> None:
    assert load_config(None, NEWEST) == default_config(NEWEST) == config("")


def test_unknown_keys_and_sections_are_passed_over() -> None:
    assert config('colour = "red"\n[nvidia-container-cuda]\nmode = "cdi"\n') == default_config(NEWEST)


def test_a_misspelled_section_changes_nothing_and_its_keys_are_not_given() -> None:
    assert config('[nvidia_container_runtime]\nmode = "cdi"\n').given == frozenset()


def test_a_key_may_be_written_in_capitals_but_not_in_mixed_case() -> None:
    assert config('[nvidia-container-runtime]\nMODE = "cdi"\n').runtime.mode == "cdi"
    assert config('[nvidia-container-runtime]\nMode = "cdi"\n').runtime.mode == "auto"


def test_windows_files_with_a_byte_order_mark_are_read() -> None:
    assert config('\ufeff[nvidia-container-runtime]\r\nmode = "cdi"\r\n').runtime.mode == "cdi"


def test_a_list_replaces_the_default_as_a_whole_even_when_it_is_empty() -> None:
    assert config("[nvidia-container-runtime]\nruntimes = []\n").runtime.runtimes == ()


def test_features_are_unset_unless_the_file_names_them() -> None:
    assert default_config(NEWEST).features.allow_ldconfig_from_container is None
    text = "[features]\nallow-ldconfig-from-container = false\n"
    assert config(text).features.allow_ldconfig_from_container is False


def test_a_key_counts_only_in_releases_that_have_it() -> None:
    text = "[features]\ngds = true\n"
    assert config(text, "1.16.2").features.gds is True
    assert config(text, "1.17.0").features.gds is None


# ---- errors


def test_broken_toml_is_refused_with_line_and_column() -> None:
    assert refusal("# first\nmode = cdi\n").text == (
        "failed to load specified config file: (2, 8): no value can start with c"
    )


def test_a_key_that_is_given_twice_is_refused() -> None:
    assert "(2, 1): The following key was defined twice: disable-require" in refusal("disable-require=true\n" * 2).text


def test_a_value_of_the_wrong_type_is_refused_where_the_key_stands() -> None:
    error = refusal('disable-require = "yes"\n')
    assert (error.stage, error.text) == (
        "unmarshal",
        "failed to unmarshal config: (1, 1): Can't convert yes(string) to bool",
    )
    assert "(2, 1): Can't convert 1(int64) to string" in refusal("[nvidia-container-runtime]\nmode = 1\n").text


def test_a_table_where_a_value_stands_is_refused_with_the_value_as_go_prints_it() -> None:
    """As 1.20.0 says it; the value stands there in Go syntax."""
    for value, shown in (
        ("1.5", "1.5"),
        ('"a"', '"a"'),
        ("18446744073709551615", "0xffffffffffffffff"),
        ("[]", "[]interface {}(nil)"),
        ('["a", 1]', '[]interface {}{"a", 1}'),
        ("1979-05-27 ", "toml.LocalDate{Year:1979, Month:5, Day:27}"),
        ("07:32:00.5", "toml.LocalTime{Hour:7, Minute:32, Second:0, Nanosecond:500000000}"),
        ("1979-05-27T07:32:00Z", "time.Time{wall:0x0, ext:62432235120, loc:(*time.Location)(nil)}"),
    ):
        place = "position:toml.Position{Line:1, Col:1}"
        flags = 'comment:"", commented:false, multiline:false, literal:false'
        assert refusal(f"nvidia-ctk = {value}\n[nvidia-ctk]\n").text == (
            "failed to load specified config file: (2, 2): unknown type for path nvidia-ctk (nvidia-ctk): "
            f"*toml.tomlValue (&toml.tomlValue{{value:{shown}, {flags}, {place}}})"
        )


def test_a_value_of_the_wrong_type_is_shown_as_go_prints_it() -> None:
    for value, shown in (
        ("1e1_0", "1e+10(float64)"),
        ("123456.5", "123456.5(float64)"),
        ("1234567.5", "1.2345675e+06(float64)"),
        ("1e-5", "1e-05(float64)"),
        ("-0.0", "-0(float64)"),
        ("1979-05-27T07:32:00.500Z", "1979-05-27 07:32:00.5 +0000 UTC(time.Time)"),
        ("1979-05-27T07:32:00-07:00", "1979-05-27 07:32:00 -0700 -0700(time.Time)"),
        ("1979-05-27T07:32:00-00:00", "1979-05-27 07:32:00 +0000 UTC(time.Time)"),
        ("07:32:00.5", "07:32:00.500000000(toml.LocalTime)"),
    ):
        text = refusal(f"swarm-resource = {value}\n").text
        assert text == f"failed to unmarshal config: (1, 1): Can't convert {shown} to string"


def test_a_table_where_a_list_is_wanted_is_shown_as_toml() -> None:
    text = refusal("[[nvidia-container-runtime.runtimes]]\nb = 1e3\n'a b' = \"\\u00e9\\t\"\nc = [{x = 1}, 2]\n").text
    assert 'Can\'t convert ["a b" = "\u00e9\\t"\nb = 1000.0\nc = [{ x = 1 }, 2]\n]([]*toml.Tree) to trees' in text


def test_numbers_and_dates_that_do_not_exist_are_refused() -> None:
    for value, what in (
        ("1e400", 'strconv.ParseFloat: parsing "1e400": value out of range'),
        ("1979-13-01", 'parsing time "1979-13-01": month out of range'),
        ("1900-02-29", 'parsing time "1900-02-29": day out of range'),
        ("24:00:00", 'parsing time "24:00:00": hour out of range'),
        ("1979-05-27T07:60:00Z", 'parsing time "1979-05-27T07:60:00Z": minute out of range'),
        ("1979-05-27T07:00:00+25:00", 'parsing time "1979-05-27T07:00:00+25:00": time zone offset hour out of range'),
        (
            "1979-05-27T24:00:00",
            'parsing time "1979-05-27T24:00:00" as "2006-01-02t15:04:05.999999999": cannot parse "T24:00:00" as "t"',
        ),
    ):
        assert refusal(f"a = {value}\n").text == f"failed to load specified config file: (1, 5): {what}"


def test_an_empty_key_at_the_top_crashes_1_20_which_notes_the_keys() -> None:
    with pytest.raises(ConfigCrash, match="fatal error: stack overflow"):
        config('"" = 1\n', "1.20.0")
    assert config('"" = 1\n', "1.19.1") == default_config(release_of("1.19.1"))
    assert config('a."" = 1\n', "1.20.0") == default_config(NEWEST)


def test_releases_before_1_14_read_only_what_the_runtime_needs() -> None:
    assert config('supported-driver-capabilities = 1\n[features]\ngds = "x"\n', "1.13.5") == default_config(
        release_of("1.13.5")
    )


def test_1_13_crashes_on_a_wrong_type_of_a_key_that_it_reads_by_itself() -> None:
    error = refusal("accept-nvidia-visible-devices-envvar-when-unprivileged = 1\n", "1.13.5")
    assert error.panic
    assert error.text == "interface conversion: interface {} is int64, not bool"


def test_the_old_hook_has_a_reader_of_its_own_with_other_words() -> None:
    with pytest.raises(ConfigError, match=r"incompatible types: TOML key .* has type string"):
        load_hook_config('[nvidia-container-cli]\nno-cgroups = "yes"\n', release_of("1.12.1"))


@pytest.mark.parametrize(
    ("release", "hook", "runtime"),
    [
        ("1.13.5", "couldn't open default configuration file: ", "failed to read config values: "),
        ("1.18.2", "couldn't open required configuration file: ", ""),
        ("1.20.0", "couldn't open required configuration file: failed to load specified config file: ", None),
    ],
)
def test_a_directory_where_config_toml_is_looked_for_is_an_error(release: str, hook: str, runtime: str | None) -> None:
    """What an engine leaves behind that was told to mount a file which does not exist."""
    path = "/etc/nvidia-container-runtime/config.toml"
    query = {"toolkit": release, "host": {"files": {f"{path}/x": ""}}, "spec": {"ociVersion": "1.0.2"}}
    told = answer("hook", query)
    step = "" if release == "1.13.5" else "error getting hook config: failed to load config: "
    assert (told["exit"], told["stderr"]) == (1, f"{step}{hook}read {path}: is a directory\n")
    prefix = "failed to load specified config file: " if runtime is None else runtime
    text = f"error loading config: {prefix}read {path}: is a directory"
    assert answer("runtime", query)["stderr"] == f'level=error msg="{text}"\n'


def test_ldconfig_must_be_of_the_host_unless_a_feature_allows_it() -> None:
    text = '[nvidia-container-cli]\nldconfig = "/sbin/ldconfig"\n'
    assert refusal(text).stage == "invalid"
    assert "not host-relative" in refusal(text).text
    assert config(f"{text}[features]\nallow-ldconfig-from-container = true\n").cli.ldconfig == "/sbin/ldconfig"
    assert config(text, "1.16.2").cli.ldconfig == "/sbin/ldconfig"


# ---- defaults of the host, and the place of the file


@pytest.mark.parametrize(
    ("value", "real", "expected"),
    [
        ("@/sbin/ldconfig", True, "@/sbin/ldconfig.real"),
        ("@/sbin/ldconfig", False, "@/sbin/ldconfig"),
        ("@/sbin/ldconfig.real", False, "@/sbin/ldconfig"),
        ("/sbin/ldconfig", True, "/sbin/ldconfig"),
    ],
)
def test_ldconfig_is_the_real_program_where_the_host_has_a_wrapper(value: str, real: bool, expected: str) -> None:
    assert normalised_ldconfig(value, lambda path: real and path == "/sbin/ldconfig.real") == expected


def test_the_legacy_engine_runs_as_another_user_on_suse() -> None:
    suse = host_defaults(lambda _: False, 'ID="opensuse-leap"\nID_LIKE="suse opensuse"\n')
    assert load_config(None, NEWEST, suse).cli.user == "root:video"
    assert load_config(None, NEWEST, host_defaults(lambda _: False, 'ID="suse"\n')).cli.user == ""
    assert load_config('[nvidia-container-cli]\nuser = "me"\n', NEWEST, suse).cli.user == "me"


@pytest.mark.parametrize("end", ["\x0b", "\x1c", "\u2028"])
def test_a_line_of_os_release_ends_at_a_newline_alone(end: str) -> None:
    assert host_defaults(lambda _: False, f"X=1{end}ID_LIKE=suse\n").user == ""
    assert host_defaults(lambda _: False, "X=1\r\nID_LIKE=suse\r\n").user == "root:video"


def test_the_file_is_looked_for_below_xdg_config_home_and_since_1_17_where_a_variable_says() -> None:
    assert config_path({}, NEWEST) == "/etc/nvidia-container-runtime/config.toml"
    assert config_path({"XDG_CONFIG_HOME": "/x"}, NEWEST) == "/x/nvidia-container-runtime/config.toml"
    both = {"XDG_CONFIG_HOME": "/x", OVERRIDE: "/c.toml"}
    assert config_path(both, NEWEST) == "/c.toml"
    assert config_path(both, release_of("1.10.0")) == "/x/nvidia-container-runtime/config.toml"


# ---- laws

words = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=("Cs", "Cc")), max_size=12)


def _toml(data: dict[str, Any], path: str = "") -> str:
    """A document for nested dicts of strings, booleans, numbers and lists of strings; JSON's scalars are TOML's."""
    own = [f"{k} = {json.dumps(v, ensure_ascii=False)}\n" for k, v in data.items() if not isinstance(v, dict)]
    tables = [f"[{path}{k}]\n{_toml(v, f'{path}{k}.')}" for k, v in data.items() if isinstance(v, dict)]
    return "".join(own + tables)


def _like(value: Any) -> st.SearchStrategy[Any]:
    """Values of the shape of a configuration value."""
    if isinstance(value, dict):
        return st.fixed_dictionaries({k: _like(v) for k, v in value.items()})
    if isinstance(value, bool):
        return st.booleans()
    return st.lists(words, max_size=3) if isinstance(value, list) else words


@given(st.data())
def test_a_configuration_written_to_a_file_is_read_back(data: st.DataObject) -> None:
    release = data.draw(st.sampled_from([r for r in RELEASES if r.runtime_config == "whole"]))
    values = data.draw(_like(config_json(default_config(release), release.version)))
    values["nvidia-container-cli"]["ldconfig"] = "@/sbin/ldconfig"
    read = load_config(_toml(values), release)
    assert config_json(read, release.version) == values
    assert {key for key, value in values.items() if not isinstance(value, dict)} <= read.given


keys = st.text("abcXYZ019_-", min_size=1, max_size=6)
scalars = words | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.lists(words, max_size=3)
documents = st.recursive(
    st.dictionaries(keys, scalars, max_size=3),
    lambda inner: st.dictionaries(keys, scalars | inner, max_size=3),
    max_leaves=8,
)


def _plain(value: Any) -> Any:
    if isinstance(value, Table):
        return {name: _plain(value.get(name)) for name in value.values}
    return [_plain(v) for v in value] if isinstance(value, list) else value


@given(documents)
def test_the_toolkits_dialect_agrees_with_toml_on_plain_documents(document: dict[str, Any]) -> None:
    text = _toml(document)
    assert tomllib.loads(text) == document
    assert _plain(read_toml(text)) == document


@given(st.text(st.sampled_from("abe[]{}\"'=,.#\n\r\t -+_0123\\u:TZ\ufeff"), max_size=40))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    try:
        read_toml(text)
    except TomlError as e:
        assert str(e)


@given(
    st.lists(
        st.sampled_from(['mode = "cdi"', "mode = 1", "[nvidia-container-runtime]", "[features]", "gds = {}", "[[a]]"])
    )
)
def test_every_release_takes_or_refuses_a_file_whatever_it_is(lines: list[str]) -> None:
    for release in RELEASES:
        try:
            found = load_config("\n".join(lines), release, HostDefaults())
        except ConfigError as e:
            assert e.text
        else:
            assert found.runtime.mode in ("auto", "cdi")
