"""Where nvsim's own data files lie: beside the package in a wheel, in the checkout for an editable install."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import nvsim
from nvsim.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


def data_folder() -> str:
    """The directory with ``drivers``, ``layouts``, ``libcs``, ``host_profiles``, ``images`` and ``programs``.

    Raises `InputError` when the installation has none.
    """
    package = os.path.dirname(os.path.realpath(nvsim.__file__))
    for above in (package, os.path.dirname(os.path.dirname(package))):
        candidate = os.path.join(above, "data")
        if os.path.isdir(os.path.join(candidate, "host_profiles")):
            return candidate
    raise InputError(f"the data files of nvsim are missing beside {package}", hint="install nvsim again")


def data_dir() -> Path:
    """`data_folder` as a path object."""
    from pathlib import Path

    return Path(data_folder())
