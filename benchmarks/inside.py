"""Measurements of functions, each in a process of its own: ``python -m benchmarks.inside NAME ARGUMENT...`` prints one JSON object."""

from __future__ import annotations

import itertools
import json
import resource
import sys
import time
from collections.abc import Callable
from statistics import mean, median


def peak_megabytes() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def what_if(program: str) -> dict[str, float]:
    """One environment variable changed, an answer never computed before. Seconds."""
    from nvsim.loader.native import native_machine
    from nvsim.loader.outcome import ProcessRequest
    from nvsim.loader.process import run
    from nvsim.rootfs.directory import DirectoryTree

    tree, machine = DirectoryTree("/"), native_machine()

    def ask(value: str) -> tuple[float, int]:
        request = ProcessRequest(program, (program,), (("LD_LIBRARY_PATH", value),))
        start = time.process_time()
        outcome = run(tree, request, machine)
        return time.process_time() - start, len(outcome.objects)

    objects = ask("")[1]
    ask("/opt/warm")
    new = [ask(f"/opt/dir{n}")[0] for n in range(200)]
    return {"new": median(new), "objects": objects}


def _scenarios(count: int) -> tuple[list[object], tuple[object, ...]]:
    from nvsim.scenario.read import scenario_from_json
    from nvsim.scenario.sources import Sources

    sources = Sources()
    capabilities = ["compute", "utility", "compute,utility", "all", "graphics,utility", "video,compute", "display"]
    rotating = itertools.cycle(capabilities)
    out: list[object] = []
    for n in range(count):
        env = {
            "NVIDIA_VISIBLE_DEVICES": "all",
            "NVIDIA_DRIVER_CAPABILITIES": next(rotating),
            "LD_LIBRARY_PATH": f"/opt/dir{n}:/usr/lib64",
        }
        out.append(scenario_from_json({"host": "eks-al2-535", "image": "example:nix-torch-fixed", "env": env}, sources))
    return out, sources.programs


def run_rotating() -> dict[str, float]:
    """`simulate` over 1,000 scenarios whose capabilities and LD_LIBRARY_PATH rotate, so that no answer repeats. Seconds a run."""
    from nvsim.simulate import simulate

    scenarios, programs = _scenarios(1010)
    times = []
    for scenario in scenarios:
        start = time.process_time()
        result = simulate(scenario, programs)  # type: ignore[arg-type]
        times.append(time.process_time() - start)
    outcome = result.main.outcome
    calls = 2000
    start = time.process_time()
    for _ in range(calls):
        simulate(scenarios[-1], programs)  # type: ignore[arg-type]
    again = (time.process_time() - start) / calls
    attempts = [a for r in result.main.runs for s in r.steps for a in s.attempts]
    libraries = len(outcome.objects) + sum(len(a.new_objects) for a in attempts) if outcome else 0
    return {"mean": mean(times[10:]), "median": median(times[10:]), "again": again, "libraries": libraries}


