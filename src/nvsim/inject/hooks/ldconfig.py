"""Running the host's ldconfig inside a container root, as update-ldcache does: the program is bind-mounted into a scratch directory
and executed there with an empty environment. How ldconfig works is `nvsim.loader.ldconfig`."""

from __future__ import annotations

from nvsim.elf.facts import LdconfigFacts
from nvsim.errors import UnsupportedError
from nvsim.inject.hooks.root import ContainerRoot
from nvsim.inject.log import ToolFailure, ToolLog
from nvsim.loader.ldconfig.run import run_ldconfig
from nvsim.rootfs.node import Directory, File
from nvsim.rootfs.resolve import Resolved, Resolver

LD_SO_CONF = "/etc/ld.so.conf"
LD_SO_CACHE = "/etc/ld.so.cache"


WHOLE_CACHE = ("-f", LD_SO_CONF, "-C", LD_SO_CACHE)


def run_host_ldconfig(
    root: ContainerRoot,
    host: Resolver,
    log: ToolLog,
    program: str,
    argv: tuple[str, ...] = WHOLE_CACHE,
    *,
    inside: bool = True,
) -> int:
    """The exit status of the host's `program` run as ldconfig in `root`, its changes made and its output logged.

    `inside`: it is executed in the root, else on the host with -r (a script then stands for the program beside it).

    Raises `ToolFailure` when it cannot be executed there, `UnsupportedError` when nobody knows what the program does.
    """
    if not inside and isinstance(host.resolve(f"{program}.real"), Resolved):
        program = f"{program}.real"
    found = host.resolve(program)
    node = found.node if isinstance(found, Resolved) else None
    if isinstance(node, Directory):
        raise ToolFailure("error mounting host ldconfig: error bind mounting host ldconfig: not a directory")
    if not isinstance(node, File) or not node.mode & 0o111:
        raise ToolFailure("permission denied")
    facts = node.facts
    interpreter = facts.elf.interp if facts.elf is not None else _script_interpreter(facts.text)
    if inside and interpreter is not None and root.node(interpreter) is None:
        raise ToolFailure("no such file or directory")
    if facts.ldconfig is not None:
        return _run(root, log, facts.ldconfig, argv)
    if facts.behaviour is not None and facts.behaviour.exit is not None:
        return facts.behaviour.exit
    raise UnsupportedError(f"what the host's {program} does as ldconfig is not known")


def _run(root: ContainerRoot, log: ToolLog, facts: LdconfigFacts, argv: tuple[str, ...]) -> int:
    readonly = root.is_readonly(LD_SO_CACHE)
    done = run_ldconfig(root.frozen(), facts, argv, origin=root.origin, readonly=readonly)
    root.editor = done.rootfs.edit()
    for path, target in done.links:
        root.record("symlink", path, target)
    for path in done.removed:
        root.record("removed", path)
    if done.cache is not None:
        root.record("ldcache", LD_SO_CACHE, f"{len(done.cache.entries)} entries")
    for line in done.stderr.splitlines():
        if line:
            log.add("raw", line)
    return done.rc


def _script_interpreter(text: str | None) -> str | None:
    """The interpreter of a script, None for anything else."""
    if text is None or not text.startswith("#!"):
        return None
    words = text[2:].split("\n", 1)[0].split()
    return words[0] if words else None
