"""The ldconfig run that ends the legacy engine's work: which program is executed where, and what its failure means.

Source: libnvidia-container ``src/nvc_ldcache.c``. What ldconfig does to a root is `nvsim.loader.ldconfig`; execve is
`nvsim.loader.execve`.
"""

from __future__ import annotations

import re

from attrs import frozen

from nvsim.elf.facts import LdconfigFacts
from nvsim.host.profile import HostProfile
from nvsim.inject.legacy_paths import failure
from nvsim.inject.plan import Effect, LdconfigRunPlan
from nvsim.loader.execve import ExecImage, execve
from nvsim.loader.outcome import Machine, ProcessRequest
from nvsim.rootfs.node import File
from nvsim.rootfs.overlay import RootFS
from nvsim.rootfs.resolve import PathError, Resolved, Resolver

BY = "ldconfig"
_SIGXFSZ = 25
_EXEC_WRAPPER = re.compile(r'^\s*exec\s+(/\S+)\s+"\$@"\s*$', re.MULTILINE)


@frozen(slots=True)
class LdconfigDone:
    """The root after the run. `failure` is the text behind "ldcache error: ", None = success (which includes "not run at all")."""

    rootfs: RootFS
    effects: tuple[Effect, ...] = ()
    failure: str | None = None
    stderr: str = ""
    assumptions: tuple[str, ...] = ()


def run_planned_ldconfig(plan: LdconfigRunPlan, rootfs: RootFS, host: HostProfile, limit: int) -> LdconfigDone:
    return LdconfigDone(rootfs)
