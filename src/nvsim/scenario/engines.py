"""Container engines as data: what releases of them make of ``--gpus`` and of CDI devices, and which low-level runtime they start.

`docs/engines.md` shows the table and its sources. The mechanism (`nvsim.scenario.engine_call`) never compares versions itself.
"""

from __future__ import annotations

from nvsim.errors import InputError
from nvsim.frozen import evolve, frozen
from nvsim.scenario.messages_runtimes import RUNC_RC10, RUNC_RC93, Version
from nvsim.scenario.model import Scenario

HOOK, CDI = "hook", "cdi"


@frozen
class EngineRules:
    """How an engine behaves from the release `since` on.

    `gpus`: what ``--gpus`` becomes, in the order in which it is tried: "hook" (the engine adds nvidia-container-runtime-hook as a
    prestart hook), "cdi" (the devices ``nvidia.com/gpu=...`` of a CDI spec); () = the engine has no such option, or ignores it.
    `hook_program`, `cdi_program`: what must be in the engine's PATH for either (None = nothing). `cdi`: CDI devices are injected
    without further configuration; `cdi_annotations`: annotations ``cdi.k8s.io/...`` ask for them too. `cdi_option`: its command line takes the name
    of a CDI device for ``--device``. `capable`: an ordinary user's process is executed with the container's capabilities, too, which execve then takes away. `amd`: without NVIDIA's programs ``--gpus`` asks for AMD's GPUs.
    """

    engine: str
    since: Version
    gpus: tuple[str, ...]
    cdi: bool
    cdi_annotations: bool = False
    hook_program: str | None = "nvidia-container-runtime-hook"
    cdi_program: str | None = None
    cdi_option: bool = True
    capable: bool = False
    amd: bool = False


@frozen
class UsualRuntime:
    """The low-level runtime that comes with an engine from the release `since` on, in a release of its own.

    Docker's and containerd's are those of their own packages and build files; distributions may have others.
    """

    engine: str
    since: Version
    name: str
    version: Version


CDI_DIRS = ("/etc/cdi", "/var/run/cdi")
_TABLE = (
    EngineRules("docker", (19, 3), (HOOK,), False, cdi_option=False),
    EngineRules("docker", (24, 0, 6), (HOOK,), False, cdi_option=False, capable=True),
    EngineRules("docker", (25,), (HOOK,), False, capable=True),
    EngineRules("docker", (28, 2), (HOOK,), True, capable=True),
    EngineRules("docker", (29, 2), (CDI, HOOK), True, cdi_program="nvidia-cdi-hook", capable=True),
    EngineRules("docker", (29, 3), (CDI, HOOK), True, cdi_program="nvidia-cdi-hook", capable=True, amd=True),
    EngineRules("podman", (1, 0), (), False),
    EngineRules("podman", (4, 1), (), True),
    EngineRules("podman", (5, 0), (CDI,), True),
    EngineRules("containerd", (1, 0), (), False, capable=True),
    EngineRules("containerd", (2, 0), (), True, cdi_annotations=True, capable=True),
    EngineRules("cri-o", (1, 0), (), False),
    EngineRules("cri-o", (1, 23), (), True, cdi_annotations=True),
)
_RUNTIMES = (
    UsualRuntime("docker", (19, 3), "runc", RUNC_RC10),
    UsualRuntime("docker", (20, 10), "runc", RUNC_RC93),
    UsualRuntime("docker", (20, 10, 14), "runc", (1, 1)),
    UsualRuntime("docker", (24,), "runc", (1, 1, 7)),
    UsualRuntime("docker", (27, 4), "runc", (1, 2)),
    UsualRuntime("docker", (28, 4), "runc", (1, 3)),
    UsualRuntime("podman", (1, 0), "crun", (0, 10)),
    UsualRuntime("podman", (4, 0), "crun", (1, 4)),
    UsualRuntime("podman", (4, 6), "crun", (1, 10)),
    UsualRuntime("podman", (5, 4), "crun", (1, 21)),
    UsualRuntime("podman", (5, 8), "crun", (1, 28)),
    UsualRuntime("containerd", (1, 0), "runc", RUNC_RC10),
    UsualRuntime("containerd", (1, 4), "runc", RUNC_RC93),
    UsualRuntime("containerd", (1, 6), "runc", (1, 1)),
    UsualRuntime("containerd", (1, 7), "runc", (1, 1, 7)),
    UsualRuntime("containerd", (1, 7, 24), "runc", (1, 2)),
    UsualRuntime("cri-o", (1, 0), "runc", RUNC_RC93),
    UsualRuntime("cri-o", (1, 23), "runc", (1, 1)),
    UsualRuntime("cri-o", (1, 27), "runc", (1, 1, 7)),
    UsualRuntime("cri-o", (1, 31), "crun", (1, 21)),
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
    def low_level(self) -> tuple[str, Version]:
        """Name and release of the low-level runtime that usually comes with it."""
        every = [r for r in _RUNTIMES if r.engine == self.name]
        usual = ([r for r in every if r.since <= self.version] or every[:1])[-1]
        return usual.name, usual.version

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
    rows = [
        "| engine | from | `--gpus` becomes | CDI devices | annotations `cdi.k8s.io/` | executes as an ordinary user |"
    ]
    rows.append("| --- | --- | --- | --- | --- | --- |")
    for rules in _TABLE:
        cdi = "injected" if rules.cdi else "refused, unless switched on"
        asked = "ask for CDI devices" if rules.cdi_annotations else "passed on"
        power = "with its capabilities" if rules.capable else "with none"
        rows.append(f"| {rules.engine} | {_written(rules.since)} | {words[rules.gpus]} | {cdi} | {asked} | {power} |")
    rows += ["", "| engine | from | low-level runtime |", "| --- | --- | --- |"]
    rows += [f"| {r.engine} | {_written(r.since)} | {r.name} {_written(r.version)} |" for r in _RUNTIMES]
    return "\n".join(rows) + "\n"


def _written(version: Version) -> str:
    """A release as its project writes it; 0.99.N of runc is 1.0.0-rcN."""
    if version[:2] == RUNC_RC10[:2]:
        return f"1.0.0-rc{version[2]}"
    return ".".join(map(str, version))
