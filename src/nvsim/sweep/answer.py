"""The answers of a chunk's queries, each image and host read once: what a batch query of kind ``run`` gives, by the same functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nvsim.diagnosis.explain import diagnose
from nvsim.elf.store import FactsStore
from nvsim.host.profile import HostProfile
from nvsim.image.model import Image
from nvsim.report.json import result_json
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

    def __call__(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """The result of one query, as ``nvsim-result/1``. Raises `NvsimError` when it cannot be answered."""
        options = {k: v for k, v in query.items() if k not in _OWN}
        argv = tuple(query["argv"]) if "argv" in query else None
        scenario = make_scenario(self._host(query["host"]), self._image(query["image"]), options, argv)
        return result_json(diagnose(simulate(scenario, self._sources.programs), self._sources.programs))

    def _host(self, told: Any) -> HostProfile:
        key = json.dumps(told, sort_keys=True)
        if key not in self._hosts:
            self._hosts[key] = self._sources.host(told)
        return self._hosts[key]

    def _image(self, told: Any) -> Image:
        key = json.dumps(told, sort_keys=True)
        if key not in self._images:
            if isinstance(told, Mapping) and "digest" in told:
                told = json.loads(self._blobs[told["digest"]])
            self._images[key] = self._sources.image(told)
        return self._images[key]
