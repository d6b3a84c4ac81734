"""The answers of a chunk's queries, by the functions that answer batch queries of kind ``run``; each image and host is read once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nvsim.diagnosis.explain import diagnose
from nvsim.diagnosis.model import Diagnosis
from nvsim.elf.store import FactsStore
from nvsim.host.profile import HostProfile
from nvsim.image.model import Image
from nvsim.scenario.read import make_scenario
from nvsim.scenario.sources import Sources, shipped_sources, verify
from nvsim.simulate import simulate

_OWN = ("host", "image", "argv")


class Answerer:
    """Answers queries; keeps what it read while it lives. `images` holds images by digest ("image": {"digest": ...}), `store` the facts of
    files and layers that were read before."""

    def __init__(self, images: Mapping[str, bytes], store: FactsStore | None = None):
        self._blobs = images
        self._sources = Sources(open_store=lambda: store, shipped=shipped_sources())
        self._images: dict[str, Image] = {}
        self._hosts: dict[str, HostProfile] = {}

    def __call__(self, query: Mapping[str, Any]) -> Diagnosis:
        """The result of one query and its findings, no fix verified. Raises `NvsimError` when it cannot be answered."""
        options = {k: v for k, v in query.items() if k not in _OWN}
        argv = tuple(query["argv"]) if "argv" in query else None
        image = self._image(query["image"], query.get("platform"))
        scenario = make_scenario(self._host(query["host"]), image, options, argv)
        programs = shipped_sources().programs
        diagnosis = diagnose(simulate(scenario, programs), programs, verify=False)
        verify(scenario.image.tree)
        return diagnosis

    def _host(self, told: Any) -> HostProfile:
        key = json.dumps(told, sort_keys=True)
        if key not in self._hosts:
            self._hosts[key] = self._sources.host(told)
        return self._hosts[key]

    def _image(self, told: Any, platform: str | None) -> Image:
        key = json.dumps([told, platform], sort_keys=True)
        if key not in self._images:
            if isinstance(told, Mapping) and "digest" in told:
                told = json.loads(self._blobs[told["digest"]])
            self._images[key] = self._sources.image(told, platform)
        return self._images[key]
