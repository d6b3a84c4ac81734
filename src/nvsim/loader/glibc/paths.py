"""Where glibc looks: path lists, dynamic string tokens, hwcaps subdirectories (``elf/dl-load.c``, ``elf/dl-hwcaps.c``).

Pure text: nothing here opens a file. Walking the lists is `nvsim.loader.glibc.walk`.
"""

from __future__ import annotations

import re
from itertools import product

from nvsim.loader.glibc.tables import GlibcRules
from nvsim.loader.outcome import Cpu

_TOKEN = re.compile(r"\$(?:\{(ORIGIN|LIB|PLATFORM)\}|(ORIGIN|LIB|PLATFORM)(?![A-Za-z0-9_]))")


def hwcaps_names(cpu: Cpu, rules: GlibcRules, mask: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """The active glibc-hwcaps names, best first. `mask`: only those (GLIBC_TUNABLES glibc.cpu.hwcap_mask is another thing)."""
    if not rules.glibc_hwcaps or cpu.machine != "x86_64":
        return ()
    names = tuple(f"x86-64-v{level}" for level in (4, 3, 2) if cpu.isa_level >= level)
    return names if mask is None else tuple(n for n in names if n in mask)


def legacy_names(cpu: Cpu, rules: GlibcRules) -> tuple[str, ...]:
    """The active legacy names in their order."""
    out = []
    for name in rules.legacy_names:
        if name == "platform":
            if cpu.platform in ("haswell", "xeon_phi"):
                out.append(cpu.platform)
        elif name == "tls" or name in cpu.hwcaps:
            out.append(name)
    return tuple(out)


def subdirectories(cpu: Cpu, rules: GlibcRules) -> tuple[str, ...]:
    """What is tried below every search directory, in order, each with a trailing slash; "" (the directory itself) is last."""
    out = [f"glibc-hwcaps/{name}/" for name in hwcaps_names(cpu, rules)]
    active = legacy_names(cpu, rules)
    for chosen in product((True, False), repeat=len(active)):
        out.append("".join(f"{name}/" for name, use in zip(active, chosen, strict=True) if use))
    return tuple(out)


def expand(text: str, origin: str | None, lib: str, platform: str, *, secure: bool = False) -> str | None:
    """`text` with its tokens replaced; None when one has no value, or ($ORIGIN with `secure`) stands where it may not."""
    if "$" not in text:
        return text
    bad = False

    def value(match: re.Match[str]) -> str:
        nonlocal bad
        name = match[1] or match[2]
        if name == "LIB":
            return lib
        if name == "PLATFORM":
            return platform
        if origin is None or (secure and (match.start() != 0 or text[match.end() : match.end() + 1] not in ("", "/"))):
            bad = True
            return ""
        return origin

    out = _TOKEN.sub(value, text)
    return None if bad or not out else out


def has_token(text: str) -> bool:
    """Whether `text` holds a dynamic string token."""
    return _TOKEN.search(text) is not None


def split_path(text: str, separators: str) -> list[str]:
    """The elements of a path list."""
    for extra in separators[1:]:
        text = text.replace(extra, separators[0])
    return text.split(separators[0])


def directory_prefix(element: str) -> str:
    """The prefix of a candidate: trailing slashes reduced to one, "" for the current directory."""
    if not element:
        return ""
    stripped = element.rstrip("/")
    return f"{stripped}/" if stripped else "/"


def normalise(path: str) -> str:
    """An absolute path without ``.``, ``..`` and doubled slashes, taken as text."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)
