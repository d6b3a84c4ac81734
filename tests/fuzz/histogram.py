"""Which features occurred: counted from the scenario, and from what nvsim's trace says was really looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from fuzz.engine import Compared
from fuzz.generate import HWCAPS, LEGACY
from nvsim.loader.outcome import Outcome, Search

_FLAGS = {0x800: "NODEFLIB", 0x40: "NOOPEN", 0x8000000: "PIE as library", 0x1: "DF_1_NOW"}
_CAPS = tuple(f"/{cap}/" for cap in HWCAPS)
_LEGACY = tuple(f"/{cap}/" for cap in LEGACY)
_TEXTS = {
    "version `": "version checks",
    "no version information": "version checks",
    "undefined symbol": "undefined symbols",
    "symbol not found": "undefined symbols",
    "ISA level": "ISA level",
    "wrong ELF class": "nothing but the wrong class",
    "Exec format error": "musl: not to be mapped",
    "Is a directory (needed by": "musl: directory",
    "cannot open shared object": "not found",
    "No such file": "not found",
    "RELR": "DT_RELR",
    "from /etc/ld.so.preload": "ld.so.preload refused",
    "from LD_PRELOAD": "LD_PRELOAD refused",
    "DST not allowed": "tokens with AT_SECURE",
}


_CANDIDATES = {
    "wrong ELF class": "class",
    "is for": "machine",
    "Permission denied": "permissions",
    "file too short": "truncated or empty",
    "cannot read file data": "directory",
    "Too many levels": "symlink loop",
    "ABI note": "ABI note",
    "set-uid": "no set-uid bit",
    "default directory": "NODEFLIB",
}


def features(compared: Compared) -> set[str]:
    """The names of everything that this scenario exercises."""
    out = set(_of_scenario(compared)) | set(_of_trace(compared.outcome))
    text = compared.real.stderr + "".join(c.error or "" for c in compared.real.calls)
    out |= {name for part, name in _TEXTS.items() if part in text}
    out |= {"the program starts"} if compared.real.started else {"the program does not start"}
    return out


def _of_scenario(compared: Compared) -> Iterator[str]:
    scenario = compared.built.scenario
    env = scenario["env"]
    for name in (
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",
        "LD_BIND_NOW",
        "LD_TRACE_LOADED_OBJECTS",
        "GLIBC_TUNABLES",
        "LD_ORIGIN_PATH",
    ):
        if name in env:
            yield name
    if scenario["secure"]:
        yield "AT_SECURE"
    elif scenario["uid"]:
        yield "other user"
    if scenario["argv"][1:]:
        yield "the loader run directly"
    if not scenario["proc"]:
        yield "no /proc"
    tree = scenario["rootfs"]["tree"]
    if "/etc/ld.so.preload" in tree:
        yield "ld.so.preload"
    if "/etc/ld-musl-x86_64.path" in tree:
        yield "path file"
    for path, entry in tree.items():
        elf = entry.get("elf", {})
        for key, name in (
            ("auxiliary", "DT_AUXILIARY"),
            ("filter", "DT_FILTER"),
            ("abi_tag", "ABI note"),
            ("isa_needed", "ISA level"),
        ):
            if elf.get(key):
                yield name
        if elf.get("stack", "rw") != "rw":
            yield "executable stack"
        flags = int(elf.get("flags_1", "0"), 16)
        yield from (name for bit, name in _FLAGS.items() if flags & bit)
        if elf.get("verneed"):
            yield "version checks"
        if elf.get("undef") or elf.get("undef_lazy"):
            yield "symbols needed"
        text = f"{elf.get('rpath', '')} {elf.get('runpath', '')} {' '.join(elf.get('needed', ()))} {env.get('LD_LIBRARY_PATH', '')}"
        for token in ("ORIGIN", "LIB", "PLATFORM"):
            if f"${token}" in text or f"${{{token}}}" in text:
                yield f"${token}"
        if elf.get("machine", "x86_64") != "x86_64":
            yield "candidates: another machine or class"
        if entry.get("mode", "0755") != "0755" and path != scenario["program"]:
            yield "candidates: permissions"
        if elf.get("truncate") or entry.get("text") == "":
            yield "candidates: truncated or empty"
        if path.startswith(_CAPS) or any(c in path for c in _CAPS):
            yield "glibc-hwcaps directories"
        if any(c in path for c in _LEGACY):
            yield "legacy hwcaps directories"
        if entry["type"] == "hardlink":
            yield "hard links"
        for cached in entry.get("ldcache", ()):
            yield "cache"
            if cached.get("hwcaps_dir"):
                yield "cache: hwcaps entries"
    for call in scenario["dlopen"]:
        yield "dlopen"
        if call["from"] != "main":
            yield "dlopen from a library"
        if call["flags"] & 4:
            yield "RTLD_NOLOAD"
        if call["flags"] & 0x100:
            yield "RTLD_GLOBAL"


def _of_trace(outcome: Outcome) -> Iterator[str]:
    yield from _of_searches(outcome.searches)
    for call in outcome.dlopen:
        yield from _of_searches(call.searches)
    if len(outcome.objects) > 3:
        yield "link map of four objects or more"


def _of_searches(searches: tuple[Search, ...]) -> Iterator[str]:
    for search in searches:
        if search.result == "already":
            yield (
                "already loaded: by inode"
                if any(c.result == "hit" for c in search.candidates)
                else "already loaded: by name"
            )
        for candidate in search.candidates:
            if candidate.result == "hit":
                yield f"hit in stage {candidate.stage}"
                if candidate.stage == "rpath" and not candidate.set_by.endswith(f" of {search.requester}"):
                    yield "RPATH chain"
                if any(c in candidate.path for c in (*_CAPS, *_LEGACY)):
                    yield "hit in a hwcaps directory"
            elif not candidate.result.startswith("missing"):
                kind = candidate.result.partition(":")[0]
                why = next((name for part, name in _CANDIDATES.items() if part in candidate.result), "malformed")
                yield f"{kind} candidate: {why}"


def table(counts: Counter[str]) -> str:
    """The histogram, one feature a line."""
    width = max(map(len, counts), default=0)
    return "\n".join(f"  {name:<{width}}  {number:>7}" for name, number in sorted(counts.items()))
