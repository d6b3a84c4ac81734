"""A Dockerfile as an image of a sweep: its final stage's ENV, ENTRYPOINT, CMD, WORKDIR and USER on top of a base image's files.

What RUN, COPY and ADD do is not seen: build the image and name that to check its files. Parsing is left to dockerfile-parse.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from nvsim.errors import InputError
from nvsim.sweep.model import ImageSource

_COUNTS = ("ARG", "ENV", "ENTRYPOINT", "CMD", "WORKDIR", "USER")


def is_dockerfile(path: Path) -> bool:
    """Whether a path looks like a Dockerfile by its name ("Dockerfile", "Dockerfile.gpu", "gpu.Dockerfile", "Containerfile")."""
    name = path.name
    named = name in ("Dockerfile", "Containerfile") or name.startswith("Dockerfile.") or name.endswith(".Dockerfile")
    return named and path.is_file()


def image_of_dockerfile(
    path: Path, base: str | None, bases: Mapping[str, str], environment: Callable[[str], Mapping[str, str]]
) -> ImageSource:
    """The image that a Dockerfile's final stage describes. `base` names the image whose files it stands on; without it `bases` maps
    patterns of FROM names to images. `environment` gives the variables that an image's config sets.

    Raises `InputError`: unreadable file, no FROM, a base that nothing names, or dockerfile-parse is not installed.
    """
    parent, steps = _final_stage(path)
    image = base or next((i for pattern, i in bases.items() if fnmatchcase(parent, pattern)), None)
    if image is None:
        hint = f"add to the sweep file: bases: {{{json.dumps(parent)}: IMAGE}}"
        raise InputError(f"which image stands for FROM {parent} is not known", source=str(path), hint=hint)
    query: Any = image if image.startswith("example:") else {"path": image}
    options, arguments, command = _options(steps, dict(environment(image)))
    return ImageSource(str(path), query, options, arguments, command)


def _final_stage(path: Path) -> tuple[str, list[tuple[str, str]]]:
    """The FROM name of the final stage (a stage that builds on a stage is followed), and its instructions in order."""
    try:
        from dockerfile_parse import DockerfileParser
    except ImportError:
        hint = "pip install 'nvsim[sweep]'"
        raise InputError("reading a Dockerfile needs dockerfile-parse", source=str(path), hint=hint) from None
    try:
        with path.open("rb") as f:
            parser = DockerfileParser(fileobj=f)  # type: ignore[arg-type]  # the stubs say text, it reads bytes
            structure, parents = parser.structure, iter(parser.parent_images)
    except OSError as e:
        raise InputError(f"cannot be read: {e.strerror or e}", source=str(path)) from None
    except (UnicodeDecodeError, ValueError, KeyError, IndexError) as e:
        raise InputError(f"is no Dockerfile that can be read: {e}", source=str(path)) from None
    stages: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    last: tuple[str, list[tuple[str, str]]] | None = None
    for item in structure:
        name, value = item["instruction"], item["value"]
        if name == "FROM":
            parent = next(parents)
            below = stages.get(parent.lower())
            last = (below[0], list(below[1])) if below else (parent, [])
            words = [w for w in value.split() if not w.startswith("--")]
            if len(words) > 2 and words[1].upper() == "AS":
                stages[words[2].lower()] = last
        elif last is not None and name in _COUNTS:
            last[1].append((name, value))
    if last is None:
        raise InputError("has no FROM", source=str(path))
    return last


def _options(
    steps: list[tuple[str, str]], inherited: dict[str, str]
) -> tuple[dict[str, Any], tuple[str, ...], tuple[str, ...] | None]:
    """The steps as options of a ``run`` query, the entrypoint's arguments, and the command (builder rules: ENTRYPOINT resets an
    inherited CMD, WORKDIR is relative to the last)."""
    from dockerfile_parse.util import WordSplitter, extract_key_values

    known = inherited
    args: dict[str, str] = {}
    own: dict[str, str] = {}
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    out: dict[str, Any] = {}
    for name, value in steps:
        if name == "ARG":
            key, eq, default = value.partition("=")
            if eq:
                args[key.strip()] = WordSplitter(default, args=args, envs=known).dequote()
        elif name == "ENV":
            pairs = dict(extract_key_values(instruction_value=value, env_replace=True, args=args, envs=known))
            known = {**known, **pairs}
            own.update(pairs)
        elif name == "ENTRYPOINT":
            entrypoint, cmd = _words(value), None
        elif name == "CMD":
            cmd = _words(value)
        elif name == "WORKDIR":
            path = WordSplitter(value, args=args, envs=known).dequote()
            out["workdir"] = path if path.startswith("/") else f"{out.get('workdir', '').rstrip('/')}/{path}"
        else:
            out["user"] = WordSplitter(value, args=args, envs=known).dequote()
    if own:
        out["env"] = [f"{k}={v}" for k, v in own.items()]
    command = tuple(cmd) if cmd is not None else None
    if not entrypoint:
        return out, (), command
    out["entrypoint"] = entrypoint[0]
    return out, tuple(entrypoint[1:]), command or ()


def _words(value: str) -> list[str]:
    """The exec form as it stands, the shell form through /bin/sh -c."""
    try:
        words = json.loads(value)
    except json.JSONDecodeError:
        words = None
    if isinstance(words, list) and all(isinstance(w, str) for w in words):
        return words
    return ["/bin/sh", "-c", value] if value.strip() else []
