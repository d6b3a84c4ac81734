"""The answers of a chunk's queries, by the functions that answer batch queries of kind ``run``; each image and host is read once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from nvsim.diagnosis.explain import diagnose
from nvsim.diagnosis.model import Diagnosis
from nvsim.elf.store import FactsStore
from nvsim.host.profile import HostProfile
from nvsim.image.model import Image
from nvsim.scenario.read import Sources, make_scenario
from nvsim.simulate import simulate

_OWN = ("host", "image", "argv")


class Answerer:
    """Answers queries; keeps what it read while it lives. `images` holds images by digest ("image": {"digest": ...}), `store` the facts of
    files and layers that were read before."""

    def __init__(self, images: Mapping[str, bytes], store: FactsStore | None = None):
        self._blobs = images
        self._sources = Sources(store=store)
        self._images: dict[str, Image] = {}
        self._hosts: dict[str, HostProfile] = {}

    def __call__(self, query: Mapping[str, Any]) -> Diagnosis:
        """The result of one query and its findings, no fix verified. Raises `NvsimError` when it cannot be answered."""
        options = {k: v for k, v in query.items() if k not in _OWN}
        argv = tuple(query["argv"]) if "argv" in query else None
        scenario = make_scenario(self._host(query["host"]), self._image(query["image"]), options, argv)
        programs = _shipped().programs
        return diagnose(simulate(scenario, programs), programs, verify=False)

    def _host(self, told: Any) -> HostProfile:
        key = json.dumps(told, sort_keys=True)
        if key not in self._hosts:
            self._hosts[key] = (_shipped() if _is_shipped(told) else self._sources).host(told)
        return self._hosts[key]

    def _image(self, told: Any) -> Image:
        key = json.dumps(told, sort_keys=True)
        if key not in self._images:
            if isinstance(told, Mapping) and "digest" in told:
                told = json.loads(self._blobs[told["digest"]])
            self._images[key] = (_shipped() if _is_shipped(told) else self._sources).image(told)
        return self._images[key]


@lru_cache(maxsize=1)
def _shipped() -> Sources:
    """Shipped hosts, images and programs of this process, with what was computed of them: they outlive a chunk."""
    return Sources()


def _is_shipped(told: Any) -> bool:
    return isinstance(told, str) and (
        told.startswith("example:") or not ("/" in told or told.endswith((".json", ".gz")))
    )
