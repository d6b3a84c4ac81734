"""``nvidia-ctk config``: recorded runs of the real programs, and what holds for every release."""

from __future__ import annotations

from typing import Any

import pytest

from nvsim.errors import InputError
from nvsim.queries.tool import answer
from nvsim.toolkit.config import default_config, load_config
from nvsim.toolkit.releases import Release, release_of
from toolkitvectors import records

CASES = records("ctk-config")
RELEASES = (
    "1.14.0",
    "1.14.4",
    "1.14.6",
    "1.15.0",
    "1.16.0",
    "1.17.3",
    "1.17.9",
    "1.18.0",
    "1.18.2",
    "1.19.1",
    "1.20.0",
    "1.20.0+27",
)
CONFIG = "/etc/nvidia-container-runtime/config.toml"


def run(*args: str, toolkit: str = "1.20.0", **query: Any) -> dict[str, Any]:
    argv = ["nvidia-ctk", *args]
    return answer("tool", {"program": "nvidia-ctk", "argv": argv, "toolkit": toolkit, **query})


def written(result: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Mode and text of the files that a run made or changed."""
    effect = result["effect"]
    made = {e["path"]: (e["mode"], e["text"]) for e in effect["added"] if e["type"] == "file"}
    return made | {e["after"]["path"]: (e["after"]["mode"], e["after"]["content"]) for e in effect["changed"]}


@pytest.mark.parametrize("toolkit", sorted({c["input"]["toolkit"] for c in CASES}))
def test_recorded_runs_are_predicted(toolkit: str) -> None:
    asked = [c for c in CASES if c["input"]["toolkit"] == toolkit]
    assert len(asked) >= 3
    assert [c["id"] for c in asked if _told(answer("tool", c["input"])) != c["expect"]] == []


def _told(result: dict[str, Any]) -> dict[str, Any]:
    """A result in the form of the records: what is at the paths that were changed."""
    changes: dict[str, Any] = {}
    for e in result["effect"]["added"]:
        changes[e["path"]] = {k: e[k] for k in ("type", "mode", "text") if k in e}
    for e in result["effect"]["changed"]:
        after = e["after"]
        changes[after["path"]] = {"type": after["type"], "mode": after["mode"], "text": after.get("content")}
    return {k: result[k] for k in ("rc", "stdout", "stderr")} | {"changes": changes}


@pytest.mark.parametrize("toolkit", RELEASES)
def test_the_default_configuration_means_what_no_configuration_means(toolkit: str) -> None:
    text = run("config", "default", toolkit=toolkit)["stdout"]
    release = release_of(toolkit)
    assert text == run("config", toolkit=toolkit)["stdout"]
    assert _meant(text, release) == _meant(None, release)


def _meant(text: str | None, release: Release) -> Any:
    config = default_config(release) if text is None else load_config(text, release)
    return config.cli, config.ctk, config.runtime, config.hook, config.features


@pytest.mark.parametrize("toolkit", RELEASES)
def test_writing_in_place_again_changes_nothing(toolkit: str) -> None:
    args = ("config", "--in-place", "--set", "nvidia-container-runtime.mode=cdi", "--set", "disable-require")
    first = run(*args, toolkit=toolkit, config_toml=_MINE)
    ((path, (mode, text)),) = written(first).items()
    assert (path, mode, first["stdout"]) == (CONFIG, "0644", "")
    assert "# mine" not in text
    assert 'mode = "cdi"' in text
    again = run(*args, toolkit=toolkit, config_toml=text)
    assert (again["rc"], written(again)) == (0, {})


_MINE = "# mine\ndisable-require = false\n[nvidia-container-runtime]\nmode = 'auto'\n"  # 1.14.0 sets only what is there


def test_a_setting_that_is_not_known_is_an_error_and_nothing_is_written() -> None:
    result = run("config", "-i", "--set", "nvidia-container-cli.foo=1", config_toml="")
    assert result["rc"] == 1
    assert result["stderr"] == (
        'level=error msg="invalid --set option nvidia-container-cli.foo=1: invalid config option: undefined field: \\"foo\\""\n'
    )
    assert written(result) == {}


def test_items_of_a_list_are_separated_by_what_the_release_says() -> None:
    args = ("config", "--set", "nvidia-container-runtime.runtimes=a:b")
    assert 'runtimes = ["a:b"]' in run(*args, toolkit="1.15.0")["stdout"]
    assert 'runtimes = ["a", "b"]' in run(*args, toolkit="1.16.0")["stdout"]
    assert 'runtimes = ["a:b"]' in run(*args, "--set-list-separator=;", toolkit="1.17.0")["stdout"]


def test_a_value_like_the_example_is_a_comment_until_the_file_counts_as_told() -> None:
    text = '[nvidia-container-cli]\nroot = "/run/nvidia/driver"\n'
    assert '\n#root = "/run/nvidia/driver"\n' in run("config", toolkit="1.19.1", config_toml=text)["stdout"]
    assert '\nroot = "/run/nvidia/driver"\n' in run("config", toolkit="1.20.0", config_toml=text)["stdout"]


def test_the_file_keeps_its_mode_and_a_link_is_followed() -> None:
    tree = {
        CONFIG: {"type": "symlink", "target": "/srv/c.toml"},
        "/srv/c.toml": {"type": "file", "text": "", "mode": "0600"},
    }
    ((path, (mode, text)),) = written(run("config", "--in-place", host={"tree": tree})).items()
    assert (path, mode) == ("/srv/c.toml", "0600")
    assert text.startswith("#accept-nvidia-visible-devices-as-volume-mounts = false\n")


def test_the_configuration_is_looked_for_where_the_environment_says() -> None:
    files = {"/x/nvidia-container-runtime/config.toml": "a = 1\n", "/c.toml": "b = 1\n"}
    env = {"XDG_CONFIG_HOME": "/x", "NVIDIA_CTK_CONFIG_FILE_PATH": "/c.toml"}
    assert "a = 1\n" in run("config", toolkit="1.17.9", env=env, files=files)["stdout"]
    assert "b = 1\n" in run("config", toolkit="1.18.0", env=env, files=files)["stdout"]


def test_a_release_without_the_command_says_so() -> None:
    result = run("config", toolkit="1.13.5")
    assert (result["rc"], result["stdout"], result["stderr"]) == (3, "", "No help topic for 'config'\n")


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ({"argv": ["nvidia-ctk", "runtime", "configure"]}, "'runtime' is not modelled"),
        ({"argv": ["nvidia-ctk", "config", "--generate-shell-completion"]}, "shell completion is not modelled"),
        ({"argv": []}, "argv"),
        ({"argv": "nvidia-ctk config"}, "argv"),
        ({"argv": ["nvidia-ctk", "config"], "toolkit": "x"}, "toolkit version"),
        ({"argv": ["nvidia-ctk", "config"], "files": []}, "files must be an object"),
        ({"argv": ["nvidia-ctk", "config"], "config_toml": 1}, "config_toml must be a string"),
        (
            {
                "argv": ["nvidia-ctk", "config", "-c", "/bin/x"],
                "host": {"tree": {"/bin/x": {"type": "file", "elf": {}}}},
            },
            "text is not known",
        ),
    ],
)
def test_what_cannot_be_answered_is_one_clear_line(query: dict[str, Any], part: str) -> None:
    with pytest.raises(InputError) as caught:
        answer("tool", {"program": "nvidia-ctk", **query})
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)
