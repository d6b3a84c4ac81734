"""`KeptProcesses`: the results of single programs in a prepared root, kept with the image by what can make a difference to them.

Running a program is `nvsim.simulate.run_process`; what is known here is which questions are the same one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from nvsim.frozen import evolve, frozen
from nvsim.loader.outcome import Machine
from nvsim.memo import Memo, Same
from nvsim.programs import KnownProgram
from nvsim.rootfs.overlay import RootFS
from nvsim.scenario.engine import Process
from nvsim.scenario.engine_words import DOCKER, Speaker
from nvsim.scenario.messages_wrappers import Meant, unwrap_once

if TYPE_CHECKING:
    from nvsim.simulate import ProcessResult

MOST_PROCESSES = 128  # of an image
_FOR_TOOLKIT = "NVIDIA_"  # the beginning of the variables that only the NVIDIA toolkit reads
_FEW_BYTES = 64 * 1024  # of variables, which execve takes with and without those


class Run(Protocol):
    """`nvsim.simulate.run_process`."""

    def __call__(self, rootfs: RootFS, process: Process, *rest: Any) -> ProcessResult: ...


@frozen
class KeptProcesses:
    """Processes of one root: settings that lead to the same root and process are one question. `memo` is the image's; `met`: see
    `nvsim.scenario.stages.driver_facts`."""

    run_process: Run
    memo: Memo
    rootfs: RootFS
    machine: Machine
    programs: tuple[KnownProgram, ...]
    met: Mapping[str, str | None]

    def run(
        self,
        process: Process,
        dlopen: tuple[str, ...] = (),
        dlopen_from: str = "main",
        speaker: Speaker = DOCKER,
    ) -> ProcessResult:
        """What comes of `process`. It is tried without the variables that speak to the toolkit, of which only a wrapper or a script could
        make use; where one took part, the process has all of them."""
        rest = (dlopen, dlopen_from, speaker)
        less = _without_toolkit(process)
        if less is not process:
            result = self._kept(less, rest)
            if _by_itself(result):
                return result
        return self._kept(process, rest)

    def _kept(self, process: Process, rest: tuple[tuple[str, ...], str, Speaker]) -> ProcessResult:
        met = dict(self.met)
        key = (Same(self.rootfs), process, self.machine, Same(self.programs), tuple(met.items()), *rest)
        return self.memo.get(
            "process",
            key,
            lambda: self.run_process(self.rootfs, process, self.machine, self.programs, met, *rest),
            MOST_PROCESSES,
        )


def seen_inside(process: Process, result: ProcessResult) -> Process:
    """`process`, whose `result` is known, with those of its variables that can make a difference to what runs."""
    return _without_toolkit(process) if _by_itself(result) else process


def _without_toolkit(process: Process) -> Process:
    """`process` without the variables that speak to the toolkit, unless a known wrapper is what it runs."""
    env = tuple(item for item in process.env if not item.startswith(_FOR_TOOLKIT))
    if len(env) == len(process.env) or sum(map(len, process.env)) >= _FEW_BYTES:
        return process
    outer = Meant(process.argv)
    return evolve(process, env=env) if unwrap_once(outer) is outer else process


def _by_itself(result: ProcessResult) -> bool:
    """Whether one program was executed as it is, or none: the loader then reads variables of its own alone."""
    if result.outcome is None:
        return True
    roles = [step.role for step in result.outcome.steps]
    return result.outcome.outcome != "unknown" and "script-interpreter" not in roles and roles.count("program") == 1
