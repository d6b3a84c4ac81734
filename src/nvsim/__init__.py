"""nvsim: predict what the NVIDIA Container Toolkit puts into a container, and what exec and dlopen then do there.

The public names are those of `nvsim.api`; they are imported when they are first used (PEP 562), so that ``import nvsim`` costs nothing.
"""

from __future__ import annotations

import sys
from types import ModuleType

TYPE_CHECKING = False  # typing's own constant would have to be imported, and that takes longer than all the rest here
if TYPE_CHECKING:
    from typing import Any

    from nvsim.api import Cpu as Cpu
    from nvsim.api import Diagnosis as Diagnosis
    from nvsim.api import Difference as Difference
    from nvsim.api import Entry as Entry
    from nvsim.api import Finding as Finding
    from nvsim.api import Fix as Fix
    from nvsim.api import HostProfile as HostProfile
    from nvsim.api import Image as Image
    from nvsim.api import ImageConfig as ImageConfig
    from nvsim.api import InjectionPlan as InjectionPlan
    from nvsim.api import InputError as InputError
    from nvsim.api import Linkage as Linkage
    from nvsim.api import NvsimError as NvsimError
    from nvsim.api import Result as Result
    from nvsim.api import Scenario as Scenario
    from nvsim.api import Settings as Settings
    from nvsim.api import UnsupportedError as UnsupportedError
    from nvsim.api import Volume as Volume
    from nvsim.api import answer as answer
    from nvsim.api import compare as compare
    from nvsim.api import diagnose as diagnose
    from nvsim.api import explain as explain
    from nvsim.api import find_fix as find_fix
    from nvsim.api import ldd as ldd
    from nvsim.api import list_hosts as list_hosts
    from nvsim.api import list_images as list_images
    from nvsim.api import load_host as load_host
    from nvsim.api import load_image as load_image
    from nvsim.api import new_scenario as new_scenario
    from nvsim.api import plan as plan
    from nvsim.api import result_json as result_json
    from nvsim.api import simulate as simulate

_NAMES = frozenset(
    (
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
    )
)


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        from nvsim import api

        return getattr(api, name)
    if name == "__version__":
        from importlib.metadata import version

        return version("nvsim")
    raise AttributeError(f"module 'nvsim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})


class _Package(ModuleType):
    """The package. A public function keeps its name when a submodule of the same name is imported (``nvsim.simulate``)."""

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _NAMES or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
