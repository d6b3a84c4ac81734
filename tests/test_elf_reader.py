"""Reading ELF facts: what the writer wrote comes back, both readers agree, and nothing crashes or hangs them."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from elfwriter import Program, write_elf
from nvsim.elf.facts import ElfFacts, VersionNeed
from nvsim.elf.fast import OddError, read_fast
from nvsim.elf.header import header_size, read_header
from nvsim.elf.reader import read_elf
from nvsim.elf.reference import read_reference
from nvsim.elf.terms import HEAD, MAGIC
from nvsim.errors import InputError

NAMES = st.sampled_from(["libcuda.so.1", "libfoo.so", "libc.so.6", "x", "libü.so", "a b"])
PATHS = st.sampled_from(["/lib", "$ORIGIN/../lib:/usr/lib64", "", ":", "/a;b"])
SYMBOLS = st.sampled_from(["cuInit", "malloc", "free", "missing", "_Z1fv", "x"])
VERSIONS = st.sampled_from(["GLIBC_2.2.5", "GLIBC_2.34", "V_1", "GLIBC_PRIVATE"])


@st.composite
def elf_facts(draw: st.DrawFn) -> ElfFacts:
    machine, elf_class = draw(st.sampled_from([("x86_64", 64), ("i386", 32), ("aarch64", 64)]))
    symbols = draw(st.lists(SYMBOLS, unique=True))
    cut, also = sorted((draw(st.integers(0, len(symbols))), draw(st.integers(0, len(symbols)))))
    needs = []
    for file in draw(st.lists(NAMES, unique=True, max_size=2)):
        versions = tuple(draw(st.lists(VERSIONS, unique=True, min_size=1)))
        weak = frozenset(v for v in versions if draw(st.booleans()))
        needs.append(VersionNeed(file, versions, weak))
    return ElfFacts(
        elf_class=elf_class,
        machine=machine,
        type=draw(st.sampled_from(["DYN", "EXEC"])),
        interp=draw(st.none() | st.sampled_from(["/lib64/ld-linux-x86-64.so.2", "/nix/store/x/ld.so"])),
        soname=draw(st.none() | NAMES),
        needed=tuple(draw(st.lists(NAMES, max_size=4))),
        rpath=draw(st.none() | PATHS),
        runpath=draw(st.none() | PATHS),
        auxiliary=tuple(draw(st.lists(NAMES, max_size=1))),
        filter=tuple(draw(st.lists(NAMES, max_size=1))),
        flags_1=draw(st.sampled_from([0, 0x800, 0x8000000, 0x40])),
        verneed=tuple(needs),
        verdef=tuple(draw(st.lists(VERSIONS, unique=True))),
        defs=frozenset(symbols[:cut]),
        undef=tuple(symbols[cut:also]),
        undef_lazy=tuple(symbols[also:]),
        abi_tag=draw(st.none() | st.sampled_from(["Linux 3.2.0", "Hurd 2.0.0", "7 1.2.3"])),
        osabi=draw(st.sampled_from([0, 3, 9])),
        ev=draw(st.sampled_from([1, 2])),
        data=draw(st.sampled_from([1, 1, 1, 2])),
        stack=draw(st.sampled_from(["rw", "rwx", None])),
        isa_needed=draw(st.sampled_from([0, 2, 4, 0x100000])),
        relr=draw(st.booleans()),
        tls=draw(st.sampled_from([0, 16])),
    )


def both(data: bytes, directory: Path) -> tuple[ElfFacts | None, ElfFacts]:
    """What the direct reader (None: it declined) and the reference say."""
    header = read_header(data[:HEAD])
    reference = read_reference(io.BytesIO(data), len(data), header)
    path = directory / "x"
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        return read_fast(fd, len(data), data[:HEAD], header, True), reference
    except OddError:
        return None, reference
    finally:
        os.close(fd)


@given(elf_facts(), st.sampled_from([("gnu",), ("sysv",), ("gnu", "sysv")]))
@settings(max_examples=150, deadline=None)
def test_facts_that_were_written_are_read(
    tmp_path_factory: pytest.TempPathFactory, facts: ElfFacts, hashes: tuple[str, ...]
) -> None:
    data = write_elf(facts, hashes=hashes, program=Program() if facts.interp else None)
    fast, reference = both(data, tmp_path_factory.getbasetemp())
    assert reference == facts
    assert fast == facts if facts.data == 1 else fast is None
    assert read_elf(data) == facts


@given(elf_facts(), st.data())
@settings(max_examples=400, deadline=None)
def test_readers_agree_and_end_soon_on_damaged_files(
    tmp_path_factory: pytest.TempPathFactory, facts: ElfFacts, data: st.DataObject
) -> None:
    raw = bytearray(write_elf(facts))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(4, len(raw) - 1) | st.integers(4, 600).filter(lambda n: n < len(raw)))
        raw[at] = data.draw(st.sampled_from([0, 1, 255, 128, 64]) | st.integers(0, 255))
    if data.draw(st.booleans()):
        raw = raw[: data.draw(st.integers(64, len(raw)))]
    began = time.perf_counter()
    fast, reference = both(bytes(raw), tmp_path_factory.getbasetemp())
    assert time.perf_counter() - began < 1
    if fast is not None and reference.defs is None:
        fast = evolve(fast, defs=None, undef=None, undef_lazy=None)
    assert fast is None or fast == reference


def test_readers_agree_on_the_files_of_this_machine() -> None:
    files = sorted(Path("/usr/bin").iterdir())[::7]
    compared = 0
    for path in files:
        if path.is_symlink() or not path.is_file():
            continue
        with path.open("rb") as stream:
            head = stream.read(HEAD)
            if head[:4] != MAGIC:
                continue
            size = path.stat().st_size
            fast = read_fast(stream.fileno(), size, head, read_header(head), True)
            reference = read_reference(stream, size, read_header(head), True, 2000)
        if reference.defs is None:
            fast = evolve(fast, defs=None, undef=None, undef_lazy=None)
        assert fast == reference, path
        compared += 1
    assert compared > 10


def test_undefined_symbols_of_a_file_that_binds_now_are_eager() -> None:
    facts = read_elf(write_elf(undef=("b",), undef_lazy=("a",), flags=8))
    assert facts is not None
    assert (facts.undef, facts.undef_lazy) == (("b", "a"), ())


def test_weak_undefined_symbols_are_no_needs() -> None:
    facts = read_elf(write_elf(undef=("b",), weak_undef=("w",)))
    assert facts is not None
    assert facts.undef == ("b",)


def test_undefined_symbols_carry_their_version() -> None:
    need = VersionNeed("libc.so.6", ("GLIBC_2.2.5",))
    facts = read_elf(write_elf(undef=("malloc@GLIBC_2.2.5", "b"), verneed=(need,)))
    assert facts is not None
    assert facts.undef == ("malloc@GLIBC_2.2.5", "b")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"abiversion": 7}, "ELF file ABI version invalid"),
        ({"padding": b"\0\0\0\0\0\0\1"}, "nonzero padding in e_ident"),
        ({"e_version": 2}, "ELF file version does not match current one"),
        ({"phentsize": 60}, "ELF file's phentsize not the expected size"),
        ({"loads": False, "nodyn": True}, "object file has no loadable segments"),
    ],
)
def test_what_a_loader_objects_to_is_told_in_its_words(change: dict[str, object], text: str) -> None:
    facts = read_elf(write_elf(**change))  # type: ignore[arg-type]
    assert facts is not None
    assert facts.malformed == text


def test_a_file_cut_within_its_segments_is_truncated() -> None:
    whole = write_elf(needed=("libc.so.6",))
    facts = read_elf(whole[:-8])
    assert facts is not None
    assert facts.truncate == len(whole) - 8
    assert read_elf(whole[:40]) == ElfFacts(stack=None, nodyn=True, truncate=40)


def test_what_is_no_elf_file_has_no_facts(tmp_path: Path) -> None:
    assert read_elf(b"") is None
    assert read_elf(b"#!/bin/sh\n") is None
    (tmp_path / "x").write_bytes(MAGIC)
    assert read_elf(tmp_path / "x") is not None
    with pytest.raises(InputError, match=r"x/y: cannot be read: Not a directory"):
        read_elf(tmp_path / "x" / "y")


def test_other_byte_order_is_read() -> None:
    little = write_elf(needed=("libc.so.6",), elf_class=32, machine="i386", hashes=("sysv",))
    assert header_size(little) == 52
    big = bytearray(little)
    big[5] = 2  # only the byte: the layout is what the sizes in the header say
    facts = read_elf(bytes(big))
    assert facts is not None
    assert (facts.data, facts.needed, facts.machine) == (2, ("libc.so.6",), "i386")
