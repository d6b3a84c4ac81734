"""Answers that come from memory are those that would be computed anew, over any sequence of changed questions; and they come fast."""

from __future__ import annotations

import json
import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from nvsim.diagnosis.explain import diagnose
from nvsim.errors import InputError
from nvsim.inject.plan import bare
from nvsim.loader.outcome import ExecStep, Machine, Outcome
from nvsim.memo import Memo
from nvsim.report.json import result_json
from nvsim.rootfs.overlay import RootFS
from nvsim.rootfs.tree import MemoryTree
from nvsim.scenario.engine import Process
from nvsim.scenario.processes import KeptProcesses
from nvsim.scenario.read import scenario_from_json
from nvsim.scenario.sources import Sources
from nvsim.simulate import MOST_RESULTS, ProcessResult, simulate

HOSTS = ["eks-al2-2021", "eks-al2-535", "ubuntu2404-550", "nixos-550", "ubuntu2204-535"]
IMAGES = ["example:nix-torch", "example:cuda-12.2-base-ubuntu2204", "example:alpine"]
EDITS: dict[str, list[Any]] = {
    "host": HOSTS,
    "image": IMAGES,
    "NVIDIA_VISIBLE_DEVICES": [None, "all", "0", "none", "nonsense"],
    "NVIDIA_DRIVER_CAPABILITIES": [None, "all", "compute", "utility,compute", "graphics", "wrong"],
    "LD_LIBRARY_PATH": [None, "", "/usr/lib64", "/usr/lib/x86_64-linux-gnu:/usr/lib64", "/opt/none"],
    "LD_PRELOAD": [None, "libcuda.so.1", "/no/such.so"],
    "PATH": [None, "/nowhere", "/usr/bin:/bin"],
    "FOO": [None, "bar"],
    "NVIDIA_REQUIRE_CUDA": [None, "cuda>=99.0", "cuda>=11.0"],
    "CUDA_VERSION": [None, "11.8.0", "nonsense"],
    "MY_GPUS": [None, "0", "all"],
    "argv": [None, ["nvidia-smi"], ["/no/such"], ["sh", "-c", "true"]],
    "dlopen": [None, ["libcuda.so.1"], ["libnvidia-ml.so.1", "libGL.so.1"]],
    "gpus": [None, "all", "device=0"],
    "user": [None, "1000"],
    "mode": [None, "legacy", "cdi", "jit-cdi"],
    "config_set": [None, ["swarm-resource=MY_GPUS"], ["nvidia-container-cli.no-cgroups=true"]],
    "rootless": [None, True],
    "toolkit_version": [None, "1.10.0", "1.17.8"],
    "privileged": [None, True],
    "volume": [None, ["/etc:/host/etc:ro"]],
}
EDIT = st.sampled_from(sorted(EDITS)).flatmap(lambda name: st.tuples(st.just(name), st.sampled_from(EDITS[name])))


def query_of(state: dict[str, Any]) -> dict[str, Any]:
    given_ = {k: v for k, v in state.items() if v is not None}
    env = {k: given_.pop(k) for k in list(given_) if k.isupper()}
    return {**given_, "env": env}


def answer(state: dict[str, Any], sources: Sources) -> str:
    try:
        scenario = scenario_from_json(query_of(state), sources)
        result = simulate(scenario, sources.programs)
        return json.dumps(result_json(diagnose(result, sources.programs)), sort_keys=True)
    except InputError as e:
        return f"input error: {e}"


SHARED = Sources()


@settings(max_examples=10, deadline=None)
@given(st.lists(EDIT, min_size=1, max_size=4))
def test_remembered_answers_are_the_computed_ones(edits: list[tuple[str, Any]]) -> None:
    state: dict[str, Any] = {"host": "eks-al2-535", "image": "example:nix-torch", "NVIDIA_VISIBLE_DEVICES": "all"}
    for name, value in edits:
        state[name] = value
        remembered = answer(state, SHARED)
        assert remembered == answer(state, SHARED)
    assert remembered == answer(state, Sources())


def rotating(sources: Sources, number: int) -> Any:
    env = {
        "NVIDIA_VISIBLE_DEVICES": "all",
        "NVIDIA_DRIVER_CAPABILITIES": ["all", "compute", "utility"][number % 3],
        "LD_LIBRARY_PATH": f"/opt/{number}:/usr/lib64",
    }
    return scenario_from_json({"host": "eks-al2-535", "image": "example:nix-torch-fixed", "env": env}, sources)


def test_a_changed_search_path_runs_the_search_and_not_the_injection() -> None:
    sources = Sources()
    for number in range(30):
        simulate(rotating(sources, number), sources.programs)
    memo = sources.image("example:nix-torch-fixed").memo
    assert memo.misses["ready"] == 3
    assert memo.hits["ready"] == 27
    assert memo.misses["result"] == 30


