"""What docker says of the values of options that otherwise change nothing here (docker/cli ``opts``, ``cli/command/container/opts.go``, pflag;
measured with the command 28.2).

A value is refused where it is read, or once the whole line is (`AFTER`). Not looked at: ``--publish``, ``--expose``, ``--network``, ``--ulimit``,
``--sysctl``, devices with weights and rates, and files that are named. Which options these are is `nvsim.scenario.options_ignored`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from nvsim.toolkit.go_text import go_quote

Check = Callable[[str], str | None]
"""The reason why a value is refused, or None."""

_INTEGER = re.compile(r"(0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0(?:_?[0-7])*|[1-9](?:_?[0-9])*)")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_RATIONAL = re.compile(
    r"[+-]?(?:[0-9]+/0*[1-9][0-9]*|(?:[0-9]+(?:_[0-9]+)*\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?)"
)
_MAC = re.compile(r"(?i)(?:[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1)*[0-9a-f]{2}|[0-9a-f]{4}(?:\.[0-9a-f]{4})+)")
_CGROUP_RULE = re.compile(r"[acb] (?:[0-9]+|\*):(?:[0-9]+|\*) [rwm]{1,3}")
_SIZES = "kmgtp"
_UNITS = ("ns", "us", "µs", "μs", "ms", "s", "m", "h")


def go_integer(text: str) -> int | None:
    """A number as ``strconv.ParseInt`` reads it with base 0, of whatever size; None: it is none."""
    negative = text[:1] == "-"
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not _INTEGER.fullmatch(digits):
        return None
    plain = digits.replace("_", "")
    number = int(plain, 8) if len(plain) > 1 and plain.isdigit() and plain[0] == "0" else int(plain, 0)
    return -number if negative else number


def integer(bits: int, *, signed: bool = True) -> Check:
    """``strconv.ParseInt`` or ``ParseUint`` with base 0."""
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)

    def check(text: str) -> str | None:
        said = f"strconv.{'ParseInt' if signed else 'ParseUint'}: parsing {go_quote(text)}"
        number = go_integer(text)
        if number is None or (not signed and text[:1] in ("+", "-")):
            return f"{said}: invalid syntax"
        return None if low <= number <= high else f"{said}: value out of range"

    return check


def size(text: str) -> str | None:
    """``units.RAMInBytes``: a number with k, m, g, t or p, which b or ib may follow."""
    at = max((i for i, c in enumerate(text) if c in "0123456789. "), default=-1)
    if at < 0:
        return f"invalid size: '{text}'"
    number, suffix = (text[:at], text[at + 1 :]) if text[at] == " " else (text[: at + 1], text[at + 1 :])
    if not _FLOAT.fullmatch(number):
        return f"strconv.ParseFloat: parsing {go_quote(number)}: invalid syntax"
    if float(number) == float("inf"):
        return f"strconv.ParseFloat: parsing {go_quote(number)}: value out of range"
    if float(number) < 0:
        return f"invalid size: '{text}'"
    if len(suffix) > 3:
        return f"invalid suffix: '{suffix}'"
    unit = suffix.lower()
    known = unit in ("", "b") or (unit[0] in _SIZES and unit[1:] in ("", "b", "ib"))
    return None if known else f"invalid suffix: '{unit}'"


def swap_size(text: str) -> str | None:
    """As `size`; -1 stands for no limit."""
    return None if text == "-1" else size(text)


def duration(text: str) -> str | None:
    """``time.ParseDuration``."""
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return None
    invalid = f"time: invalid duration {go_quote(text)}"
    if not rest:
        return invalid
    while rest:
        number = re.match(r"[0-9]*\.?[0-9]*", rest)
        assert number is not None
        if number[0] in ("", "."):
            return invalid
        rest = rest[number.end() :]
        unit = re.match(r"[^0-9.]*", rest)
        assert unit is not None
        if not unit[0]:
            return f"time: missing unit in duration {go_quote(text)}"
        if unit[0] not in _UNITS:
            return f"time: unknown unit {go_quote(unit[0])} in duration {go_quote(text)}"
        rest = rest[unit.end() :]
    return None


def cpus(text: str) -> str | None:
    """``opts.ParseCPUs``: a rational number with at most nine decimals."""
    if not _RATIONAL.fullmatch(text):
        return f"failed to parse {text} as a rational number"
    from fractions import Fraction  # few command lines need it

    return None if (Fraction(text.replace("_", "")) * 10**9).denominator == 1 else "value is too precise"


def _stream(text: str) -> str | None:
    return None if text.lower() in ("stdin", "stdout", "stderr") else "valid streams are STDIN, STDOUT and STDERR"


def _is_ip(text: str) -> bool:
    import ipaddress  # few command lines need it

    try:
        return "%" not in text and bool(ipaddress.ip_address(text.strip()).version)
    except ValueError:
        return False


def _ip(text: str) -> str | None:
    return None if _is_ip(text) else f"IP address is not correctly formatted: {text}"


def _extra_host(text: str) -> str | None:
    name, given, address = text.partition("=" if "=" in text else ":")
    if not given or not name or ":" in name:
        return f"bad format for add-host: {go_quote(text)}"
    if len(address) > 2 and address[0] == "[" and address[-1] == "]":
        address = address[1:-1]
    fits = address == "host-gateway" or _is_ip(address)
    return None if fits else f"invalid IP address in add-host: {go_quote(address)}"


def _label(text: str) -> str | None:
    return None if text.partition("=")[0] else f"invalid label '{text}': empty name"


def _link(text: str) -> str | None:
    if not text:
        return "empty string specified for links"
    return f"bad format for links: {text}" if text.count(":") > 1 else None


def _cgroup_rule(text: str) -> str | None:
    return None if _CGROUP_RULE.fullmatch(text) else f"invalid device cgroup format '{text}'"


_INT64, _UINT16, _UINT64 = integer(64), integer(16, signed=False), integer(64, signed=False)
CHECKS: Mapping[str, Check] = {
    **dict.fromkeys(("--memory", "--memory-reservation", "--kernel-memory", "--shm-size", "--io-maxbandwidth"), size),
    "--memory-swap": swap_size,
    **dict.fromkeys(("--cpu-period", "--cpu-quota", "--cpu-rt-period", "--cpu-rt-runtime", "--cpu-shares"), _INT64),
    **dict.fromkeys(("--cpu-count", "--cpu-percent", "--memory-swappiness", "--pids-limit"), _INT64),
    **dict.fromkeys(("--health-retries", "--oom-score-adj", "--stop-timeout"), _INT64),
    "--blkio-weight": _UINT16,
    "--io-maxiops": _UINT64,
    **dict.fromkeys(
        ("--health-interval", "--health-start-interval", "--health-start-period", "--health-timeout"), duration
    ),
    "--cpus": cpus,
    "--attach": _stream,
    "--dns": _ip,
    "--add-host": _extra_host,
    "--label": _label,
    "--link": _link,
    "--device-cgroup-rule": _cgroup_rule,
}


def _mode(option: str, kind: str, *words: str) -> Check:
    def check(text: str) -> str | None:
        shared = kind == "PID" and re.fullmatch(r"container:.+", text)
        return None if text in ("", "host", *words) or shared else f"{option}: invalid {kind} mode"

    return check


def _pull(text: str) -> str | None:
    fits = text in ("", "always", "missing", "never")
    return None if fits else f'invalid pull option: \'{text}\': must be one of "always", "missing" or "never"'


def _mac(text: str) -> str | None:
    size_ok = len(re.sub(r"[^0-9a-fA-F]", "", text)) in (12, 16, 40)
    return None if not text or (_MAC.fullmatch(text) and size_ok) else f"{text} is not a valid mac address"


def _swappiness(text: str) -> str | None:
    value = go_integer(text) or 0
    return None if -1 <= value <= 100 else f"invalid value: {value}. Valid memory swappiness range is 0-100"


def _no_negative(option: str) -> Check:
    def check(text: str) -> str | None:
        return f"{option} cannot be negative" if text.startswith("-") and text != "-0" else None

    return check


def _storage(text: str) -> str | None:
    return None if "=" in text else "invalid storage option"


AFTER: Mapping[str, Check] = {
    "--pull": _pull,
    "--mac-address": _mac,
    "--memory-swappiness": _swappiness,
    "--storage-opt": _storage,
    "--pid": _mode("--pid", "PID"),
    "--uts": _mode("--uts", "UTS"),
    "--userns": _mode("--userns", "USER"),
    "--cgroupns": _mode("--cgroupns", "CGROUP", "private"),
    **{f"--health-{name}": _no_negative(f"--health-{name}") for name in ("interval", "timeout", "start-period")},
}
"""Checked once the line is read, in this order."""
