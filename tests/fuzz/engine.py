"""One scenario after the other: generated, run for real, predicted, compared."""

from __future__ import annotations

import shutil
from random import Random

from attrs import frozen

from fuzz.generate import generate
from fuzz.jail import Jail
from fuzz.loaders import RealLoader
from fuzz.predict import Observation, difference, observed, outcome_of, predicted, silenced
from fuzz.scenario import Built, InvalidScenarioError, Scenario, build, lay
from nvsim.loader.outcome import Machine, Outcome


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
    """What stays from scenario to scenario: the jail, the loader's files copied into it, the simulated machine."""

    def __init__(self, jail: Jail, loader: RealLoader, machine: Machine):
        self.jail, self.loader, self.machine = jail, loader, machine
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
        return observed(
            self.jail.run(
                root, scenario["exec"], scenario["argv"], scenario["env"], cwd=scenario["cwd"], uid=scenario["uid"]
            )
        )

    def compare(self, scenario: Scenario) -> Compared:
        """Run and predict. Raises `InvalidScenarioError`."""
        built = build(scenario, self.loader)
        real = self.real(built)
        outcome = outcome_of(scenario, built.tree, self.machine)
        ours = predicted(outcome)
        if not self.loader.talks:
            real, ours = silenced(real), None if ours is None else silenced(ours)
        return Compared(built, real, ours, outcome, difference(real, ours), outcome.unknown if ours is None else None)
