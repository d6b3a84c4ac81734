"""Settings of all tests: Hypothesis examples have no deadline, for a busy machine is no fault of the code."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("nvsim", deadline=None)
settings.load_profile("nvsim")
