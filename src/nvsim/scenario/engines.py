"""Container engines as data: what releases of them make of ``--gpus`` and of CDI devices, and which low-level runtime they start.

`docs/engines.md` shows the table and its sources. The mechanism (`nvsim.scenario.engine_call`) never compares versions itself.
"""

from __future__ import annotations

from nvsim.errors import InputError
from nvsim.frozen import evolve, frozen
from nvsim.scenario.messages_engines import NEWEST
from nvsim.scenario.model import Scenario

Version = tuple[int, ...]
HOOK, CDI = "hook", "cdi"
RUNC_1_0: Version = (1, 0)  # runc before 1.1, which words a failed execve otherwise


@frozen
class EngineRules:
    """How an engine behaves from the release `since` on.

    `gpus`: what ``--gpus`` becomes, in the order in which it is tried: "hook" (the engine adds nvidia-container-runtime-hook as a
    prestart hook), "cdi" (the devices ``nvidia.com/gpu=...`` of a CDI spec); () = the engine has no such option, or ignores it.
    `hook_program`, `cdi_program`: what must be in the engine's PATH for either (None = nothing). `cdi`: CDI devices are injected
    without further configuration; `low_level` is started in the release `low_level_version`; `cdi_annotations`: annotations ``cdi.k8s.io/...`` ask for them too.
    """

    engine: str
    since: Version
    gpus: tuple[str, ...]
    cdi: bool
    low_level: str = "runc"
    low_level_version: Version = NEWEST
    cdi_annotations: bool = False
    hook_program: str | None = "nvidia-container-runtime-hook"
    cdi_program: str | None = None


CDI_DIRS = ("/etc/cdi", "/var/run/cdi")
_TABLE = (
    EngineRules("docker", (19, 3), (HOOK,), False, low_level_version=RUNC_1_0),
    EngineRules("docker", (20, 10, 14), (HOOK,), False),
    EngineRules("docker", (28, 2), (HOOK,), True),
    EngineRules("docker", (29, 2), (CDI, HOOK), True, cdi_program="nvidia-cdi-hook"),
    EngineRules("podman", (1, 0), (), False, "crun"),
    EngineRules("podman", (4, 1), (), True, "crun"),
    EngineRules("podman", (6, 0), (CDI,), True, "crun"),
    EngineRules("containerd", (1, 0), (), False, low_level_version=RUNC_1_0),
    EngineRules("containerd", (1, 6), (), False),
    EngineRules("containerd", (2, 0), (), True, cdi_annotations=True),
    EngineRules("cri-o", (1, 0), (), False),
    EngineRules("cri-o", (1, 23), (), True, cdi_annotations=True),
    EngineRules("cri-o", (1, 31), (), True, "crun", cdi_annotations=True),
)
_USUAL: dict[str, Version] = {"docker": (28, 5), "podman": (5, 4), "containerd": (2, 1), "cri-o": (1, 33)}
ENGINES = tuple(_USUAL)


@frozen
class Engine:
    """One engine in one release. `assumed`: the release is nobody's statement but a usual one."""

    name: str
    version: Version
    rules: EngineRules
    assumed: bool = False

    @property
    def title(self) -> str:
        """Name and release as one writes them ("docker 28.5")."""
        return f"{self.name} {'.'.join(map(str, self.version))}"

    @property
    def assumption(self) -> str | None:
        """The sentence that a result shows when it depends on an assumed release."""
        return f"{self.title} is assumed (--engine {self.name}-VERSION says otherwise)" if self.assumed else None


def engine_named(text: str, version: str | None = None) -> Engine:
    """The engine ``NAME`` or ``NAME-VERSION``. Raises `InputError` for an unknown name or a version without numbers."""
    name, dash, told = text, "", version or ""
    if text not in ENGINES:
        name, dash, told = text.rpartition("-")
        name = name if dash else told
    if name not in ENGINES:
        raise InputError(f"unknown engine {text!r}", hint=f"one of {', '.join(ENGINES)}, with or without -VERSION")
    if (dash or told) and not told.split(".")[0].isdigit():
        raise InputError(f"bad engine version {told!r}", hint=f"for example {name}-{'.'.join(map(str, _USUAL[name]))}")
    numbers = (
        tuple(int("".join(c for c in p if c.isdigit()) or 0) for p in told.split(".")[:3]) if told else _USUAL[name]
    )
    every = [r for r in _TABLE if r.engine == name]
    rules = [r for r in every if r.since <= numbers] or every[:1]
    return Engine(name, numbers, rules[-1], assumed=not told)


def engine_of(scenario: Scenario) -> Engine:
    """The engine that starts the scenario's container: the user's, else the host's."""
    toolkit = scenario.host.toolkit
    if scenario.settings.engine is not None:
        return engine_named(scenario.settings.engine)
    engine = engine_named(toolkit.engine, toolkit.engine_version)
    if toolkit.engine_cdi is not None:
        return evolve(engine, rules=evolve(engine.rules, cdi=toolkit.engine_cdi))
    return engine


def table_page() -> str:
    """The table as Markdown, as ``docs/engines.md`` shows it."""
    words = {
        (): "ignored or unknown",
        (HOOK,): "the prestart hook",
        (CDI,): "CDI",
        (CDI, HOOK): "CDI, else the prestart hook",
    }
    rows = ["| engine | from | `--gpus` becomes | CDI devices | annotations `cdi.k8s.io/` | low-level runtime |"]
    rows.append("| --- | --- | --- | --- | --- | --- |")
    for rules in _TABLE:
        since = ".".join(map(str, rules.since))
        cdi = "injected" if rules.cdi else "refused, unless switched on"
        asked = "ask for CDI devices" if rules.cdi_annotations else "passed on"
        version = "" if rules.low_level_version == NEWEST else " " + ".".join(map(str, rules.low_level_version))
        rows.append(
            f"| {rules.engine} | {since} | {words[rules.gpus]} | {cdi} | {asked} | {rules.low_level}{version} |"
        )
    return "\n".join(rows) + "\n"
