"""Values of options that change nothing here: refused in docker's words, beside the docker command where there is one."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from commands import nvsim
from nvsim.cli.docker_line import as_click_reads
from nvsim.errors import InputError

DOCKER = shutil.which("docker")
SIZES = (
    "xx",
    "5",
    "5k",
    "5KiB",
    "5 g",
    "1.5g",
    "-1",
    "5x",
    "5kib2",
    "5kbx",
    "1e3",
    "",
    " ",
    ".5m",
    "0x10",
    "5bb",
    "5b",
    "inf",
)
NUMBERS = ("x", "1.5", "-1", "0x1F", "1_000", "010", "09", "99999999999999999999", "", "5", "+5", "_5")
TIMES = ("x", "5", "5q", "5s", "1h5m", ".5s", "-5s", "", "5ms1", "+", "1.s", "0", "-0", "1.5.2s", "5µs")
VALUES: dict[str, tuple[str, ...]] = {
    "--memory": SIZES,
    "--memory-swap": ("-1", "-2", "xx"),
    "--shm-size": ("q",),
    "--cpu-shares": NUMBERS,
    "--stop-timeout": ("x", "-1", "5"),
    "--blkio-weight": ("x", "-1", "70000", "", "+5"),
    "--io-maxiops": ("-1", "q", "5"),
    "--health-interval": TIMES,
    "--health-timeout": ("-5s",),
    "--health-start-interval": ("q",),
    "--cpus": ("x", "1.5", "1/3", "", "0.0000000001", "1e2", "-1", ".5", "1/0", "3/2"),
    "--attach": ("stdin", "STDERR", "x", ""),
    "--dns": ("1.2.3.4", "::1", "x", "1.2.3", "", "01.2.3.4", "fe80::1%eth0"),
    "--add-host": ("x", "a:1.2.3.4", "a=::1", "a:[::1]", "a:host-gateway", ":1.2.3.4", "a:x", "a:b=1.2.3.4", ""),
    "--label": ("=x", "a=b", "", "a"),
    "--link": ("x", "a:b", "a:b:c", ""),
    "--device-cgroup-rule": ("x", "c 1:3 mr", "a *:* rwm", "c 1:3 x"),
    "--pull": ("x", "", "always", "missing"),
    "--mac-address": ("x", "02:42:ac:11:00:02", "02-42-ac-11-00-02", "0242.ac11.0002", "02:42", ""),
    "--memory-swappiness": ("101", "-1", "-2", "100", "x"),
    "--storage-opt": ("x", "size=1G"),
    "--pid": ("host", "", "container:x", "container:", "private", "foo"),
    "--uts": ("host", "", "private"),
    "--userns": ("host", "foo"),
    "--cgroupns": ("host", "private", "foo"),
    "--restart": ("anything",),
}
CASES = [(option, value) for option, values in VALUES.items() for value in values]


def refused(*args: str) -> str | None:
    """The first line that docker would print, None when it takes the line."""
    try:
        as_click_reads(args, (), interspersed=False)
    except InputError as e:
        return e.message.removeprefix("docker: ")
    return None


def test_a_bad_value_is_told_in_dockers_words_and_the_status_is_2() -> None:
    done = nvsim("run", "--host", "debian12-535", "-m", "xx", "example:debian12")
    assert (done.status, done.out) == (2, "")
    assert done.err == 'nvsim: docker: invalid argument "xx" for "-m, --memory" flag: invalid size: \'xx\'\n'


def test_what_is_wrong_in_a_value_comes_before_what_docker_looks_at_in_the_end() -> None:
    assert (
        refused("--pid", "foo", "--memory=xx") == 'invalid argument "xx" for "-m, --memory" flag: invalid size: \'xx\''
    )
    assert refused("--uts", "foo", "--pid=foo") == "--pid: invalid PID mode"
    assert refused("--pid=foo", "--pid=host") is None
    assert refused("--restart", "anything", "-it") is None


@pytest.mark.skipif(DOCKER is None, reason="no docker command to compare with")
@pytest.mark.parametrize(("option", "value"), CASES)
def test_the_docker_command_says_the_same(option: str, value: str) -> None:
    assert DOCKER is not None
    line = [DOCKER, "-H", "unix:///nonexistent.sock", "run", f"{option}={value}", "image"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    first = done.stderr.split("\n\n")[0].strip("\n").removeprefix("docker: ")
    real = None if "Cannot connect to the Docker daemon" in first or "dial unix" in first else first
    assert refused(f"{option}={value}") == real
