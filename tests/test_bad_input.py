"""Bad input through the command: one line on stderr, exit status 2, nothing on stdout, nothing half-written, no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from commands import Done, nvsim

RUN = ("run", "--host", "debian12-535", "--gpus", "all")


def refused(done: Done, *words: str) -> None:
    """The answer is one line on stderr with these words."""
    assert done.status == 2, done
    assert done.out == ""
    lines = done.err.splitlines()
    assert len(lines) == 1, done.err
    assert lines[0].startswith("nvsim: ")
    assert "Traceback" not in done.err
    for word in words:
        assert word in lines[0], lines[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--host", "eks-al2-536", "example:debian12"), ("eks-al2-536", "did you mean eks-al2-535")),
        (("run", "--host", "nothing-like-it", "example:debian12"), ("unknown host", "known:")),
        ((*RUN, "example:debain12"), ("debain12", "did you mean")),
        ((*RUN, "debian12"), ("did you mean example:debian12?",)),
        ((*RUN, "/no/such/image.tar"), ("/no/such/image.tar", "no such file or directory")),
        (("ldd", "example:debian12", "cuda-prob"), ("cuda-prob", "did you mean cuda-probe")),
        (("ldd", "example:debian12", "/usr/lib/x86_64-linux-gnu/libc.so.7"), ("libc.so.7", "did you mean libc.so.6")),
        (("ldd", "example:debian12", "/etc"), ("/etc is a directory",)),
        (("ldd", "example:debian12"), ("--all",)),
        (("rnu",), ("did you mean run?",)),
        (("run", "--hots", "x", "example:debian12"), ("--hots", "--host")),
        (("run", "example:debian12"), ("--host",)),
        ((*RUN, "--mode", "legcy", "example:debian12"), ("did you mean legacy",)),
        ((*RUN, "--cpu", "x86-64-v5", "example:debian12"), ("x86-64-v5", "x86-64-v4")),
        ((*RUN, "--toolkit-version", "new", "example:debian12"), ("'new' is no version",)),
        ((*RUN, "--config-set", "x", "example:debian12"), ("KEY=VALUE",)),
        ((*RUN, "--env-file", "/no/such/file", "example:debian12"), ("/no/such/file", "No such file")),
        ((*RUN, "--user", "nobody-here", "example:debian12"), ("unable to find user nobody-here",)),
        ((*RUN, "--platform", "linux/arm64", "example:debian12"), ("linux/arm64", "linux/amd64")),
        (("plan", "--host", "debian12-535", "--against", "other", "example:debian12"), ("neither a mode nor a release",)),
        (("explain", "NVS999"), ("NVS999",)),
        (("explain", "interpretr"), ("did you mean interpreter",)),
        (("host", "show", "debian12"), ("did you mean debian12-535",)),
        (("diff", "only-one"), ("two scenarios",)),
        (("diff", "--host debian12-535 'x", "y"), ("No closing quotation",)),
        (("completion", "csh"), ("csh",)),
    ],
    ids=lambda v: " ".join(v[:6]) if v and v[0] in ("run", "ldd", "plan", "host", "diff", "explain", "completion") else "",
)  # fmt: skip
def test_what_does_not_exist_is_told_in_one_line(arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    refused(nvsim(*arguments), *words)


@pytest.mark.parametrize("given", [[], "", False, 0, "sh"])
def test_an_images_config_that_is_no_object_is_refused(tmp_path: Path, given: object) -> None:
    file, image = tmp_path / "image.json", {"format": "nvsim-tree/1", "tree": {"/bin": {"type": "dir"}}}
    file.write_text(json.dumps({**image, "config": given}))
    refused(nvsim(*RUN, str(file)), str(file), "config must be an object")
    file.write_text(json.dumps({**image, "config": {"Labels": given}}))
    refused(nvsim(*RUN, str(file)), f"{file}:Labels: must be an object")
    file.write_text(json.dumps({**image, "config": None}))
    assert nvsim(*RUN, str(file), "/bin/x").status == 1


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "twice.json"
    file.write_text(
        '{"format": "nvsim-tree/1", "tree": {"/a": {"type": "dir"}, "/b": {"type": "dir"}, "/a": {"type": "fifo"}}}'
    )
    refused(nvsim(*RUN, str(file)), str(file), "'/a' stands twice")
    file.write_text('{"format": "nvsim-host/1", "name": "x", "name": "y"}')
    refused(nvsim("run", "--host", str(file), "example:debian12"), str(file), "'name' stands twice")
    file.write_text('{"host": "debian12-535", "image": "example:debian12", "image": "example:nix-torch"}')
    refused(nvsim("diff", str(file), str(file)), str(file), "'image' stands twice")


def test_an_image_that_is_not_there_is_told_by_what_was_expected(tmp_path: Path) -> None:
    refused(nvsim("image", "show", "oci:nope"), "oci:nope: no such directory: nope")
    refused(nvsim("image", "show", "docker-archive:/nope/x.tar"), "no such file: /nope/x.tar")
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    refused(nvsim("image", "show", f"{tmp_path}/one"), f"{tmp_path}/one: too many levels of symbolic links")
    refused(nvsim("ldd", str(tmp_path), "/one"), "/one: too many levels of symbolic links")
    refused(nvsim("ldd", str(tmp_path), "/one/x"), "/one/x: too many levels of symbolic links")
    refused(
        nvsim("host", "show", f"{tmp_path}/one"), f"{tmp_path}/one: cannot be read: Too many levels of symbolic links"
    )
    (tmp_path / "file").write_text("")
    refused(nvsim("ldd", str(tmp_path), "/file/x"), "/file/x: not a directory on the way")
    refused(nvsim("ldd", str(tmp_path), "/fil"), "no file /fil", "did you mean file")


def test_broken_json_is_told_with_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "image.json"
    file.write_text('{"format": "nvsim-tree/1",\n "tree": {,}}')
    refused(nvsim(*RUN, str(file)), f"{file}:2:", "bad JSON")
    refused(nvsim("host", "show", str(file)), f"{file}:2:", "bad JSON")
    refused(nvsim(*RUN, "--image-config", str(file), "example:debian12"), f"{file}:2:")
    refused(nvsim("diff", str(file), str(file)), f"{file}:2:")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x7fELF", b"\0" * 600, b'{"format": "other/1"}', b"PK\x03\x04"])
def test_a_file_that_is_no_image_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "thing"
    file.write_bytes(content)
    refused(nvsim(*RUN, str(file)), str(file))


def test_all_faults_of_a_profile_are_told_at_once(tmp_path: Path) -> None:
    profile = json.loads(nvsim("host", "show", "--expanded", "debian12-535").out)
    profile["gpus"][0]["uuid"] = 7
    profile["kernel"] = ["6"]
    profile["toolkit"]["version"] = {}
    file = tmp_path / "host.json"
    file.write_text(json.dumps(profile))
    for done in (nvsim("run", "--host", str(file), "example:debian12"), nvsim("host", "validate", str(file))):
        refused(done, str(file), "uuid", "kernel", "version")


def test_an_unreadable_tree_entry_names_its_path(tmp_path: Path) -> None:
    file = tmp_path / "image.json"
    file.write_text(json.dumps({"format": "nvsim-tree/1", "tree": {"/bin/x": {"type": "fiel"}}}))
    refused(nvsim(*RUN, str(file)), "/bin/x")


def test_a_malformed_program_fails_as_the_real_loader_would(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    (root / "bin/x").write_bytes(b"\x7fELF" + b"\xff" * 60)
    (root / "bin/x").chmod(0o755)
    done = nvsim("run", "--host", "debian12-535", "--runtime", "runc", str(root), "/bin/x")
    assert done.status == 1
    assert "exec format error" in done.out
    assert done.err == ""


def test_a_directory_that_changes_while_it_is_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/x"
    program.write_bytes(b"\x7fELF" + bytes(60))
    program.chmod(0o755)
    pipeline = import_module("nvsim.simulate")
    real = pipeline.run_process

    def slow(*arguments: object, **more: object) -> object:
        result = real(*arguments, **more)
        os.utime(program, ns=(1, 1))
        return result

    monkeypatch.setattr(pipeline, "run_process", slow)
    refused(
        nvsim("run", "--host", "debian12-535", "--runtime", "runc", str(tmp_path), "/bin/x"), str(program), "changed"
    )


def test_output_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    file.write_text("before")
    refused(nvsim("run", "--host", "nothing", "-o", str(file), "example:debian12"))
    assert file.read_text() == "before"
    assert nvsim(*RUN, "--format", "json", "-o", str(file), "example:debian12").out == ""
    assert json.loads(file.read_text())["verdict"] == "ok"
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]
    refused(nvsim(*RUN, "-o", str(tmp_path / "no/such/dir/out"), "example:debian12"), "cannot be written")


def test_an_unknown_library_is_a_predicted_failure_with_near_names() -> None:
    done = nvsim("dlopen", "--host", "debian12-535", "--gpus", "all", "example:debian12", "libcudda.so.1")
    assert done.status == 1
    assert "did you mean libcuda.so.1" in done.out


def test_a_real_process_ends_with_status_2_and_one_line() -> None:
    command = [sys.executable, "-m", "nvsim", "run", "--host", "eks-al2-536", "example:nix-torch"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    refused(Done(done.returncode, done.stdout, done.stderr), "eks-al2-535")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", ["explain", "run --host debian12-535 example:debian12"])
def test_a_full_disk_is_told_in_one_line(arguments: str) -> None:
    command = f"{sys.executable} -m nvsim {arguments} > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    refused(Done(done.returncode, done.stdout, done.stderr), "No space left on device")
    refused(nvsim("explain", "-o", "/dev/full"), "/dev/full")


def test_a_fault_of_nvsim_itself_does_not_end_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = import_module("nvsim.batch")

    def broken(kind: str, query: dict) -> str:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(batch, "_result_text", broken)
    found = json.loads(batch.answer_line('{"id": 1, "kind": "run", "input": {}}'))
    assert found == {"id": 1, "error": {"type": "internal", "message": "ZeroDivisionError: oops"}}


@pytest.mark.parametrize(
    ("number", "told"),
    [
        ("NaN", "bad JSON: NaN is no number of JSON"),
        ("-Infinity", "bad JSON: -Infinity is no number of JSON"),
        ("1e999", "bad JSON: 1e999 is no number of JSON"),
        ("1" * 5000, "bad JSON: a number has too many digits"),
    ],
)
def test_a_batch_refuses_numbers_that_json_does_not_have(number: str, told: str) -> None:
    batch = import_module("nvsim.batch")
    error = {"id": None, "error": {"type": "input", "message": told}}
    for line in ('{"id": 0.5, "kind": "run", "input": {}}', '{"id": 1, "kind": "run", "input": {"gpu_limit": 0.5}}'):
        assert json.loads(batch.answer_line(line.replace("0.5", number))) == error
    assert json.loads(batch.answer_line('{"id": 0.5, "kind": "run", "input": {}}'))["id"] == 0.5


def test_a_reader_that_has_gone_is_no_error() -> None:
    command = f"{sys.executable} -m nvsim explain | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stdout == "Topics\n"
    assert done.stderr == ""


@pytest.mark.parametrize(
    "line", ["", "{", "[]", '"x"', "{}", '{"kind": "run"}', '{"kind": "nothing", "input": {}}', '{"kind": "run", "input": {"host": 1}}', "[" * 5000]
)  # fmt: skip
def test_a_bad_batch_line_gets_an_error_line_and_the_next_is_answered(line: str) -> None:
    good = '{"id": 2, "kind": "run", "input": {"host": "debian12-535", "image": "example:debian12"}}'
    done = subprocess.run(
        [sys.executable, "-m", "nvsim", "batch"], input=f"{line}\n{good}\n", capture_output=True, text=True, check=False
    )
    answers = [json.loads(a) for a in done.stdout.splitlines()]
    assert done.returncode == 0
    assert done.stderr == ""
    assert answers[-1]["id"] == 2 and "result" in answers[-1]
    assert len(answers) == (2 if line else 1)
    assert all(a["error"]["type"] == "input" for a in answers[:-1])
