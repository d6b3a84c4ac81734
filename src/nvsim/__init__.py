"""nvsim: predict what the NVIDIA Container Toolkit puts into a container, and what exec and dlopen then do there.

The public names are those of `nvsim.api`; they are imported when they are first used (PEP 562), so that ``import nvsim`` costs nothing.
"""

from __future__ import annotations

import sys
from types import ModuleType

TYPE_CHECKING = False  # typing's own constant would have to be imported, and that takes longer than all the rest here
if TYPE_CHECKING:
    from typing import Any

    from nvsim.api import *  # noqa: F403

# fmt: off
_NAMES = frozenset((
    "Cpu", "Diagnosis", "Difference", "Entry", "Finding", "Fix", "HostProfile", "Image", "ImageConfig",
    "InjectionPlan", "InputError", "Linkage", "NvsimError", "Result", "Scenario", "Settings",
    "UnsupportedError", "Volume", "answer", "compare", "diagnose", "explain", "find_fix", "ldd", "list_hosts",
    "list_images", "load_host", "load_image", "new_scenario", "plan", "result_json", "simulate",
))
# fmt: on


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
