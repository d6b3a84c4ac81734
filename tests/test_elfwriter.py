"""The ELF writer of the tests makes files that the real loader accepts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from elfcode import CALL_X86_64, CALL_X86_64_SOURCE, MAIN_X86_64, MAIN_X86_64_SOURCE
from elfwriter import Call, Program, write_elf

LOADER = Path("/lib64/ld-linux-x86-64.so.2")


@pytest.mark.skipif(not (shutil.which("as") and shutil.which("objcopy")), reason="no assembler")
@pytest.mark.parametrize(
    ("source", "code"), [(MAIN_X86_64_SOURCE, MAIN_X86_64), (CALL_X86_64_SOURCE, CALL_X86_64)], ids=["main", "call"]
)
def test_machine_code_is_what_its_source_says(source: str, code: bytes, tmp_path: Path) -> None:
    subprocess.run(["as", "-o", tmp_path / "x.o"], input=source.encode(), check=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", tmp_path / "x.o", tmp_path / "x.bin"], check=True)
    assert (tmp_path / "x.bin").read_bytes() == code


@pytest.mark.skipif(not LOADER.exists(), reason="no glibc loader on this machine")
def test_program_calls_dlopen_from_itself_and_from_a_library(tmp_path: Path) -> None:
    def put(name: str, data: bytes) -> None:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).chmod(0o755)

    calls = (Call("libbar.so"), Call("libbar.so", caller=77), Call("libfoo.so.1", flags=6), Call("x", caller=5))
    program = Program(exit=3, calls=calls)
    needed = ("libfoo.so.1", "libc.so.6")
    put("main", write_elf(interp=str(LOADER), needed=needed, rpath="$ORIGIN", program=program, flags_1=0x8000000))
    put("libfoo.so.1", write_elf(soname="libfoo.so.1", runpath="$ORIGIN/r", tag=77, defs=frozenset({"a", "b"})))
    put("r/libbar.so", write_elf(undef=("a",), undef_lazy=("b",), needed=("libfoo.so.1",)))
    done = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=False)
    said = [line for line in done.stdout.splitlines() if not line.startswith("M")]
    assert said == [
        "B ",
        "E libbar.so: cannot open shared object file: No such file or directory",
        f"O {tmp_path}/r/libbar.so",
        f"O {tmp_path}/libfoo.so.1",
        "S ",
    ]
    assert (done.returncode, done.stderr) == (3, "")
