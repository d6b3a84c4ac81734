"""One scenario after the other: generated, run for real, predicted, compared."""

from __future__ import annotations

import shutil
from random import Random

from attrs import evolve, frozen

from fuzz.generate import generate
from fuzz.jail import Jail
from fuzz.loaders import RealLoader
from fuzz.predict import Observation, debug_output, difference, observed, outcome_of, predicted, silenced
from fuzz.scenario import Built, InvalidScenarioError, Scenario, build, lay
from nvsim.loader.outcome import Machine, Outcome
from nvsim.loader.trace import debug_lines


@frozen(slots=True)
class Compared:
    """One scenario's results. `differs`: what differs, None when nothing does; `unknown`: why nvsim does not know."""

    built: Built
    real: Observation
    ours: Observation | None
    outcome: Outcome
    differs: str | None
    unknown: str | None


class Engine:
    """What stays from scenario to scenario: the jail, the loader's files copied into it, the simulated machine. `trace`: what
    LD_DEBUG=libs prints is compared too, in a second run."""

    def __init__(self, jail: Jail, loader: RealLoader, machine: Machine, *, trace: bool = False):
        self.jail, self.loader, self.machine, self.trace = jail, loader, machine, trace and loader.kind == "glibc"
        self.base = jail.roots[True].parent / "base"
        self.base.mkdir()
        for name, path in loader.files.items():
            shutil.copy(path, self.base / name)
            (self.base / name).chmod(0o755)

    def generated(self, seed: str) -> Scenario:
        """The scenario of a seed text."""
        return generate(Random(seed), self.loader, self.jail.users)

    def real(self, built: Built) -> Observation:
        """Run it."""
        scenario = built.scenario
        root = self.jail.clean(scenario["proc"])
        lay(built, root, self.loader, self.base)
        if not (root / scenario["cwd"].lstrip("/")).is_dir():
            raise InvalidScenarioError("no working directory")
        place = {"cwd": scenario["cwd"], "uid": scenario["uid"]}
        seen = observed(self.jail.run(root, scenario["exec"], scenario["argv"], scenario["env"], **place))
        if not self.traced(scenario, seen):
            return seen
        env = {**scenario["env"], "LD_DEBUG": "libs"}
        return evolve(seen, debug=debug_output(self.jail.run(root, scenario["exec"], scenario["argv"], env, **place)))

    def traced(self, scenario: Scenario, seen: Observation) -> bool:
        """Whether LD_DEBUG counts: a set-uid program's loader does not hear it, and one that runs in circles says too much."""
        return self.trace and not scenario["secure"] and not seen.end.startswith("signal")

    def compare(self, scenario: Scenario) -> Compared:
        """Run and predict. Raises `InvalidScenarioError`."""
        built = build(scenario, self.loader)
        real = self.real(built)
        outcome = outcome_of(scenario, built.tree, self.machine)
        ours = predicted(outcome)
        if ours is not None and self.traced(scenario, real):
            ours = evolve(ours, debug=tuple(debug_lines(outcome)))
        if not self.loader.talks:
            real, ours = silenced(real), None if ours is None else silenced(ours)
        return Compared(built, real, ours, outcome, difference(real, ours), outcome.unknown if ours is None else None)
