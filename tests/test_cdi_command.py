"""``nvsim cdi``: generate, validate and inject, as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from commands import nvsim

SPEC = """cdiVersion: 0.5.0
kind: acme.com/toy
devices:
- name: one
  containerEdits:
    env: [TOY=1]
    deviceNodes:
    - path: /dev/toy
      type: c
      major: 10
      minor: 200
containerEdits:
  mounts:
  - hostPath: /usr/lib/libtoy.so
    containerPath: /usr/lib/libtoy.so
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "toy.yaml"
    path.write_text(SPEC)
    return path


def test_generate_validate_inject_in_a_row(tmp_path: Path) -> None:
    file = tmp_path / "nvidia.yaml"
    made = nvsim("cdi", "generate", "--host", "ubuntu2204-535", "--output", str(file), "--device-name-strategy=uuid")
    assert made.status == 0 and made.out == "" and file.read_text().startswith("---\ncdiVersion: ")
    valid = nvsim("cdi", "validate", str(file))
    assert valid.status == 0 and "GPU-00000000-0000-0000-0000-000000000002, all" in valid.out
    done = nvsim("cdi", "inject", str(file), "--host", "ubuntu2204-535", "--format", "json", "example:ubuntu2204")
    assert done.status == 0
    assert any(m["dst"].endswith("/libcuda.so.535.309.01") for m in json.loads(done.out)["plan"]["mounts"])


def test_generate_to_stdout_in_both_formats() -> None:
    written = nvsim("cdi", "generate", "--host", "ubuntu2204-535", "--format", "json")
    assert json.loads(written.out)["kind"] == "nvidia.com/gpu"
    assert nvsim("cdi", "generate", "--host", "ubuntu2204-535", "--class=x-gpu").out.splitlines()[0] == "---"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--mode", "bogus"), 2, "error: invalid discovery mode: bogus"),
        (("--nonsense",), 2, "error: flag provided but not defined: -nonsense"),
        (("--format", "xml"), 2, "error: invalid output format: xml"),
        (("--mode", "wsl"), 1, "error: failed to generate CDI spec: "),
    ],
)
def test_what_the_program_refuses_is_told_in_its_words(arguments: tuple[str, ...], status: int, said: str) -> None:
    done = nvsim("cdi", "generate", "--host", "ubuntu2204-535", *arguments)
    assert done.status == status and said in done.err and done.out == ""


def test_an_unknown_host_is_one_line() -> None:
    done = nvsim("cdi", "generate", "--host", "ubuntu")
    assert done.status == 2 and len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: acme.com/toy\n", 'invalid version ""'),
        ("cdiVersion: 0.5.0\nkind: acme.com/toy\n", "invalid spec, no devices"),
        ("cdiVersion: [\n", "failed to parse CDI Spec"),
        (SPEC.replace("one", "-one"), "should start with a letter or digit"),
        (SPEC.replace("acme.com/toy", "a/b"), "crashes on a name"),
    ],
)
def test_a_bad_spec_is_told_in_the_words_of_the_library(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    done = nvsim("cdi", "validate", str(path))
    assert done.status == 2 and said in done.err and str(path) in done.err
    assert nvsim("cdi", "inject", str(path), "example:ubuntu2204").status == 2


def test_validate_as_json_tells_every_file(tmp_path: Path, spec: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("kind: x\n")
    done = nvsim("cdi", "validate", "--format", "json", str(spec), str(bad))
    assert done.status == 2
    assert [(r["valid"], r.get("devices")) for r in json.loads(done.out)] == [(True, ["one"]), (False, None)]


def test_inject_without_a_host_shows_the_oci_config(spec: Path) -> None:
    done = nvsim("cdi", "inject", str(spec), "--device", "one", "example:ubuntu2204")
    config = json.loads(done.out)
    assert done.status == 0 and "TOY=1" in config["process"]["env"]
    assert config["linux"]["devices"][0]["path"] == "/dev/toy"
    assert nvsim("cdi", "inject", str(spec), "example:ubuntu2204").out == done.out  # no device = every one


def test_inject_on_a_host_without_the_files_fails_as_the_runtime_does(spec: Path) -> None:
    done = nvsim("cdi", "inject", str(spec), "--host", "ubuntu2204-535", "example:ubuntu2204")
    assert done.status == 1 and "open /usr/lib/libtoy.so: no such file or directory" in done.err


def test_an_unknown_device_names_those_that_there_are(spec: Path) -> None:
    done = nvsim("cdi", "inject", str(spec), "--device", "two", "example:ubuntu2204")
    assert done.status == 2 and "unresolvable CDI devices acme.com/toy=two (it has acme.com/toy=one)" in done.err


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert "cannot be read" in nvsim("cdi", "validate", str(tmp_path / "none.yaml")).err


def test_errors_name_the_file_that_was_given(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("a: [\n")
    for arguments in (("validate", str(file)), ("inject", str(file), "example:debian12")):
        done = nvsim("cdi", *arguments)
        assert done.status == 2
        assert f'failed to parse CDI Spec "{file}"' in done.err and "/etc/cdi" not in done.err
