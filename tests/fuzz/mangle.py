"""Broken ELF files and ld.so.caches: ``python -m tests.fuzz mangle --count 50000``.

Bytes of good files are changed at random, with a liking for the headers and tables that offsets and counts stand in. Whatever comes out
is read, and then loaded: as a program, as a library that a program needs, as a loader, as the cache. Nothing may be raised but
`InputError`, and no answer may take longer than a second.
"""

from __future__ import annotations

import argparse
import struct
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from attrs import frozen

from elfwriter import Program, write_elf
from nvsim.elf.facts import ElfFacts, LoaderFacts, VersionNeed
from nvsim.elf.programs import ldconfig_facts, loader_facts
from nvsim.elf.reader import read_elf
from nvsim.errors import InputError
from nvsim.ldcache import CacheEntry, LdCache, parse_cache, write_cache
from nvsim.loader.outcome import DlopenCall, ProcessRequest
from nvsim.loader.process import run
from nvsim.rootfs.node import File, FileFacts, Node
from nvsim.rootfs.tree import MemoryTree

SLOWEST = 1.0
_EDGES = (
    0,
    1,
    2,
    3,
    7,
    8,
    0x7F,
    0x80,
    0xFF,
    0xFFF,
    0x1000,
    0x7FFF,
    0xFFFF,
    0x10000,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
)
_LOADER = LoaderFacts("glibc", "2.36", ("/lib", "/usr/lib"))
INTERP = "/lib64/ld-linux-x86-64.so.2"


@frozen(slots=True)
class Trouble:
    """A mutation that nvsim does not stand: its number, the bytes, and what happened."""

    number: int
    data: bytes
    what: str


def good_files() -> list[bytes]:
    """Files to start from: programs and libraries with every table, of both classes, and caches of both formats."""
    versions = (
        VersionNeed("libc.so.6", ("GLIBC_2.2.5", "GLIBC_2.34"), frozenset({"GLIBC_2.34"})),
        VersionNeed("libb.so", ("V_1",)),
    )
    full = ElfFacts(
        needed=("libb.so", "libc.so.6"), soname="liba.so.1", runpath="$ORIGIN/x:/y", rpath="/z", verneed=versions, verdef=("V_1", "V_2"),
        defs=frozenset(f"symbol_{i}" for i in range(9)), undef=("open", "close@GLIBC_2.2.5"), undef_lazy=("read",), abi_tag="Linux 3.2.0",
        isa_needed=3, relr=True, tls=16, auxiliary=("libaux.so",), filter=("libfil.so",), flags_1=0x800,
    )  # fmt: skip
    entries = tuple(CacheEntry(f"lib{i}.so.{i}", f"/lib/lib{i}.so.{i}") for i in range(12))
    hwcaps = CacheEntry("lib3.so.3", "/lib/glibc-hwcaps/x86-64-v3/lib3.so.3", hwcap=1 << 62, hwcaps_dir="x86-64-v3")
    new = write_cache(LdCache((hwcaps, *entries), "ldconfig (GNU libc) stable release version 2.36"))
    count = 3
    old = (
        b"ld.so-1.7.0\0"
        + struct.pack("<I", count)
        + b"".join(struct.pack("<iII", 3, 5 * i, 5 * i) for i in range(count))
    )
    return [
        write_elf(full),
        write_elf(full, interp=INTERP, program=Program(3)),
        write_elf(full, elf_class=32, machine="i386"),
        write_elf(interp=INTERP, needed=("liba.so.1",), type="EXEC", program=Program()),
        write_elf(hashes=("sysv",), defs=frozenset("abc"), undef=("q",)),
        new,
        old + b"lib.\0" * count,
        old + bytes(-len(old) % 8) + new,
    ]


