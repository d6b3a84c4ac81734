"""What nvidia-container-cli tells of itself, as the real program of 1.12.1 prints it (run with glibc 2.36), and by release."""

from __future__ import annotations

import pytest

from legacyhosts import make_host
from nvsim.errors import UnsupportedError
from nvsim.inject.legacy.args import Asked, UsageError, parse_args
from nvsim.inject.legacy.engine import engine_named
from nvsim.inject.legacy.run import run_cli
from nvsim.queries.tool import answer

OLD, NEW = "1.12.1", "1.17.8"
MAIN_HELP = """\
Usage: nvidia-container-cli [OPTION...] COMMAND [ARG...]
Command line utility for manipulating NVIDIA GPU containers.

 Commands:
  configure                  Configure a container with GPU support
  info                       Report information about the driver and devices
  list                       List driver components

 Options:
  -?, --help                 Give this help list
  -d, --debug=FILE           Log debug information
  -k, --load-kmods           Load kernel modules
  -l, --ldcache=FILE         Path to the system's DSO cache
{imex}\
  -n, --no-pivot             Do not use pivot_root
  -r, --root=PATH            Path to the driver root directory
      --usage                Give a short usage message
  -u, --user[=UID[:GID]]     User and group to use for privilege separation
  -V, --version              Print program version

Mandatory or optional arguments to long options are also mandatory or optional
for any corresponding short options.

Report bugs to https://github.com/NVIDIA/libnvidia-container/issues.
"""
IMEX = """\
      --no-create-imex-channels   Don't automatically create IMEX channel
                             device nodes
"""
LIST_HELP_MIG = """\
      --mig-config=ID        MIG devices to list config capabilities files for
      --mig-monitor=ID       MIG devices to list monitor capabilities files for
{empty}
      --usage                Give a short usage message
""".format(empty=" " * 28)
CONFIGURE_USAGE = """\
Usage: nvidia-container-cli configure [-?cDgnuvV] [-d ID] [-l PATH] [-p PID]
            [-r EXPR] [--help] [--compat32] [--compute] [--device=ID]
            [--display] [--graphics] [--ldconfig=PATH] [--mig-config=ID]
            [--mig-monitor=ID] [--no-cgroups] [--no-devbind] [--ngx]
            [--pid=PID] [--require=EXPR] [--usage] [--utility] [--video]
            [--version] ROOTFS
"""
INFO_USAGE = "Usage: nvidia-container-cli info [-?V] [--help] [--csv] [--usage] [--version]\n"
VERSION = "cli-version: 1.12.1\nlib-version: 1.12.1\n"


def told(engine: str, *argv: str, total_order: bool = True) -> str:
    asked = parse_args(argv, engine_named(engine), total_order=total_order)
    assert isinstance(asked, Asked)
    return asked.stdout


def test_help_and_usage_are_the_text_of_the_program() -> None:
    assert told(OLD, "--help") == MAIN_HELP.format(imex="")
    assert told(NEW, "-k?") == MAIN_HELP.format(imex=IMEX)
    assert told(OLD, "configure", "--usage") == CONFIGURE_USAGE
    assert told(OLD, "info", "--usa") == INFO_USAGE


def test_a_text_that_ends_at_the_margin_leaves_an_empty_line_behind_it() -> None:
    assert LIST_HELP_MIG in told(OLD, "list", "--help")


def test_what_comes_first_on_the_command_line_counts() -> None:
    assert told(OLD, "list", "--version", "--help") == VERSION
    assert told(OLD, "info", "--help", "--bad").startswith("Usage: nvidia-container-cli info [OPTION...]\n")
    assert isinstance(parse_args(("--bad", "--help"), engine_named(OLD)), UsageError)
    assert isinstance(parse_args(("configure", "--pid=x", "--help"), engine_named(OLD)), UsageError)


def test_another_program_name_is_told_in_the_messages_and_refused_where_the_program_goes_on() -> None:
    assert told(OLD, "--program-name=/x/foo", "info", "--usage").startswith("Usage: foo info [-?V]")
    assert told(OLD, "info", "--HANG=0", "--program-name=foo", "--usage").startswith("Usage: foo [-?V]")
    with pytest.raises(UnsupportedError, match="--program-name"):
        parse_args(("--program-name=foo", "info"), engine_named(OLD))


def test_texts_of_newer_options_that_nobody_recorded_are_unknown() -> None:
    with pytest.raises(UnsupportedError, match="--no-gsp-firmware"):
        parse_args(("list", "--help"), engine_named(NEW))
    assert "[--no-gsp-firmware]" in told(NEW, "list", "--usage")


def test_the_order_is_that_of_the_hosts_c_library() -> None:
    stdout = "\n".join(run_cli(make_host(), None, ("configure", "--usage"), env={}, engine=OLD).stdout)
    assert "[--help] [--compat32] [--compute]" in stdout
    assert "[--compute] [--compat32]" in told(OLD, "configure", "--usage", total_order=False).replace(
        "\n" + 12 * " ", " "
    )


def test_a_query_tells_what_of_the_version_is_unknown() -> None:
    query = {"kind": "tool", "program": "nvidia-container-cli", "engine": OLD, "host": {"tree": {}}}
    got = answer("tool", {**query, "argv": ["--version"]})
    assert (got["rc"], got["stdout"]) == (0, VERSION.splitlines())
    assert "build" in got["unknown"]
    assert answer("tool", {**query, "argv": ["configure", "--usage"]}) == {
        "rc": 0,
        "error": None,
        "stdout": CONFIGURE_USAGE.splitlines(),
    }
