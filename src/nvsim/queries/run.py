"""The batch kind ``run``: a whole scenario (see ``docs/formats-data.md`` for hosts and images)."""

from __future__ import annotations

from typing import Any

from nvsim.diagnosis.explain import diagnose
from nvsim.errors import InputError
from nvsim.host.datadir import data_dir
from nvsim.host.read import load_host
from nvsim.image.read import load_image
from nvsim.programs import load_programs
from nvsim.report.json import result_json
from nvsim.scenario.model import Scenario, Settings
from nvsim.simulate import simulate

_TEXTS = ("mode", "toolkit_version", "config", "gpus", "runtime", "entrypoint", "workdir", "user")


def answer(kind: str, query: dict[str, Any]) -> dict[str, Any]:
    """The result of one ``run`` query. Raises `InputError`."""
    host, image = query.get("host"), query.get("image")
    if not isinstance(host, str) or not isinstance(image, str):
        raise InputError("run needs 'host' and 'image', each a name or a path")
    env = query.get("env") or []
    items = [f"{k}={v}" for k, v in env.items()] if isinstance(env, dict) else env
    argv, dlopen = query.get("argv"), query.get("dlopen") or []
    lists = {"env": items, "argv": argv if argv is not None else [], "dlopen": dlopen}
    for name, value in lists.items():
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise InputError(f"run.{name} must be a list of strings")
    texts = {name: query[name] for name in _TEXTS if query.get(name) is not None}
    for name, value in texts.items():
        if not isinstance(value, str):
            raise InputError(f"run.{name} must be a string")
    settings = Settings(
        command=tuple(argv) if argv is not None else None,
        env=tuple(items),
        dlopen=tuple(dlopen),
        privileged=bool(query.get("privileged", False)),
        **texts,
    )
    data = data_dir()
    programs = load_programs(data / "programs")
    scenario = Scenario(load_host(host, data), load_image(image, data), settings)
    return result_json(diagnose(simulate(scenario, programs), programs))
