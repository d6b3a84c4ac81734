"""CDI device names: ``VENDOR/CLASS=NAME`` (CDI library, ``pkg/parser/parser.go``).

The functions return the library's error text, or None when the name is valid.
"""

from __future__ import annotations

from nvsim.frozen import frozen
from nvsim.toolkit.go_text import go_quote

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_ALPHANUMERIC = _LETTERS | frozenset("0123456789")
_INNER = _ALPHANUMERIC | frozenset("_-.")


class NamePanic(Exception):  # noqa: N818 - a predicted crash of the real program
    """The Go library panics on this name; the argument is the runtime's text. `log`: what was told before, in the same look at the devices."""

    def __init__(self, text: str, log: tuple[tuple[str, str], ...] = ()):
        super().__init__(text)
        self.log = log


@frozen
class DeviceName:
    """A qualified device name in its parts, or (with `error`) an unqualified one, whose `name` is the whole text."""

    vendor: str
    cls: str
    name: str
    error: str | None = None

    @property
    def kind(self) -> str:
        return f"{self.vendor}/{self.cls}"


def parse_name(device: str, *, digits: bool = True) -> DeviceName:
    """The parts of `device`, or why it is not a qualified name; `digits`: the device's own name may begin with one.

    Raises `NamePanic` where the library crashes.
    """
    vendor, cls, name = _split(device)
    error = None
    for part, what in ((vendor, "vendor"), (cls, "class"), (name, "device name")):
        if not part:
            error = f"unqualified device {go_quote(device)}, missing {what}"
            break
    if error is None:
        error = vendor_error(vendor) or class_error(cls) or device_name_error(name, digits=digits)
        if error is not None:
            error = f"invalid device {go_quote(device)}: {error}"
    if error is not None:
        return DeviceName("", "", device, error)
    return DeviceName(vendor, cls, name)


def is_qualified(device: str, *, digits: bool = True) -> bool:
    """Whether `device` is a valid fully-qualified CDI device name; `digits`: its own part may begin with one."""
    return parse_name(device, digits=digits).error is None


def _split(device: str) -> tuple[str, str, str]:
    if not device or device.startswith("/"):
        return "", "", device
    kind, found, name = device.partition("=")
    if not found or not kind or not name:
        return "", "", device
    vendor, cls = parse_kind(kind)
    return (vendor, cls, name) if vendor else ("", "", device)


def parse_kind(kind: str) -> tuple[str, str]:
    """The vendor and class of a kind; the vendor is "" when there is no such pair."""
    vendor, _, cls = kind.partition("/")
    return (vendor, cls) if vendor and cls else ("", kind)


def vendor_error(vendor: str, *, before_0_6: bool = False) -> str | None:
    """Why `vendor` is no valid vendor name; `before_0_6`: in the words of libraries before 0.6."""
    if before_0_6:
        return _old_word_error("vendor", "vendor name", vendor, dots=True)
    return _prefixed("invalid vendor. ", _word_error(vendor))


def class_error(cls: str, *, before_0_6: bool = False) -> str | None:
    """Why `cls` is no valid class name; `before_0_6`: by the rules of libraries before 0.6, which knew no dots in classes."""
    if before_0_6:
        return _old_word_error("class", "device class", cls, dots=False)
    return _prefixed("invalid class. ", _word_error(cls))


def _old_word_error(kind: str, what: str, name: str, *, dots: bool) -> str | None:
    if not name:
        return f"invalid (empty) {what}"
    if name[0] not in _LETTERS:
        return f"invalid {kind} {go_quote(name)}, should start with letter"
    if len(name.encode("utf-8", "surrogateescape")) == 1:
        raise NamePanic("runtime error: slice bounds out of range [1:0]")
    for c in _inner(name):
        if c not in _INNER or (c == "." and not dots):
            return f"invalid character '{c}' in {what} {go_quote(name)}"
    if name[-1] not in _ALPHANUMERIC:
        return f"invalid {kind} {go_quote(name)}, should end with a letter or digit"
    return None


def _prefixed(prefix: str, error: str | None) -> str | None:
    return None if error is None else prefix + error


def _word_error(name: str) -> str | None:
    if not name:
        return "empty name"
    if name[0] not in _LETTERS:
        return f"{go_quote(name)}, should start with letter"
    if len(name.encode("utf-8", "surrogateescape")) == 1:
        raise NamePanic("runtime error: slice bounds out of range [1:0]")
    for c in _inner(name):
        if c not in _INNER:
            return f"invalid character '{c}' in name {go_quote(name)}"
    if name[-1] not in _ALPHANUMERIC:
        return f"{go_quote(name)}, should end with a letter or digit"
    return None


def _inner(name: str) -> str:
    """What stands between the first and the last byte of a name; parts of a character are U+FFFD, as in Go."""
    return name.encode("utf-8", "surrogateescape")[1:-1].decode("utf-8", "replace")


def device_name_error(name: str, *, digits: bool = True) -> str | None:
    """Why `name` is no valid device name; `digits`: it may begin with one (since 0.5 of the library)."""
    if not name:
        return "invalid (empty) device name"
    if not digits:
        if name[0] not in _LETTERS:
            return f"invalid name {go_quote(name)}, should start with letter"
        if len(name) == 1:
            raise NamePanic("runtime error: slice bounds out of range [1:0]")
    if name[0] not in _ALPHANUMERIC:
        return f"invalid class {go_quote(name)}, should start with a letter or digit"
    for c in _inner(name):
        if c not in _INNER and c != ":":
            return f"invalid character '{c}' in device name {go_quote(name)}"
    if name[-1] not in _ALPHANUMERIC:
        return f"invalid name {go_quote(name)}, should end with a letter or digit"
    return None
