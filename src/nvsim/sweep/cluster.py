"""A sweep on a Dask cluster (extra ``nvsim[dask]``): chunks as tasks, images sent once and shared between workers by their digest.

A lost worker costs only its tasks: Dask runs them again elsewhere, and an image that only it held is sent again from the graph.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvsim.elf.store import FactsStore, cache_folder
from nvsim.errors import InputError
from nvsim.frozen import evolve
from nvsim.sweep.model import CellResult
from nvsim.sweep.run import Chunk, Task, answer_chunk

if TYPE_CHECKING:
    from distributed import Client

_RETRIES = 5


def run_on_dask(chunks: Iterable[Chunk], client: Client, data: Path) -> Iterator[list[CellResult]]:
    """The chunks on the cluster of `client`, results in the order of the chunks."""
    from distributed import as_completed

    portable = _Portable(data)
    futures, order = [], {}
    sent: dict[str, Any] = {}
    for number, chunk in enumerate(chunks):
        moved = portable.chunk(chunk)
        for digest, blob in moved.images.items():
            if digest not in sent:
                sent[digest] = client.submit(_image, blob, key=f"nvsim-image-{digest}", retries=_RETRIES)
        future = client.submit(_answer, moved.tasks, {d: sent[d] for d in moved.images}, pure=False, retries=_RETRIES)
        futures.append(future)
        order[future.key] = number
    ready: dict[int, list[CellResult]] = {}
    following = 0
    for future in as_completed(futures):
        ready[order[future.key]] = future.result()
        future.release()
        while following in ready:
            yield ready.pop(following)
            following += 1


def connect(scheduler: str) -> Client:
    """A client of the cluster: "tcp://HOST:PORT", or "local" and "local:N" for one of N processes on this machine.

    Raises `InputError`: no such scheduler, or the extra is not installed.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise InputError("a cluster needs Dask", hint="pip install 'nvsim[dask]'") from None
    if scheduler == "local" or scheduler.startswith("local:"):
        count = scheduler.partition(":")[2]
        if count and not count.isdigit():
            raise InputError(f"--scheduler {scheduler}: the number of workers is no number", hint="e.g. local:4")
        return Client(
            LocalCluster(
                n_workers=int(count) if count else None, threads_per_worker=1, processes=True, dashboard_address=None
            )
        )
    try:
        return Client(scheduler, timeout="10s")
    except (OSError, ValueError, TimeoutError) as e:
        raise InputError(f"--scheduler {scheduler}: no scheduler answers: {e}") from None


def _image(blob: bytes) -> bytes:
    """An image as a task: kept by the cluster, sent between workers, made again from the graph when its holder is lost."""
    return blob


def _answer(tasks: tuple[Task, ...], images: Mapping[str, bytes]) -> list[CellResult]:
    return answer_chunk(Chunk(tasks, images))


class _Portable:
    """Makes chunks that need no file of this machine: images become their ``nvsim-tree/1`` JSON, hosts their profile."""

    def __init__(self, data: Path):
        self.data = data
        self.images: dict[str, tuple[str, bytes]] = {}
        self.hosts: dict[str, Any] = {}

    def chunk(self, chunk: Chunk) -> Chunk:
        """The same tasks with portable queries. Results still carry the cells as the user wrote them."""
        blobs: dict[str, bytes] = {}
        for task in chunk.tasks:
            query = task.cell.image.query
            if isinstance(query, Mapping) and "path" in query:
                digest, blob = self._image(str(query["path"]))
                blobs[digest] = blob
        return Chunk(tuple(self._task(t) for t in chunk.tasks), blobs)

    def _task(self, task: Task) -> Task:
        cell = task.cell
        image = cell.image
        if isinstance(image.query, Mapping) and "path" in image.query:
            image = evolve(image, query={"digest": self._image(str(image.query["path"]))[0]})
        return evolve(task, cell=evolve(cell, image=image, host_query=self._host(cell.host)))

    def _image(self, path: str) -> tuple[str, bytes]:
        if path not in self.images:
            from nvsim.image.read import image_to_json, load_image

            with FactsStore(cache_folder(os.environ)) as store:
                image = image_to_json(load_image(path, self.data, store=store))
            blob = json.dumps(image, sort_keys=True).encode()
            self.images[path] = (hashlib.sha256(blob).hexdigest(), blob)
        return self.images[path]

    def _host(self, name: str) -> Any:
        if "/" not in name and not name.endswith(".json"):
            return None
        if name not in self.hosts:
            from nvsim.host.read import read_profile

            self.hosts[name] = read_profile(name, self.data)[0]
        return self.hosts[name]
