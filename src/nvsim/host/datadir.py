"""Where nvsim's own data files lie: beside the package in a wheel, in the checkout for an editable install."""

from __future__ import annotations

from pathlib import Path

import nvsim
from nvsim.errors import InputError


def data_dir() -> Path:
    """The directory with ``drivers``, ``layouts``, ``libcs``, ``host_profiles``, ``images`` and ``programs``.

    Raises `InputError` when the installation has none.
    """
    package = Path(nvsim.__file__).resolve().parent
    for candidate in (package / "data", package.parent.parent / "data"):
        if (candidate / "host_profiles").is_dir():
            return candidate
    raise InputError(f"the data files of nvsim are missing beside {package}", hint="install nvsim again")
