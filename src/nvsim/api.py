"""The public Python interface, in functions that need no set-up (``docs/api.md``). ``import nvsim`` exposes these names lazily.

Hosts, images and known programs come from the shipped data; whoever keeps their own data or a facts store uses `nvsim.scenario.read`
and the functions of each stage, which take them as arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nvsim.batch import answer
from nvsim.diagnosis.catalogue import CATALOGUE, Entry
from nvsim.diagnosis.diff import Difference
from nvsim.diagnosis.diff import compare as _compare
from nvsim.diagnosis.explain import diagnose as _diagnose
from nvsim.diagnosis.fix import Fix
from nvsim.diagnosis.fix import find_fix as _find_fix
from nvsim.diagnosis.linkage import Linkage, find_program, link
from nvsim.diagnosis.model import Diagnosis, Finding
from nvsim.errors import InputError, NvsimError, UnsupportedError
from nvsim.host.profile import HostProfile
from nvsim.host.read import list_hosts as _list_hosts
from nvsim.image.example import list_examples as _list_examples
from nvsim.image.model import Image, ImageConfig
from nvsim.inject.plan import InjectionPlan
from nvsim.loader.cpu import parse_cpu
from nvsim.loader.outcome import Cpu
from nvsim.report.json import result_json
from nvsim.scenario.model import Scenario, Settings, Volume
from nvsim.scenario.read import make_scenario
from nvsim.scenario.sources import shipped_sources, with_config
from nvsim.simulate import Result
from nvsim.simulate import simulate as _simulate

__all__ = [
    "Cpu",
    "Diagnosis",
    "Difference",
    "Entry",
    "Finding",
    "Fix",
    "HostProfile",
    "Image",
    "ImageConfig",
    "InjectionPlan",
    "InputError",
    "Linkage",
    "NvsimError",
    "Result",
    "Scenario",
    "Settings",
    "UnsupportedError",
    "Volume",
    "answer",
    "compare",
    "diagnose",
    "explain",
    "find_fix",
    "ldd",
    "list_hosts",
    "list_images",
    "load_host",
    "load_image",
    "new_scenario",
    "plan",
    "result_json",
    "simulate",
]


def list_hosts() -> tuple[str, ...]:
    """The names of the shipped host profiles."""
    return _list_hosts(shipped_sources().data)


def list_images() -> tuple[str, ...]:
    """The names of the shipped example images, as ``example:NAME``."""
    return tuple(f"example:{name}" for name in _list_examples(shipped_sources().data))


def load_host(host: str | Mapping[str, Any]) -> HostProfile:
    """A host: a shipped profile's name, a path, or a profile's JSON object. Raises `InputError`, with near names or all faults."""
    return shipped_sources().host(host)


def load_image(image: str | Mapping[str, Any], *, image_config: str | Path | Mapping[str, Any] | None = None) -> Image:
    """An image: a directory, an archive, ``oci:DIR``, a tree file, ``example:NAME``, or a tree's JSON object. Raises `InputError`.

    `image_config` replaces the config that comes with it: a path, or an object as OCI or ``docker inspect`` write it.
    """
    told = str(image_config) if isinstance(image_config, Path) else image_config
    return with_config(shipped_sources().image(image), told)


def new_scenario(
    host: str | Mapping[str, Any] | HostProfile,
    image: str | Mapping[str, Any] | Image,
    command: Sequence[str] | None = None,
    **options: Any,
) -> Scenario:
    """A scenario: host, image, command (None = the image's) and the options of ``nvsim run`` by name (``env=[...]``, ``gpus="all"``).

    Raises `InputError`, with Docker's words where Docker refuses an option.
    """
    return make_scenario(
        host if isinstance(host, HostProfile) else load_host(host),
        image if isinstance(image, Image) else load_image(image),
        options,
        tuple(command) if command is not None else None,
    )


def simulate(scenario: Scenario) -> Result:
    """The prediction with everything that it rests on. Raises `InputError` for a scenario that no engine would accept."""
    return _simulate(scenario, shipped_sources().programs)


def diagnose(scenario: Scenario | Result) -> Diagnosis:
    """The prediction, and every cause of a failure with its verified fixes."""
    result = scenario if isinstance(scenario, Result) else simulate(scenario)
    return _diagnose(result, shipped_sources().programs)


def plan(scenario: Scenario) -> InjectionPlan | None:
    """What would be put into the container; None when nothing is."""
    return simulate(scenario).plan


def find_fix(scenarios: Scenario | Iterable[Scenario]) -> Fix | None:
    """The smallest changes that make every scenario work; None when none were found."""
    wanted = (scenarios,) if isinstance(scenarios, Scenario) else tuple(scenarios)
    return _find_fix(wanted, shipped_sources().programs)


def compare(first: Scenario, second: Scenario) -> Difference:
    """What differs between two predictions, and which decision made the difference."""
    return _compare(diagnose(first), diagnose(second))


def ldd(
    image: str | Mapping[str, Any] | Image,
    program: str,
    *,
    env: Mapping[str, str] | None = None,
    cpu: str | Cpu | None = None,
) -> Linkage:
    """What a program or library of an image loads, without NVIDIA. `env` is set on top of the image's. Raises `InputError`."""
    loaded = image if isinstance(image, Image) else load_image(image)
    values = dict(item.split("=", 1) for item in loaded.config.env if "=" in item) | dict(env or {})
    path = find_program(loaded.tree, program, values.get("PATH"))
    return link(loaded.tree, path, values, parse_cpu(cpu) if isinstance(cpu, str) else cpu)


def explain(code: str) -> Entry:
    """The catalogue's entry of a finding's code. Raises `InputError`."""
    found = CATALOGUE.get(code.upper())
    if found is None:
        raise InputError(f"no finding is called {code!r}")
    return found
