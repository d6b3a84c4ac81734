"""From a process that only starts another program (``sh -c 'nvidia-smi'``) to that program, and what its starter says when it fails.

One wrapper at a time, so that each can be executed in its turn: the words are read by `nvsim.scenario.messages_wrappers`, the texts
are those of `nvsim.scenario.messages_callers`. Executing is `nvsim.simulate`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsim.errors import UnsupportedError
from nvsim.frozen import evolve, frozen
from nvsim.loader.outcome import ExecStep
from nvsim.rootfs.resolve import Resolver
from nvsim.scenario.engine import Process
from nvsim.scenario.messages import Lookup
from nvsim.scenario.messages_wrappers import Meant, unwrap_once

if TYPE_CHECKING:
    from nvsim.scenario.messages_callers import Refusal, Shown  # few processes only start another one


@frozen
class Inner:
    """The program that a process starts: its `process` (arguments and environment), and by whom: `caller` with `version` and the name
    that it was called by, as `shown_by` takes them. `user_changed`: it runs as another user, which is not modelled."""

    process: Process
    caller: str
    version: str
    argv0: str
    assumptions: tuple[str, ...] = ()
    user_changed: bool = False

    def not_found(self, lookup: Lookup) -> Shown:
        """What is shown when the look-up in PATH ended without a program. A file without permission is what execvp remembers."""
        from nvsim.scenario.messages_callers import Refusal

        name = self.process.argv[0]
        denied = next((path for path, wrong in lookup.tried if wrong == "permission denied"), None)
        if denied is not None:
            return self._shown(Refusal(name, denied, "EACCES", "other"))
        return self._shown(Refusal(name, "", "ENOENT", "missing" if "/" in name else "not-in-path"))

    def refused(self, resolver: Resolver, steps: tuple[ExecStep, ...], errno: str) -> Shown:
        """What is shown when execve fails after it looked at the files of `steps`."""
        from nvsim.scenario.messages_callers import refusal_of

        return self._shown(refusal_of(resolver, self.process.argv[0], steps, errno))

    def _shown(self, refusal: Refusal) -> Shown:
        from nvsim.scenario.messages_callers import shown_by

        return shown_by(self.caller, self.version, refusal, self.argv0)


def inner_of(process: Process, program: str, resolver: Resolver) -> Inner | None:
    """The program that `process`, whose executed file is `program`, does nothing but start. None: it is no known wrapper.

    Raises `UnsupportedError` when it is one, but what it starts cannot be told from its words.
    """
    outer = Meant(process.argv)
    meant = unwrap_once(outer)
    if meant is outer:
        return None
    if meant is None:
        raise UnsupportedError(f"what {process.argv[0]} starts cannot be told from its arguments")
    from nvsim.scenario.messages_callers import caller_of

    link = meant.chain[-1]
    caller, version, assumption = caller_of(resolver, program)
    env = [] if meant.clear else [e for e in process.env if e.partition("=")[0] not in meant.unset]
    values = dict(e.partition("=")[::2] for e in env) | dict(meant.env)
    kept = tuple(f"{name}={value}" for name, value in values.items())
    inner = evolve(process, argv=meant.argv, env=kept, override=False)
    told = (assumption,) if assumption else ()
    name = f"{caller} exec" if link.uses_exec else caller
    return Inner(inner, name, version, link.argv[0], told, meant.user_changed)
