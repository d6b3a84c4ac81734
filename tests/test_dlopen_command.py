"""``--from``: which object of the process calls dlopen."""

from __future__ import annotations

import json

import pytest

from commands import nvsim
from nvsim.batch import answer_line

HOST = ("--host", "ubuntu2204-535", "--gpus", "all")


def asked(image: str, caller: str) -> dict:
    """The result of the call from `caller` in the image's own program."""
    done = nvsim("dlopen", *HOST, image, "libnvidia-ml.so.1", "--from", caller, "--format", "json")
    assert not done.err
    return json.loads(done.out)["process"]["dlopen"][-1]


@pytest.mark.parametrize(
    "caller", ["main", "cuda-probe", "/usr/local/bin/cuda-probe", "libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6", "libcuda.so.1"]
)  # fmt: skip
def test_the_caller_is_named_by_path_file_name_or_soname(caller: str) -> None:
    call = asked("example:debian12", caller)
    assert (call["ok"], call["path"]) == (True, "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1")


def test_only_what_is_loaded_by_then_can_call() -> None:
    query = {"host": "ubuntu2204-535", "image": "example:debian12", "gpus": "all", "argv": ["/bin/bash"]}
    query["dlopen"] = ["libcuda.so.1", "libnvidia-ml.so.1"]
    made = json.loads(answer_line(json.dumps({"kind": "run", "input": {**query, "dlopen_from": "libc.so.6"}})))
    assert [c["ok"] for c in made["result"]["process"]["dlopen"]][-2:] == [True, True]
    early = json.loads(answer_line(json.dumps({"kind": "run", "input": {**query, "dlopen_from": "libcuda.so.1"}})))
    assert early["error"]["message"].startswith("--from: no loaded object is called libcuda.so.1")


@pytest.mark.parametrize(
    ("caller", "words"), [("bash", "no loaded object is called bash"), ("/bin/nosuch", "no file /bin/nosuch")]
)
def test_a_caller_that_is_not_there_is_bad_usage(caller: str, words: str) -> None:
    done = nvsim("dlopen", *HOST, "example:debian12", "libnvidia-ml.so.1", "--from", caller)
    assert (done.status, done.out) == (2, "")
    assert words in done.err and "/usr/local/bin/cuda-probe, " in done.err and done.err.count("\n") == 1


def test_a_file_that_is_there_but_not_loaded_leaves_the_answer_open() -> None:
    assert asked("example:debian12", "/etc/passwd")["ok"] is None


def test_of_several_hosts_one_where_the_caller_is_not_loaded_is_left_out() -> None:
    caller = ("--from", "/usr/lib/x86_64-linux-gnu/libcuda.so.1")
    image = ("example:debian12", "libcuda.so.1")
    done = nvsim("dlopen", *HOST, "--host", "talos-550", *caller, *image)
    assert done.status == 2
    assert "works on 1 of 1 hosts" in done.out
    assert done.err.startswith(
        "nvsim: talos-550 is left out: --from: no file /usr/lib/x86_64-linux-gnu/libcuda.so.1 in"
    )
    assert len(done.err.splitlines()) == 1
    told = nvsim("dlopen", *HOST, "--host", "talos-550", *caller, "--format", "json", *image)
    assert [r["host"] for r in json.loads(told.out)] == ["ubuntu2204-535"]
    nowhere = nvsim("dlopen", *HOST, "--host", "talos-550", "--from", "libz.so.1", *image)
    assert (nowhere.status, nowhere.out) == (2, "")
    assert nowhere.err.startswith("nvsim: --from: no loaded object is called libz.so.1")
