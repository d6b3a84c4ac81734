"""nvidia-container-runtime on a scenario: the bundle that the engine gives it, the host as it sees it, and the plan of what it adds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from nvsim.frozen import evolve
from nvsim.inject.cdi.plan import plan_of_config, with_log
from nvsim.inject.generate.host import CdiHost
from nvsim.inject.generate.platform import Platform
from nvsim.inject.plan import InjectionPlan
from nvsim.inject.runtime import run_runtime
from nvsim.rootfs.node import Directory, File, FileFacts
from nvsim.rootfs.overlay import RootFS
from nvsim.rootfs.resolve import Resolved, Resolver
from nvsim.rootfs.tree import Tree
from nvsim.scenario.configuration import config_text
from nvsim.scenario.engine_specs import host_specs, kept_specs
from nvsim.scenario.model import Scenario
from nvsim.toolkit import mode as toolkit_mode
from nvsim.toolkit.config import config_path
from nvsim.toolkit.hook_input import HostFiles
from nvsim.toolkit.oci_spec import encode_spec
from nvsim.toolkit.releases import Release
from nvsim.toolkit.runtime import RuntimeProcess

BUNDLE = "/run/nvsim/bundle"  # a place that no host has
_LOW_LEVEL = ("/usr/bin/runc", "/usr/bin/crun")  # an engine brings its low-level runtime, which profiles do not list
_ARGV = ("nvidia-container-runtime", "create", "--bundle", BUNDLE, "container")
_READ_NAMES = (
    "NVIDIA_",
    "CUDA_VERSION=",
)  # beginnings of variables that it reads, beside those that swarm-resource names
MOST_RUNS = 48  # of the runtime that are kept with a host


def run_on(
    scenario: Scenario, oci: dict[str, Any], host: CdiHost, platform: Platform, release: Release, route: str
) -> InjectionPlan:
    """What the runtime adds to the OCI config. A refusal is the plan's `failure`.

    Kept with the host: the runtime is given what it reads of the config, so containers that differ in the rest are one question to it.
    """
    config = config_text(scenario)
    specs = (scenario.settings.cdi_specs, kept_specs(scenario))
    text = json.dumps(_seen_by_runtime(oci, config))
    key = (text, config, scenario.settings.mode, specs, platform, release.version, route)
    return scenario.host.memo.get(
        "runtime", key, lambda: _run_on(scenario, text, host, platform, release, route), MOST_RUNS
    )


def _seen_by_runtime(oci: dict[str, Any], config: str | None) -> dict[str, Any]:
    """The config without the arguments, the working directory and the variables that no step of the runtime looks at."""
    process = oci["process"]
    env = read_variables(process["env"], config)
    return {**oci, "process": {**process, "args": [], "cwd": "/", "env": env}}


def read_variables(env: Iterable[str], config: str | None) -> tuple[str, ...]:
    """The variables of a container that the toolkit with this config.toml may read. An entry that is no assignment stays, as it is an
    error; with a swarm-resource any variable may be one that counts."""
    if "swarm-resource" in (config or ""):
        return tuple(env)
    return tuple(entry for entry in env if entry.startswith(_READ_NAMES) or "=" not in entry)


def _run_on(
    scenario: Scenario, text: str, host: CdiHost, platform: Platform, release: Release, route: str
) -> InjectionPlan:
    """`run_on` for the text of a config."""
    key = (scenario.settings.cdi_specs, kept_specs(scenario))
    seen = scenario.host.memo.get(
        "with-specs", key, lambda: evolve(host, resolver=Resolver(with_specs(scenario, host.tree)))
    )
    asked = scenario.settings.mode or scenario.host.mode
    process = RuntimeProcess(_ARGV, host.env, mode=None if asked in (None, "auto") else asked)
    run = run_runtime(
        process,
        host=seen,
        files=_files(scenario, seen.tree, text, release),
        platform=toolkit_mode.Platform(platform.nvml, platform.dxcore, platform.tegra, platform.gpu_names),
        release=release,
    )
    if run.exit:
        failure = run.error if run.error is not None else run.stderr
        return with_log(InjectionPlan(route, failure=failure), run.log)
    if run.spec is None or run.given is None:
        return InjectionPlan(route)
    before = encode_spec(run.given, release.version)
    return with_log(plan_of_config(seen, before, run.spec, run.edits, route), run.log)


def with_specs(scenario: Scenario, tree: Tree) -> Tree:
    """The host's tree with the CDI specs that services keep, or with the user's alone."""
    specs = host_specs(scenario)
    editor = RootFS(tree).edit()
    if scenario.settings.cdi_specs:
        for directory in ("/etc/cdi", "/run/cdi", "/var/run/cdi"):
            if isinstance(editor.node(directory), Directory):
                editor.remove(directory)
    for path, text in specs.items():
        folder, _, name = path.rpartition("/")
        at = Resolver(editor).resolve(folder)
        place = f"{at.path}/{name}" if isinstance(at, Resolved) else path
        if at_link := _below_link(editor, place):
            place = at_link
        editor.put(place, File(len(text), ("nvsim spec", path), FileFacts(text=text), 0o644))
    return editor.freeze()


def _below_link(editor: Any, path: str) -> str | None:
    """The canonical place of `path` when a directory on its way is a link (``/var/run``) and the rest does not exist yet."""
    found = Resolver(editor).resolve(path)
    if isinstance(found, Resolved):
        return found.path
    return f"{found.parent.rstrip('/')}/{found.rest}" if found.errno == "ENOENT" else None


def _files(scenario: Scenario, tree: Tree, spec: str, release: Release) -> HostFiles:
    resolver = Resolver(tree)
    texts = {config_path({}, release): config_text(scenario), f"{BUNDLE}/config.json": spec}

    def read(path: str) -> str | None:
        if path in texts:
            return texts[path]
        found = resolver.resolve(path)
        return (found.node.facts.text or "") if isinstance(found, Resolved) and isinstance(found.node, File) else None

    def executable(path: str) -> bool:
        if path in _LOW_LEVEL:
            return True
        found = resolver.resolve(path)
        return isinstance(found, Resolved) and isinstance(found.node, File) and bool(found.node.mode & 0o111)

    return HostFiles(read, lambda path: isinstance(resolver.resolve(path), Resolved), executable)
