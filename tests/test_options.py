"""The options of a scenario: one table for the command and for queries, Docker's own words for what Docker refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsim.cli.run import command as run_command
from nvsim.errors import InputError
from nvsim.scenario import options_docker as docker
from nvsim.scenario.configuration import config_text, set_toml
from nvsim.scenario.model import Settings, Volume
from nvsim.scenario.options import OPTIONS, settings_from
from nvsim.scenario.read import make_scenario
from nvsim.scenario.sources import Sources

DAEMON = "docker: Error response from daemon: "


def test_the_command_has_every_option_of_the_table() -> None:
    flags = {flag for p in run_command.params for flag in p.opts}
    assert {flag for option in OPTIONS for flag in option.flags} <= flags


def test_nothing_given_is_the_default() -> None:
    assert settings_from({}) == Settings()
    assert settings_from({o.name: None for o in OPTIONS}) == Settings()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"env": ["=x"]}, 'docker: invalid argument "=x" for "-e, --env" flag: invalid environment variable: =x'),
        ({"gpus": "some"}, 'docker: invalid argument "some" for "--gpus" flag: invalid count (some): value must be either "all" or an integer: invalid syntax'),
        ({"gpus": "count=1,count=2"}, 'docker: invalid argument "count=1,count=2" for "--gpus" flag: gpu request key \'count\' can be specified only once'),
        ({"gpus": "size=1"}, "docker: invalid argument \"size=1\" for \"--gpus\" flag: unexpected key 'size' in 'size=1'"),
        ({"volume": ["/a:ro"]}, f"{DAEMON}invalid volume specification: '/a:ro'"),
        ({"volume": ["/a:/b:zz"]}, f"{DAEMON}invalid mode: zz"),
        ({"volume": ["/a:/b:/c:d"]}, f"{DAEMON}invalid volume specification: '/a:/b:/c:d'"),
        ({"volume": ["/a:b"]}, f"{DAEMON}invalid volume specification: '/a:b': invalid mount config for type \"bind\": invalid mount path: 'b' mount path must be absolute"),
        ({"volume": ["/a:/"]}, f"{DAEMON}invalid volume specification: '/a:/': invalid mount config for type \"bind\": invalid specification: destination can't be '/'"),
        ({"mount": ["type=bind,src=/x"]}, 'docker: invalid argument "type=bind,src=/x" for "--mount" flag: target is required'),
        ({"mount": ["dst=/x,foo=1"]}, "docker: invalid argument \"dst=/x,foo=1\" for \"--mount\" flag: unexpected key 'foo' in 'foo=1'"),
        ({"mount": ["type=tmpfs,dst=/x,bind-propagation=shared"]}, 'docker: invalid argument "type=tmpfs,dst=/x,bind-propagation=shared" for "--mount" flag: cannot mix \'bind-*\' options with mount type \'tmpfs\''),
        ({"volume": ["/a:/x"], "tmpfs": ["/x"]}, f"{DAEMON}Duplicate mount point: /x"),
        ({"cap_add": ["MAGIC"]}, f'{DAEMON}invalid CapAdd: unknown capability: "CAP_MAGIC"'),
        ({"cap_drop": ["MAGIC"]}, f'{DAEMON}invalid CapDrop: unknown capability: "CAP_MAGIC"'),
        ({"workdir": "x"}, f"{DAEMON}the working directory 'x' is invalid, it needs to be an absolute path"),
        ({"security_opt": ["magic=1"]}, f'{DAEMON}invalid --security-opt 2: "magic=1"'),
        ({"platform": "magic"}, f'{DAEMON}"magic": unknown operating system or architecture: invalid argument'),
        ({"device": ["/dev/x:/dev/y:q"]}, "docker: bad mode specified: q"),
        ({"device": ["dev"]}, "docker: dev is not an absolute path"),
    ],
)  # fmt: skip
def test_docker_refuses_in_its_own_words(values: dict, words: str) -> None:
    with pytest.raises(InputError) as told:
        settings_from(values)
    assert str(told.value) == words


def test_an_env_file_is_read_as_docker_reads_it() -> None:
    text = "\ufeff# comment\n\n  A=1\nB=two words # not a comment\nC\nD=\n"
    assert docker.env_file(text, "f") == ("A=1", "B=two words # not a comment", "D=")
    assert docker.env_file(text, "f", {"C": "here"}) == ("A=1", "B=two words # not a comment", "C=here", "D=")
    with pytest.raises(InputError, match=r"invalid env file \(f\): variable 'A B' contains whitespaces"):
        docker.env_file("A B=1", "f")
    with pytest.raises(InputError, match="no variable name on line '=1'"):
        docker.env_file("=1", "f")


def test_variables_of_files_come_before_those_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("A=file\nB=file\n")
    settings = settings_from({"env_file": [str(tmp_path / "env")], "env": ["A=line"]})
    assert settings.env == ("A=file", "B=file", "A=line")


@pytest.mark.parametrize(
    ("text", "volume"),
    [
        ("/a:/b", Volume("/a", "/b")),
        ("/a//x/:/b/:ro", Volume("/a/x", "/b", True)),
        ("data:/b", Volume("data", "/b", False, "volume")),
        ("/b", Volume("", "/b", False, "volume")),
        ("/a:/b:ro,z", Volume("/a", "/b", True)),
    ],
)
def test_volumes(text: str, volume: Volume) -> None:
    assert docker.volume(text) == volume


def test_mounts_and_tmpfs() -> None:
    assert docker.mount("type=bind,source=/a,target=/b,readonly") == Volume("/a", "/b", True)
    assert docker.mount("type=tmpfs,dst=/b") == Volume("", "/b", False, "tmpfs")
    assert docker.mount("src=data,dst=/b,ro=false") == Volume("data", "/b", False, "volume")
    assert docker.tmpfs("/run:ro,size=1m") == Volume("", "/run", True, "tmpfs")


@pytest.mark.parametrize(
    ("text", "platform"),
    [("linux/amd64", "linux/amd64"), ("arm64", "linux/arm64"), ("linux/aarch64", "linux/arm64"), ("linux/arm/v7", "linux/arm/v7")],
)  # fmt: skip
def test_platforms(text: str, platform: str) -> None:
    assert docker.platform(text) == platform


def test_single_keys_of_the_configuration_are_set_on_top_of_the_hosts() -> None:
    sources = Sources()
    options = {"config_set": ["nvidia-container-cli.no-cgroups=true", "nvidia-container-runtime.mode=legacy"]}
    scenario = make_scenario(sources.host("debian12-535"), sources.image("example:debian12"), options)
    text = config_text(scenario) or ""
    assert "no-cgroups" in text and 'mode" = "legacy"' in text
    assert config_text(scenario.with_settings(config="")).count("\n") == 4


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@given(st.dictionaries(st.sampled_from([o.name for o in OPTIONS]), st.one_of(TEXT, st.lists(TEXT, max_size=3), st.booleans(), st.none(), st.integers(-2, 3)), max_size=4))  # fmt: skip
def test_any_values_give_settings_or_an_input_error(values: dict) -> None:
    def no_file(path: str) -> str:
        raise InputError("cannot be read", source=path)

    try:
        settings = settings_from(values, read=no_file)
    except InputError as e:
        assert str(e)
    else:
        assert hash(settings) == hash(settings_from(values, read=no_file))


@given(st.lists(st.from_regex(r"[a-z][a-z-]{0,5}", fullmatch=True), min_size=1, max_size=3, unique=True), st.one_of(st.booleans(), TEXT, st.integers(0, 9)))  # fmt: skip
def test_a_key_that_was_set_can_be_read_back(path: list[str], value: object) -> None:
    import tomllib

    found = tomllib.loads(set_toml('[a]\nb = "c"\n', ".".join(["x", *path]), value))
    assert found["a"] == {"b": "c"}
    at = found["x"]
    for name in path:
        at = at[name]
    assert at == value
