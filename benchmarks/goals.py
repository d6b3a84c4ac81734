"""The table of goals: what is measured, against what, and which ratio is good enough."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import NVSIM, Command, in_process, interleaved, once
from benchmarks.peers import Peer, dynamic_files, program_with_many
from nvsim.frozen import frozen

PYTHON = sys.executable
RUN = (NVSIM, "run", "--host", "eks-al2-535", "-e", "NVIDIA_VISIBLE_DEVICES=all", "example:nix-torch")


@frozen
class Row:
    """One line of the table. `measured` and `against` in `unit`; `goal` is the largest allowed `measured / against` (None: `against` is
    itself the limit, `least` turns that round). `against` None: the peer is missing."""

    work: str
    measured: float
    against: float | None
    peer: str
    goal: float = 1.0
    unit: str = "ms"
    least: bool = False

    @property
    def ratio(self) -> float | None:
        return self.measured / self.against if self.against else None

    @property
    def met(self) -> bool | None:
        if self.ratio is None:
            return None
        return self.ratio >= self.goal if self.least else self.ratio <= self.goal


def rows(peers: dict[str, Peer], rounds: int) -> Iterator[Row]:
    """Measure and give every row of the table, one after the other."""
    with tempfile.TemporaryDirectory() as cache:
        env = {"XDG_CACHE_HOME": cache}
        yield from _starting(env, rounds)
        loader = peers["ld.so"].argv
        if loader is not None:
            yield from _one_program(peers, loader, env, rounds)
        yield from _all_programs(peers, env, max(1, rounds // 10))
    yield from _inside()
    yield from _memory()


def _starting(env: dict[str, str], rounds: int) -> Iterator[Row]:
    names = {
        "pass": Command((PYTHON, "-c", "pass")),
        "import": Command((PYTHON, "-c", "import nvsim")),
        "help": Command((NVSIM, "--help"), env),
        "run": Command(RUN, env),
    }
    took = {name: 1000 * seconds for name, seconds in interleaved(names, rounds).items()}
    peer = "python -c pass"
    yield Row("`import nvsim`", took["import"], took["pass"], peer, 1.5)
    yield Row("`nvsim --help`", took["help"], took["pass"], peer, 6)
    yield Row("`nvsim run --host X example:Y`, warm", took["run"], took["pass"], peer, 20)


def _one_program(peers: dict[str, Peer], loader: tuple[str, ...], env: dict[str, str], rounds: int) -> Iterator[Row]:
    program, count = program_with_many(loader)
    ldd = (NVSIM, "ldd", "/", program)
    commands = {
        "warm": Command(ldd, env),
        "cold": Command(ldd, {"NVSIM_NO_CACHE": "1"}),
        "ld.so": Command((*loader, program)),
    }
    lddtree = peers["lddtree"].argv
    if lddtree is not None:
        commands["lddtree"] = Command((*lddtree, program), accept=None)
    took = {name: 1000 * seconds for name, seconds in interleaved(commands, rounds).items()}
    what = f"`nvsim ldd / {program}` ({count} libraries)"
    yield Row(f"{what}, facts cached", took["warm"], took.get("lddtree"), "lddtree", 0.5)
    yield Row(f"{what}, cold", took["cold"], took.get("lddtree"), "lddtree")
    inside = in_process("what_if", program)
    yield Row(f"one what-if in process, {count} libraries", 1000 * inside["new"], took["ld.so"], "ld.so --list", 0.25)


def _all_programs(peers: dict[str, Peer], env: dict[str, str], rounds: int) -> Iterator[Row]:
    files = dynamic_files()
    ldd = (NVSIM, "ldd", "/", *files)
    once(Command(ldd, env))
    commands = {"warm": Command(ldd, env)}
    if peers["libtree"].argv is not None:
        commands["libtree"] = Command((*peers["libtree"].argv, "-vvv", *files), accept=None)
    took = interleaved(commands, rounds)
    what = f"`nvsim ldd /` for {len(files)} programs and libraries"
    yield Row(f"{what}, warm", took["warm"], took.get("libtree"), "libtree -vvv", unit="s")
    cold = once(Command(ldd, {"NVSIM_NO_CACHE": "1"}))
    lddtree = peers["lddtree"].argv
    slow = once(Command((*lddtree, *files), accept=None)) if lddtree is not None else None
    yield Row(f"{what}, cold", cold, slow, "lddtree", 0.25, "s")


def _inside() -> Iterator[Row]:
    took = in_process("run_rotating")
    what = (
        f"`run` in process, {took['libraries']:.0f} libraries, capabilities and LD_LIBRARY_PATH rotate, mean of 1,000"
    )
    yield Row(what, 1000 * took["mean"], 1, "limit")
    yield Row("the same question again", 1e6 * took["again"], 25, "limit", unit="µs")
    batch = in_process("batch_rate")
    what = f"`nvsim batch`, 10,000 `run` queries, {batch['distinct']:,.0f} different ones over all shipped hosts and images"
    yield Row(f"{what}: from nothing", batch["first"], 1500, "limit", unit="/s", least=True)
    yield Row("... once more in the same process", batch["again"], 1500, "limit", unit="/s", least=True)
    yield Row("... memory after 20,000, against after 10,000", batch["late"], batch["early"], "itself", 1.05, "MB")


def _memory() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        directory, file = make_tree(Path(folder), 100_000)
        for what, path in (("directory", directory), ("tree file", file)):
            used = in_process("tree_memory", str(path))
            yield Row(f"memory for a {what} of 100,000 files", used["megabytes"], 150, "limit", unit="MB")


def make_tree(folder: Path, files: int, *, directory: bool = True) -> tuple[Path, Path]:
    """A directory of `files` small files, 200 in each of its directories (unless not wanted), and a tree file that says the same."""
    top = folder / "root"
    folder.mkdir(exist_ok=True)
    document = folder / "tree.json"
    with document.open("w") as out:
        out.write('{"format":"nvsim-tree/1","tree":{')
        for n in range(files):
            comma = "" if n == 0 else ",\n"
            out.write(
                f'{comma}"/usr/directory{n // 200}/file{n}": {{"type":"file","size":{1 + n % 100},"mode":"0644"}}'
            )
            if directory:
                at = top / f"usr/directory{n // 200}"
                if n % 200 == 0:
                    at.mkdir(parents=True)
                os.close(os.open(at / f"file{n}", os.O_CREAT | os.O_WRONLY, 0o644))
                os.truncate(at / f"file{n}", 1 + n % 100)
        out.write("}}")
    return top, document
