"""The command line of the fuzzer: runs scenarios for a number or a time, shrinks what differs, prints what occurred."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import define, field

from fuzz.engine import Compared, Engine
from fuzz.histogram import features, table
from fuzz.jail import JailError, entered
from fuzz.loaders import NoLoaderError, real_loader
from fuzz.mutants import MUTANTS, broken
from fuzz.predict import expectation, signature
from fuzz.scenario import InvalidScenarioError, Scenario, exported
from fuzz.shrink import shrunk
from nvsim.loader.native import native_machine

FOUND = Path(__file__).parent / "found"
UNAVAILABLE = 77  # exit status: there is no such loader, or the kernel refuses namespaces


@define
class Tally:
    """What a run counts."""

    counts: Counter[str] = field(factory=Counter)
    unknown: Counter[str] = field(factory=Counter)
    compared: int = 0
    invalid: int = 0
    started: int = 0
    different: int = 0


def main(argv: Sequence[str]) -> int:
    """Exit status: 0 no difference, 1 differences, 2 bad usage, 77 this machine cannot run it."""
    options = _parser().parse_args(argv)
    try:
        loader = real_loader(options.loader)
        with entered() as jail:
            return _fuzz(Engine(jail, loader, native_machine(), trace=options.trace), options)
    except (JailError, NoLoaderError) as e:
        print(f"cannot run: {e}", file=sys.stderr)
        return UNAVAILABLE


def _fuzz(engine: Engine, options: argparse.Namespace) -> int:
    loader = engine.loader
    print(
        f"{loader.kind} {loader.facts.version} for {loader.machine} ({loader.files['ld.so']}), seed {options.seed}",
        flush=True,
    )
    if options.mutants:
        return _mutants(engine, options)
    if options.mutant:
        with broken(MUTANTS[options.mutant]):
            return _report(_run(engine, options), engine, options)
    return _report(_run(engine, options), engine, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "--loader", default="glibc", help="glibc or musl (this machine's own), or the directory of an unpacked package"
    )
    parser.add_argument("--seed", default="0", help="any text; the same seed makes the same scenarios")
    parser.add_argument("--count", type=int, default=1000, help="how many scenarios (default 1000)")
    parser.add_argument("--seconds", type=float, default=None, help="stop after this time even if fewer were run")
    parser.add_argument(
        "--save", type=Path, default=None, help=f"directory for shrunk differences (they become tests in {FOUND.name}/)"
    )
    parser.add_argument("--show", type=int, default=5, help="shrink and show at most so many differences (default 5)")
    parser.add_argument("--trace", action="store_true", help="compare what LD_DEBUG=libs prints as well (glibc)")
    parser.add_argument("--mutants", action="store_true", help="check that every deliberately broken rule is found")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="run with this rule broken")
    parser.add_argument("--quiet", action="store_true", help="no histogram")
    return parser


def _scenarios(engine: Engine, seed: str, count: int, seconds: float | None) -> Iterator[tuple[int, Compared | None]]:
    started = time.monotonic()
    for number in range(count):
        if seconds is not None and time.monotonic() - started > seconds:
            return
        try:
            yield number, engine.compare(engine.generated(f"{engine.loader.kind} {seed} {number}"))
        except InvalidScenarioError:
            yield number, None


def _run(engine: Engine, options: argparse.Namespace) -> Tally:
    tally = Tally()
    for number, compared in _scenarios(engine, options.seed, options.count, options.seconds):
        if compared is None:
            tally.invalid += 1
            continue
        tally.compared += 1
        tally.started += compared.real.started
        tally.counts.update(features(compared))
        if compared.unknown is not None:
            tally.unknown[compared.unknown] += 1
        if compared.differs is not None:
            tally.different += 1
            if tally.different <= options.show:
                print(f"difference in {number}: {compared.differs}", flush=True)
                _show(engine, compared, options.save)
    return tally


def _show(engine: Engine, compared: Compared, save: Path | None) -> None:
    small = engine.compare(_shrink(engine, compared))
    query = exported(small.built, engine.loader, engine.machine)
    text = json.dumps({"input": query, "expect": expectation(small.real)}, indent=1, sort_keys=True)
    print(f"shrunk: {small.differs}\n{_brief(small.built.scenario)}", flush=True)
    if save is not None:
        save.mkdir(parents=True, exist_ok=True)
        path = save / f"{engine.loader.kind}-{hashlib.sha256(text.encode()).hexdigest()[:10]}.json"
        path.write_text(text + "\n")
        print(f"saved as {path}")


def _shrink(engine: Engine, compared: Compared) -> Scenario:
    kind = signature(compared.real, compared.ours)

    def still(scenario: Scenario) -> bool:
        try:
            now = engine.compare(scenario)
        except InvalidScenarioError:
            return False
        return now.differs is not None and signature(now.real, now.ours) == kind

    return shrunk(compared.built.scenario, still)


def _brief(scenario: Scenario) -> str:
    lines = [
        f"  {k}: {scenario[k]!r}"
        for k in ("exec", "argv", "env", "cwd", "uid", "secure", "proc", "dlopen")
        if scenario[k]
    ]
    lines += [f"  {path}: {json.dumps(entry)}" for path, entry in scenario["rootfs"]["tree"].items()]
    return "\n".join(lines)


def _report(tally: Tally, engine: Engine, options: argparse.Namespace) -> int:
    if not options.quiet:
        print(table(tally.counts))
    share = (
        f"{100 * tally.started / max(1, tally.compared):.0f} % of the programs start"
        if engine.loader.talks
        else "silent programs"
    )
    for why, number in tally.unknown.most_common():
        print(f"unknown {number}: {why}")
    print(
        f"{tally.compared} scenarios, {share}, {sum(tally.unknown.values())} unknown, "
        f"{tally.invalid} not written, {tally.different} different"
    )
    return 1 if tally.different else 0


def _mutants(engine: Engine, options: argparse.Namespace) -> int:
    """Break one rule after the other; each must show within `count` scenarios."""
    missed = 0
    for name, mutant in MUTANTS.items():
        if mutant.loader != engine.loader.kind:
            continue
        with broken(mutant):
            scenarios = _scenarios(engine, options.seed, options.count, options.seconds)
            found = next((n for n, c in scenarios if c is not None and c.differs is not None), None)
        missed += found is None
        print(f"{name}: " + ("NOT FOUND" if found is None else f"found in scenario {found}"), flush=True)
    return 1 if missed else 0