def test_the_memory_is_bounded() -> None:
    sources = Sources()
    memo = sources.image("example:nix-torch-fixed").memo
    for number in range(MOST_RESULTS + 10):
        simulate(rotating(sources, number), sources.programs)
        assert memo.kept("result") <= MOST_RESULTS
    simulate(rotating(sources, 0), sources.programs)
    assert memo.misses["result"] == MOST_RESULTS + 11  # the oldest answer was dropped


def test_the_same_question_is_a_look_up() -> None:
    sources = Sources()
    simulate(rotating(sources, 1), sources.programs)
    scenario = rotating(sources, 1)
    best = float("inf")
    for _ in range(20):
        start = time.perf_counter()
        for _ in range(20):
            simulate(scenario, sources.programs)
        best = min(best, (time.perf_counter() - start) / 20)
    assert best < 100e-6  # the goal is 25 µs; a busy machine gets some room


def scenario_on(host: str, sources: Sources, **query: Any) -> Any:
    return scenario_from_json({"host": host, "image": "example:debian12", **query}, sources)


def test_the_order_of_questions_makes_no_difference() -> None:
    env: list[dict[str, Any]] = [
        {},
        {"NVIDIA_VISIBLE_DEVICES": "all"},
        {"NVIDIA_VISIBLE_DEVICES": "0"},
        {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "all"},
        {"gpus": "all"},
    ]
    hosts = ("ubuntu2204-535", "ubuntu2404-550")
    asked = [{"host": host, "image": "example:debian12", **query} for query in env for host in hosts]
    numbers = range(len(asked))
    answers = []
    for order in (numbers, reversed(numbers), sorted(numbers, key=lambda n: n * 7 % len(asked))):
        sources = Sources()
        found = {number: answer(asked[number], sources) for number in order}
        answers.append([found[number] for number in numbers])
    assert answers[0] == answers[1] == answers[2]


def test_requests_that_come_to_the_same_work_share_a_root() -> None:
    sources = Sources()
    everything, first = (
        simulate(scenario_on("eks-al2-535", sources, env={"NVIDIA_VISIBLE_DEVICES": which}), sources.programs)
        for which in ("all", "0")
    )
    assert everything.plan is not None and first.plan is not None and everything.injected is not None
    assert everything.plan != first.plan and bare(everything.plan) == bare(first.plan)  # one GPU, asked for in two ways
    assert first.injected is not None and first.injected.rootfs is everything.injected.rootfs


def test_the_runtime_is_asked_once_for_containers_that_differ_in_what_it_does_not_read() -> None:
    sources = Sources()
    for number in range(5):
        env = {"NVIDIA_VISIBLE_DEVICES": "all", "FOO": str(number)}
        simulate(scenario_on("ubuntu2404-550", sources, env=env, argv=["true", str(number)]), sources.programs)
    memo = sources.host("ubuntu2404-550").memo
    assert (memo.misses["runtime"], memo.hits["runtime"]) == (1, 4)
    assert (memo.misses["request"], memo.hits["request"]) == (1, 4)


class Runs:
    """A stand-in for `run_process` that tells what it was given."""

    def __init__(self, *steps: ExecStep):
        self.outcome = Outcome("exit", started=True, steps=steps)
        self.envs: list[tuple[str, ...]] = []

    def __call__(self, rootfs: RootFS, process: Process, *rest: Any) -> ProcessResult:
        self.envs.append(process.env)
        return ProcessResult(process.argv, "exit", "ok", "", outcome=self.outcome)

    def ask(self, argv: tuple[str, ...]) -> list[tuple[str, ...]]:
        """What is run for two values of a variable of the toolkit."""
        known = KeptProcesses(self, Memo(), RootFS(MemoryTree("image", {})), Machine(), (), {})
        for value in ("all", "0"):
            known.run(Process(argv, ("A=b", f"NVIDIA_VISIBLE_DEVICES={value}"), "/", 0, 0))
        return self.envs


PROGRAM = ExecStep("program", "/app", "/app", "given to execve")


def test_a_program_that_runs_by_itself_is_run_once_for_all_requests() -> None:
    assert Runs(PROGRAM).ask(("/app",)) == [("A=b",)]


def test_scripts_and_wrappers_see_the_variables_of_the_toolkit() -> None:
    both = [("A=b", "NVIDIA_VISIBLE_DEVICES=all"), ("A=b", "NVIDIA_VISIBLE_DEVICES=0")]
    script = ExecStep("script-interpreter", "/bin/sh", "/bin/sh", "first line of /app")
    assert Runs(PROGRAM, script).ask(("/app",)) == [("A=b",), *both]
    assert Runs(PROGRAM, PROGRAM).ask(("/app",)) == [("A=b",), *both]
    assert Runs(PROGRAM).ask(("sh", "-c", "/app $NVIDIA_VISIBLE_DEVICES")) == both
