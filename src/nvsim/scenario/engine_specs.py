"""The CDI specs that lie on a host: files of its tree, those that services keep up to date, the device plugin's, or the user's own.

A kept spec is made by the generator itself, for the host as it is now; a file of the tree or of the user may be as old as it likes.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from nvsim.frozen import evolve
from nvsim.host.profile import HostProfile, KeptSpec
from nvsim.inject.cdi.spec_files import spec_files
from nvsim.rootfs.resolve import Resolved, resolve
from nvsim.scenario.engines import CDI_DIRS
from nvsim.toolkit.releases import NEWEST, release_of
from nvsim.toolkit.request import Because

if TYPE_CHECKING:
    from nvsim.inject.cdi.registry import Registry
    from nvsim.inject.cdi.spec import CdiSpec
    from nvsim.scenario.model import Scenario

PLUGIN_KIND = "k8s.device-plugin.nvidia.com/gpu"
_PLUGIN_STRATEGIES = ("cdi-annotations", "cdi-cri")
_PLUGIN_SPEC = KeptSpec(
    "/var/run/cdi/k8s.device-plugin.nvidia.com-gpu.json",
    ("--vendor", "k8s.device-plugin.nvidia.com", "--device-name-strategy", "uuid"),
)
_MOUNT_OPTIONS = ("ro", "nosuid", "nodev", "rbind", "rprivate")
_GIVEN_DIR = "/etc/cdi"


def host_specs(scenario: Scenario) -> dict[str, str]:
    """Path -> text of the CDI specs that programs on the host see. Those that the user gives stand in place of all others."""
    given = scenario.settings.cdi_specs
    if given:
        return {_place(path): text for path, text in given}
    host = scenario.host
    files = spec_files(host.tree, CDI_DIRS)
    for kept in kept_specs(scenario):
        text = host.memo.get("kept-spec", kept, lambda kept=kept: generated_spec(host, kept))  # type: ignore[misc]
        if text is not None:
            files.setdefault(kept.path, text)
    return files


def kept_specs(scenario: Scenario) -> tuple[KeptSpec, ...]:
    """The specs that services of the host write: those of its profile, and the device plugin's where it hands over CDI devices."""
    toolkit, settings = scenario.host.toolkit, scenario.settings
    strategy = settings.device_plugin or toolkit.device_plugin
    plugin = (_PLUGIN_SPEC,) if strategy in _PLUGIN_STRATEGIES else ()
    return (*toolkit.cdi_specs, *plugin)


def host_registry(scenario: Scenario) -> Registry:
    """The CDI registry of the host's engine."""
    from nvsim.inject.cdi.registry import load_registry

    key = (scenario.settings.cdi_specs, kept_specs(scenario))
    return scenario.host.memo.get("registry", key, lambda: load_registry(host_specs(scenario), CDI_DIRS))


def _place(path: str) -> str:
    """Where a given spec lies on the host: its own path if that is in a CDI directory, else the lowest directory."""
    if posixpath.dirname(path) in CDI_DIRS:
        return path
    name = posixpath.basename(path)
    return f"{_GIVEN_DIR}/{name if name.endswith(('.json', '.yaml')) else name + '.yaml'}"


def generated_spec(host: HostProfile, kept: KeptSpec) -> str | None:
    """The text of a kept spec, as the host's toolkit writes it; None when generating it fails (the service then leaves no file)."""
    from nvsim.inject.cdi.dump import dump_json  # few hosts keep specs
    from nvsim.inject.cdi.spec import CdiMount
    from nvsim.inject.generate.command import run_generate
    from nvsim.inject.generate.host import host_of_profile
    from nvsim.toolkit.generation import generation_rules, newest_rules

    own = kept == _PLUGIN_SPEC  # the plugin brings the generator along
    rules = newest_rules() if own else generation_rules(release_of(host.toolkit.version or NEWEST))
    root = host.driver.root if host.driver.root != "/" else ""
    result = run_generate(host_of_profile(host), kept.argv, root, rules)
    if not result.specs or not rules.generates:
        return None
    spec: CdiSpec = result.specs[0]
    because = (Because(f"CDI spec {kept.path}", "the host's own service adds it"),)
    mounts = tuple(
        CdiMount(src, dst, _MOUNT_OPTIONS, because=because)
        for src, dst in kept.mounts
        if isinstance(resolve(host.tree, src), Resolved)
    )
    return dump_json(evolve(spec, edits=evolve(spec.edits, mounts=(*spec.edits.mounts, *mounts))))