def mangled(rng: Random, data: bytes) -> bytes:
    """Another file: some bytes or words changed, a piece cut, doubled or moved."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8, 30))):
        if not out:
            break
        at = (
            rng.randrange(len(out)) if rng.random() < 0.5 else rng.randrange(min(len(out), rng.choice((64, 512, 2048))))
        )
        kind = rng.random()
        if kind < 0.3:
            out[at] = rng.randrange(256)
        elif kind < 0.7:
            width = rng.choice((2, 4, 4, 8))
            at -= at % width
            value = rng.choice(_EDGES) if rng.random() < 0.6 else rng.randrange(len(out) + 64)
            if rng.random() < 0.1:
                value = (1 << 8 * width) - value - 1
            out[at : at + width] = (value & ((1 << 8 * width) - 1)).to_bytes(width, "little")
        elif kind < 0.8:
            del out[at:]
        elif kind < 0.9:
            piece = out[at : at + rng.randrange(1, 64)]
            to = rng.randrange(len(out))
            out[to : to + len(piece)] = piece
        else:
            out[at : at + 8] = bytes(8)
    return bytes(out)


def facts_of(data: bytes) -> FileFacts:
    """What a file with these bytes contains, as a real directory would be read."""
    if data.startswith(b"\x7fELF"):
        return FileFacts(elf=read_elf(data), loader=loader_facts(data), ldconfig=ldconfig_facts(data))
    if data.startswith((b"glibc-ld.so.cache", b"ld.so-1.7.0")):
        return FileFacts(ldcache=parse_cache(data))
    return FileFacts(head=data[:256])


def use(data: bytes) -> None:
    """Read it with both readers, which must agree, and put it into every role."""
    facts = facts_of(data)
    with tempfile.TemporaryFile() as stream:
        stream.write(data)
        stream.flush()
        fast = read_elf(stream.fileno())
        read_elf(stream.fileno(), symbols=False)
    if fast != facts.elf:
        raise AssertionError(f"the fast reader says {fast}, the reference {facts.elf}")
    parse_cache(data)

    def file(name: str, content: FileFacts, size: int = 4096) -> File:
        return File(size, ("mangle", name), content)

    broken = file("broken", facts, len(data))
    plain = file("plain", FileFacts(elf=ElfFacts(interp=INTERP, needed=("libbroken.so", "libc.so.6"))))
    loader = file("loader", FileFacts(elf=ElfFacts(soname="ld-linux-x86-64.so.2"), loader=_LOADER))
    library = file("library", FileFacts(elf=ElfFacts(soname="libc.so.6")))
    for path in ("/broken", "/plain"):
        for cache in (False, True):
            nodes: dict[str, Node] = {
                "/broken": broken,
                "/plain": plain,
                INTERP: loader,
                "/lib/libc.so.6": library,
                "/usr/lib/libbroken.so": broken,
            }
            if cache:
                nodes["/etc/ld.so.cache"] = broken
            call = DlopenCall("/usr/lib/libbroken.so")
            run(MemoryTree("mangle", nodes), ProcessRequest(path, (path,), dlopen=(call, DlopenCall("lib3.so.3"))))
    own = {"/plain": plain, INTERP: broken, "/lib/libc.so.6": library}
    run(MemoryTree("mangle", own), ProcessRequest("/plain", ("/plain",)))


def trouble(
    seed: str, count: int, tell: Callable[[str], None] = lambda text: None, also: Sequence[bytes] = ()
) -> tuple[list[Trouble], Counter[str]]:
    """Make `count` mutations of the good files and of `also`; what went wrong, and how many ended how."""
    files = [*good_files(), *also]
    found: list[Trouble] = []
    ends: Counter[str] = Counter()
    for number in range(count):
        rng = Random(f"{seed} {number}")
        data = mangled(rng, rng.choice(files))
        started = time.perf_counter()
        try:
            use(data)
            end = "read"
        except InputError:
            end = "InputError"
        except Exception:
            end = "another exception"
            found.append(Trouble(number, data, traceback.format_exc(limit=-4)))
        taken = time.perf_counter() - started
        if taken > SLOWEST:
            found.append(Trouble(number, data, f"took {taken:.1f} s"))
        ends[end] += 1
        if number % 10000 == 9999:
            tell(f"{number + 1} mutations, {len(found)} troubles")
    return found, ends


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz mangle", description=__doc__)
    parser.add_argument("--seed", default="0")
    parser.add_argument("--count", type=int, default=50000)
    parser.add_argument("--show", type=int, default=5)
    parser.add_argument("--also", nargs="*", type=Path, default=(), help="more files to start from")
    options = parser.parse_args(argv)
    also = [path.read_bytes() for path in options.also]
    found, ends = trouble(options.seed, options.count, lambda text: print(text, flush=True), also)
    for each in found[: options.show]:
        print(f"mutation {each.number}: {each.what}")
    print(f"{options.count} mutations: {', '.join(f'{n} {k}' for k, n in sorted(ends.items()))}; {len(found)} troubles")
    return 1 if found else 0
