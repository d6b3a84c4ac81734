"""The values of a sweep: what a sweep file says, one cell of its matrix, and what came of a cell. Reading is `nvsim.sweep.read`."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from typing import Any

from nvsim.frozen import field, frozen

MUSTS = ("work", "fail", "any")


@frozen
class Pattern:
    """Which cells something is about: shell patterns (fnmatch) over the four axes; "*" matches everything."""

    host: str = "*"
    image: str = "*"
    setting: str = "*"
    command: str = "*"


@frozen
class Expectation:
    """What must come of the cells that `pattern` matches.

    `must`: "work", "fail" or "any". `codes`: findings that must be among those of a cell that must fail. `position` is where the
    file says so ("expect[2]"); a cell without an expectation must work, and then `position` is "default".
    """

    pattern: Pattern
    must: str
    codes: tuple[str, ...] = ()
    position: str = "default"


@frozen
class ImageSource:
    """An image of the matrix. `query` is the `image` field of a ``run`` query: a name, or an object with `path` or `tree`.

    What a Dockerfile sets on top of it: `options` of a ``run`` query, `arguments` of its entrypoint that come before every command,
    and `command`, its CMD (None = none is set).
    """

    name: str
    query: Any = field(hash=False)
    options: Mapping[str, Any] = field(factory=dict, hash=False)
    arguments: tuple[str, ...] = ()
    command: tuple[str, ...] | None = None


@frozen
class Setting:
    """Named options of a ``run`` query (env, gpus, runtime, ...)."""

    name: str
    options: Mapping[str, Any] = field(hash=False)


@frozen
class Sweep:
    """A sweep file, read: the axes in the file's order, cells taken out and added, and the expectations (the last match counts)."""

    name: str
    hosts: tuple[str, ...]
    images: tuple[ImageSource, ...]
    settings: tuple[Setting, ...]
    commands: tuple[tuple[str, ...] | None, ...]
    exclude: tuple[Pattern, ...] = ()
    include: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    expect: tuple[Expectation, ...] = ()


@frozen
class Cell:
    """One scenario of the matrix. `command` None = the image's own. `options` are those of its setting.

    `host_query` is the host as a query says it where that is not its name (a profile's JSON).
    """

    host: str
    image: ImageSource
    setting: str
    command: tuple[str, ...] | None
    options: Mapping[str, Any] = field(hash=False)
    expectation: Expectation = Expectation(Pattern(), "work")
    host_query: Any = field(default=None, hash=False)

    @property
    def command_text(self) -> str:
        """The command as a shell would read it; "" = the image's own."""
        return shlex.join(self.command) if self.command is not None else ""

    @property
    def query(self) -> dict[str, Any]:
        """The cell as the input of a ``run`` query."""
        image = self.image
        out = {**image.options, **self.options, "host": self.host_query or self.host, "image": image.query}
        env = [*_entries(image.options.get("env")), *_entries(self.options.get("env"))]
        if env:
            out["env"] = env
        command = self.command if self.command is not None else image.command
        if command is not None or image.arguments:
            out["argv"] = [*image.arguments, *(command or ())]
        return out

    def key(self, context: str) -> str:
        """What the cell's answer depends on, as a digest; `context` stands for program version and file identities."""
        text = json.dumps([context, self.query], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@frozen
class CellResult:
    """What came of a cell. `verdict`: "ok", "fails", "unknown", or "error" for a query that could not be answered.

    `codes`: findings that show in the scenario as it is, in the order of the diagnosis; `later`: those that show once these are
    mended. `met`: whether the expectation holds, and `why` when it does not.
    """

    cell: Cell
    key: str
    verdict: str
    reason: str
    codes: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    message: str = ""
    met: bool = True
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        """The result as one JSON line of a sweep's output."""
        cell = self.cell
        return {
            "host": cell.host,
            "image": cell.image.name,
            "setting": cell.setting,
            "command": list(cell.command) if cell.command is not None else None,
            "key": self.key,
            "verdict": self.verdict,
            "reason": self.reason,
            "codes": list(self.codes),
            "later": list(self.later),
            "message": self.message,
            "must": cell.expectation.must,
            "must_codes": list(cell.expectation.codes),
            "expectation": cell.expectation.position,
            "met": self.met,
            "why": self.why,
        }


def _entries(env: Any) -> list[str]:
    """Environment entries from a list or a mapping; a later entry of a name wins."""
    return [f"{k}={v}" for k, v in env.items()] if isinstance(env, Mapping) else list(env or ())
