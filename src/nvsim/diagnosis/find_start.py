"""Findings about a container that does not start: what the engine, the toolkit or a hook refused, and what was decided against the user's words.

Which finding a text of the real programs is, is told by `nvsim.diagnosis.find_cause`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nvsim.diagnosis.make import finding
from nvsim.diagnosis.where import base_name, sentences

if TYPE_CHECKING:
    from nvsim.diagnosis.model import Finding
    from nvsim.simulate import Result


def find_start(result: Result) -> Iterator[Finding]:
    """What kept the container from starting, and what was decided against the user's words."""
    refused = result.request.refused
    injected = result.injected
    failure = injected.failure if injected is not None else None
    text = refused.stderr if refused is not None else failure or ""
    if not text and result.main.kind == "start-error" and result.main.lookup is None and result.verdict == "fails":
        text = result.main.message
    if text:
        from nvsim.diagnosis.find_cause import cause_of

        yield cause_of(result, text.strip())
    ignored = ignored_request(result)
    if ignored is not None:
        yield ignored
    if result.verdict == "unknown":
        yield finding("NVS901", base_name(result.process.argv[0]), result.main.reason)


def ignored_request(result: Result) -> Finding | None:
    """Devices were named, and the toolkit's configuration does not let this container name them."""
    why = dict(result.request.because).get("devices")
    if why is None or result.request.devices is not None or "when-unprivileged" not in why.input:
        return None
    from nvsim.scenario.changes_host import SetConfig

    key = "accept-nvidia-visible-devices-envvar-when-unprivileged"
    text = "NVIDIA_VISIBLE_DEVICES is ignored: only privileged containers may name GPUs by environment here"
    return finding("NVS106", "NVIDIA_VISIBLE_DEVICES", text, sentences((why,)), (SetConfig(key, True),))
