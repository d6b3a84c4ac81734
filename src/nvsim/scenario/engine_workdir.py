"""What comes of a working directory that is missing or none: who makes it, and who refuses the container for it.

Docker makes it (moby ``container/container_unix.go``, SetupWorkingDirectory) and podman only the image's, not the one of ``-w``
(``libpod/container_internal_common.go``, resolveWorkDir); runc and crun make it below the other engines. Measured with the engines and
runtimes that `docs/engines.md` lists.
"""

from __future__ import annotations

from nvsim.rootfs.node import Directory
from nvsim.rootfs.overlay import RootFS
from nvsim.rootfs.resolve import PathError, resolve
from nvsim.scenario.engine import Process
from nvsim.scenario.engine_words import Shown, Speaker
from nvsim.scenario.model import Scenario


def workdir_failed(scenario: Scenario, process: Process, rootfs: RootFS, speaker: Speaker) -> Shown | None:
    """What is shown of a container whose working directory cannot be used; None where it can, or is made."""
    found = resolve(rootfs, process.cwd)
    missing = isinstance(found, PathError)
    if isinstance(found, PathError) and found.errno != "ENOENT":
        return None  # a file on the way: every engine has other words for it
    if not isinstance(found, PathError) and isinstance(found.node, Directory):
        return None
    from nvsim.scenario.messages_engines import engine_texts

    texts = engine_texts(speaker.engine, speaker.version)
    if speaker.engine == "podman" and scenario.settings.workdir is not None:
        what = "does not exist on container <id>" if missing else "exists on container <id>, but is not a directory"
        return Shown(f'{texts.own}workdir "{process.cwd}" {what}', texts.status)
    if missing:
        return None
    if speaker.engine == "docker":
        return Shown(f"{texts.own}Cannot mkdir: {process.cwd} is not a directory{texts.end_early}", texts.status)
    return speaker.workdir_failed(process.cwd)