def batch_rate() -> dict[str, float]:
    """10,000 mixed `run` queries over all shipped images and hosts. Queries a second, from nothing and once more, and megabytes after each."""
    from nvsim.__main__ import collect_seldom
    from nvsim.batch import answers
    from nvsim.host.datadir import data_dir
    from nvsim.host.read import list_hosts
    from nvsim.image.example import list_examples

    collect_seldom()  # as the command does
    data = data_dir()
    hosts, images = list_hosts(data), list_examples(data)
    settings: list[dict[str, object]] = [
        {},
        {"env": {"NVIDIA_VISIBLE_DEVICES": "all"}},
        {"env": {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "all"}},
        {"env": {"NVIDIA_VISIBLE_DEVICES": "0", "LD_LIBRARY_PATH": "/usr/lib64"}, "dlopen": ["libcuda.so.1"]},
        {"gpus": "all"},
    ]

    def queries(count: int, first: int) -> list[str]:
        out = []
        for n in range(first, first + count):
            image = images[n // len(hosts) % len(images)]
            setting = settings[n % len(settings)]
            query = {"host": hosts[n % len(hosts)], "image": f"example:{image}", **setting}
            out.append(json.dumps({"id": n, "kind": "run", "input": query}))
        return out

    distinct = len(hosts) * len(images) * len(settings)
    start = time.process_time()
    failed = sum('"error":{"message"' in line for line in answers(queries(10_000, 0)))
    first = 10_000 / (time.process_time() - start)
    early = peak_megabytes()
    start = time.process_time()
    failed += sum('"error":{"message"' in line for line in answers(queries(10_000, 0)))
    again = 10_000 / (time.process_time() - start)
    return {
        "first": first,
        "again": again,
        "early": early,
        "late": peak_megabytes(),
        "failed": failed,
        "distinct": distinct,
    }


def tree_memory(path: str) -> dict[str, float]:
    """Megabytes, and seconds to look at every node of an image."""
    from pathlib import Path

    from nvsim.image.read import load_image
    from nvsim.rootfs.tree import walk

    start = time.process_time()
    count = sum(1 for _ in walk(load_image(path, Path("/nowhere")).tree))
    return {"megabytes": peak_megabytes(), "seconds": time.process_time() - start, "files": count}


def _program(needed: dict[str, list[str]], folder: str) -> dict[str, object]:
    """Tree entries of a glibc program /bin/app and libraries in `folder`; `needed`: name ("app" too) -> names that it needs."""
    interp = "/lib64/ld-linux-x86-64.so.2"
    entries: dict[str, object] = {
        interp: {
            "type": "file",
            "size": 200000,
            "elf": {"soname": "ld-linux-x86-64.so.2"},
            "loader": {
                "libc": "glibc",
                "version": "2.36",
                "system_dirs": ["/lib64", "/usr/lib64"],
                "lib_token": "lib64",
            },
        },
        "/bin/app": {"type": "file", "size": 20000, "elf": {"interp": interp, "needed": needed["app"]}},
    }
    for name, wanted in needed.items():
        if name != "app":
            entries[f"{folder}/{name}"] = {"type": "file", "size": 20000, "elf": {"soname": name, "needed": wanted}}
    return entries


def _time_of_new(entries: dict[str, object], values: list[str]) -> float:
    """The median time of the answers for these values of LD_LIBRARY_PATH, after the first one."""
    from nvsim.loader.outcome import ProcessRequest
    from nvsim.loader.process import run
    from nvsim.rootfs.treefile import tree_from_json

    tree = tree_from_json(entries, "growth")
    times = []
    for value in values:
        request = ProcessRequest("/bin/app", ("/bin/app",), (("LD_LIBRARY_PATH", value),))
        start = time.process_time()
        outcome = run(tree, request)
        times.append(time.process_time() - start)
        assert outcome.started, outcome.stderr
    return median(times[1:])


def closure(size: str) -> dict[str, float]:
    """A program with that many libraries, each needing three others."""
    count = int(size)
    names = [f"lib{n}.so" for n in range(count)]
    needed = {name: [names[m] for m in (2 * n + 1, 2 * n + 2, n + 7) if m < count] for n, name in enumerate(names)}
    entries = _program({"app": names[:1] + names[3:7], **needed}, "/usr/lib64")
    return {"seconds": _time_of_new(entries, [f"/opt/{n}" for n in range(12)])}


def search_list(size: str) -> dict[str, float]:
    """A program with 30 libraries that lie in the last of so many existing directories of LD_LIBRARY_PATH."""
    names = [f"lib{n}.so" for n in range(30)]
    folders = [f"/opt/d{n}" for n in range(int(size))]
    entries = _program({"app": names, **{name: [] for name in names}}, folders[-1])
    for folder in folders[:-1]:
        entries[f"{folder}/other"] = {"type": "file", "size": 1}
    return {"seconds": _time_of_new(entries, [":".join([f"/none{n}", *folders]) for n in range(12)])}


def scenarios(size: str) -> dict[str, float]:
    """That many scenarios that were not asked before."""
    from nvsim.simulate import simulate

    made, programs = _scenarios(int(size) + 5)
    for scenario in made[:5]:
        simulate(scenario, programs)  # type: ignore[arg-type]
    start = time.process_time()
    for scenario in made[5:]:
        simulate(scenario, programs)  # type: ignore[arg-type]
    return {"seconds": time.process_time() - start}


MEASUREMENTS: dict[str, Callable[..., dict[str, float]]] = {
    f.__name__: f for f in (what_if, run_rotating, batch_rate, tree_memory, closure, search_list, scenarios)
}

if __name__ == "__main__":
    print(json.dumps(MEASUREMENTS[sys.argv[1]](*sys.argv[2:])))
