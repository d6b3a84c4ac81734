"""Keys of config.toml that nobody reads: told, with what was perhaps meant."""

from __future__ import annotations

import json

import pytest

from commands import nvsim
from nvsim.host.datadir import data_dir
from nvsim.host.read import list_hosts, load_host
from nvsim.toolkit.config_unread import unread_keys
from nvsim.toolkit.releases import release_of


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("foo = 1", "foo is ignored: toolkit 1.17.8 has no such key"),
        ("[no.such]\na = 1", "no is ignored: toolkit 1.17.8 has no such key"),
        (
            "no-cgroups = true",
            "no-cgroups is ignored: toolkit 1.17.8 has no such key (did you mean nvidia-container-cli.no-cgroups?)",
        ),
        (
            "[nvidia-container-cli]\nno_cgroups = true",
            "nvidia-container-cli.no_cgroups is ignored: toolkit 1.17.8 has no such key (did you mean nvidia-container-cli.no-cgroups?)",
        ),
        (
            "[features]\ngds = true",
            "features.gds is ignored: releases from 1.15.0 until 1.17.0 know this key, 1.17.8 does not",
        ),
        (
            "[nvidia-container-runtime.modes.jit-cdi]\n",
            "nvidia-container-runtime.modes.jit-cdi is ignored: releases from 1.18.1 know this key, 1.17.8 does not",
        ),
    ],
)
def test_a_key_that_is_not_read_is_told(text: str, told: str) -> None:
    assert unread_keys(text, release_of("1.17.8")) == (f"config.toml: {told}",)


def test_keys_that_are_read_and_broken_files_are_not_told() -> None:
    release = release_of("1.17.8")
    assert unread_keys('disable-require = true\n[nvidia-container-runtime]\nmode = "cdi"', release) == ()
    assert unread_keys("disable-require = = 1", release) == ()
    for name in list_hosts(data_dir()):
        toolkit = load_host(name, data_dir()).toolkit
        assert unread_keys(toolkit.config or "", release_of(toolkit.version or "1.17.8")) == ()


def test_the_result_names_what_the_user_set_in_vain() -> None:
    run = ("run", "--host", "debian12-535", "--gpus", "all", "--format", "json", "example:debian12", "true")
    done = nvsim(*run[:-2], "--config-set", "no-cgroups=true", *run[-2:])
    (line,) = [a for a in json.loads(done.out)["assumptions"] if a.startswith("config.toml: ")]
    assert "did you mean nvidia-container-cli.no-cgroups?" in line
    assert not [a for a in json.loads(nvsim(*run).out)["assumptions"] if a.startswith("config.toml: ")]
