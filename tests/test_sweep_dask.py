"""A sweep on a real local Dask cluster: answers as in one process, images shared by digest, a worker killed in the middle."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from nvsim.errors import InputError
from nvsim.host.datadir import data_dir
from nvsim.sweep.cluster import connect, run_on_dask
from nvsim.sweep.expect import cells
from nvsim.sweep.model import CellResult
from nvsim.sweep.read import read_sweep
from nvsim.sweep.run import Task, chunks_of, run_here, tasks_of

distributed = pytest.importorskip("distributed", reason="Dask is not installed (extra nvsim[dask])")

SWEEP = """
hosts: [eks-al2-2021, eks-al2-535, debian12-535, {host}]
images: ["example:nix-torch", "example:debian12", ./image]
settings:
  a: {{env: [NVIDIA_VISIBLE_DEVICES=all], mode: legacy}}
  b: {{env: [NVIDIA_VISIBLE_DEVICES=all, NVIDIA_DRIVER_CAPABILITIES=all], mode: legacy}}
commands: [null, [/bin/prog]]
"""


@pytest.fixture
def tasks(tmp_path: Path) -> tuple[Task, ...]:
    """A sweep with an image that is a directory and a host that is a file of this machine."""
    (tmp_path / "image" / "bin").mkdir(parents=True)
    (tmp_path / "image" / "bin" / "prog").write_bytes(Path("/bin/true").read_bytes())
    (tmp_path / "image" / "bin" / "prog").chmod(0o755)
    host = tmp_path / "mine.json"
    host.write_bytes((data_dir() / "host_profiles" / "eks-al2-535.json").read_bytes())
    path = tmp_path / "s.yaml"
    path.write_text(SWEEP.format(host=host))
    return tasks_of(cells(read_sweep(path, data_dir())), "1")


@pytest.fixture
def cluster() -> Iterator[distributed.LocalCluster]:
    with distributed.LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=None) as found:
        yield found


def _lines(results: list[CellResult]) -> list[object]:
    return [r.as_json() for r in results]


def test_a_killed_worker_costs_only_its_tasks(tasks: tuple[Task, ...], cluster: distributed.LocalCluster) -> None:
    alone = [r for rs in run_here(chunks_of(tasks, 1)) for r in rs]
    assert {r.verdict for r in alone} == {"ok", "fails", "error"}  # the directory names no command of its own
    got: list[CellResult] = []
    with distributed.Client(cluster) as client:
        pids = client.run(os.getpid)
        assert len(set(pids.values())) == 3
        shared: set[str] = set()
        for number, results in enumerate(run_on_dask(chunks_of(tasks, 12), client, data_dir())):
            shared |= {key for key in map(str, client.who_has()) if key.startswith("nvsim-image-")}
            if number == 1:
                os.kill(next(iter(pids.values())), signal.SIGKILL)
            got += results
    assert _lines(got) == _lines(alone)
    assert len(shared) == 1, "the directory was not shared by its digest"


def test_a_scheduler_that_does_not_answer_is_told() -> None:
    with pytest.raises(InputError, match="no scheduler answers"):
        connect("tcp://127.0.0.1:1")
    with pytest.raises(InputError, match="is no number"):
        connect("local:many")
