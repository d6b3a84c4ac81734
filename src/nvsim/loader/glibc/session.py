"""The glibc process as callers see it: `start` makes it, then it answers any number of dlopens, `finish` gives the outcome."""

from __future__ import annotations

from nvsim.elf.facts import LoaderFacts
from nvsim.frozen import evolve
from nvsim.loader.execve import ExecImage
from nvsim.loader.glibc import options
from nvsim.loader.glibc.dlopen import dlopen
from nvsim.loader.glibc.setup import add_loader, new_outcome, new_process, rules_for
from nvsim.loader.glibc.startup import run_startup
from nvsim.loader.glibc.state import EndError, Object, Process
from nvsim.loader.outcome import DlopenCall, DlopenResult, Machine, Outcome, ProcessRequest
from nvsim.rootfs.tree import Tree


class GlibcSession:
    """A started process (or one that failed to start: see `outcome`)."""

    def __init__(self, process: Process, outcome: Outcome):
        self._process = process
        self._dlopens: list[DlopenResult] = []
        self.outcome = outcome

    def dlopen(self, call: DlopenCall) -> DlopenResult:
        """Make one dlopen call."""
        if not self.outcome.started or any(d.ended for d in self._dlopens):
            return DlopenResult(call, None, "the process is not running")
        try:
            result = dlopen(self._process, call)
        except EndError as e:
            if e.outcome == "exit":
                self.outcome = evolve(self.outcome, stderr=self.outcome.stderr + e.text, exit_code=127)
                result = DlopenResult(call, False, None, ended=True)
            else:
                self.outcome = evolve(self.outcome, outcome=e.outcome, unknown=e.text)
                result = DlopenResult(call, None, e.text, ended=True)
        self._dlopens.append(result)
        return result

    def finish(self) -> Outcome:
        """The outcome with every dlopen made."""
        return evolve(self.outcome, dlopen=tuple(self._dlopens)) if self._dlopens else self.outcome


def start(
    tree: Tree, program: ExecImage, facts: LoaderFacts, request: ProcessRequest, machine: Machine
) -> GlibcSession:
    """Start `program` under the loader that execve put in front of it."""
    wishes = options.from_environment(request.env, rules_for(program, facts), secure=program.secure)
    process = new_process(tree, program, facts, wishes, machine)
    main = Object("", program.elf, program.file, program.path, names={""})
    main.origin = (program.path.rpartition("/")[0] or "/") if request.proc else wishes.origin_path
    process.enter(main)
    if program.interp is not None:
        add_loader(process, program.interp, program.interp, program.interp_file, program.interp_path)
    outcome = new_outcome(program, facts)
    if wishes.mode != options.NORMAL and program.secure:
        return GlibcSession(process, evolve(outcome, exit_code=5))
    return GlibcSession(process, run_startup(process, wishes, outcome))
