"""Discoverers for Tegra: device nodes and driver files named by CSV files (toolkit: ``internal/platform-support/tegra``)."""

from __future__ import annotations

import posixpath

from nvsim.inject.cdi.spec import CdiHook
from nvsim.inject.generate import lookup
from nvsim.inject.generate.csv_files import MountSpecs
from nvsim.inject.generate.discover import Discoverer, HookCreator, char_devices, merge, mounts
from nvsim.inject.generate.driver import Driver
from nvsim.inject.generate.libraries import ldcache_hook, with_library_links
from nvsim.inject.log import ToolFailure
from nvsim.toolkit.request import Because

RELEASE_FILE = "/etc/nv_tegra_release"


_NO_LIBRARIES = ("*.so", "*.so.[0-9]")
_OLD_LINKS = (  # beginning of a library's name, target ("": the library), link
    ("libcuda.so", "libcuda.so.1", "libcuda.so"),
    ("libGLX_nvidia.so", "", "libGLX_indirect.so.0"),
    ("libnvidia-opticalflow.so", "libnvidia-opticalflow.so.1", "libnvidia-opticalflow.so"),
)


def csv_entities(driver: Driver, creator: HookCreator, specs: MountSpecs) -> Discoverer:
    """What mount specifications contribute, and the Tegra release file in any case."""
    return merge(_listed(driver, creator, specs), _release_file(driver))


def csv_everything(driver: Driver, creator: HookCreator, specs: MountSpecs) -> Discoverer:
    """The same with the update-ldcache hook for what they contribute."""
    listed = _listed(driver, creator, specs)
    return merge(listed, ldcache_hook(creator, listed), _release_file(driver))


def _release_file(driver: Driver) -> Discoverer:
    return mounts(driver.log, driver.files_at(root=""), "", (RELEASE_FILE,), "Tegra release file")


def _listed(driver: Driver, creator: HookCreator, specs: MountSpecs) -> Discoverer:
    rules, log = driver.rules, driver.log
    if not specs and rules.csv_device == "nodes":
        log.warning("No mount specs specified")
        return Discoverer()
    folders = driver.files_at(accept=lookup.is_directory)
    resolved = driver.resolved((*driver.library_paths, "/"))
    targets = specs.get("sym", ())
    if rules.csv_links == "non-libraries":
        targets = tuple(t for t in targets if not any(lookup.go_match(p, posixpath.basename(t)) for p in _NO_LIBRARIES))
    libraries = mounts(log, resolved, driver.root, specs.get("lib", ()), "lib of a CSV file")
    return merge(
        char_devices(driver, specs.get("dev", ()), "dev of a CSV file"),
        mounts(log, folders, driver.root, specs.get("dir", ()), "dir of a CSV file"),
        with_library_links(driver, creator, libraries),
        mounts(log, resolved, driver.root, targets, "target of a sym of a CSV file"),
        _links(driver, creator, targets, None if rules.csv_links == "own-hook" else libraries),
    )


def _links(driver: Driver, creator: HookCreator, targets: tuple[str, ...], libraries: Discoverer | None) -> Discoverer:
    """A hook that makes every link of the chains that the sym entries name, with its original text; those to `libraries` too."""
    chains = lookup.link_chains(driver.host.resolver, driver.root)

    def hooks() -> tuple[CdiHook, ...]:
        links: dict[str, None] = {}
        for target in targets:
            try:
                hops = chains(target)
            except ToolFailure:
                driver.log.warning(f"Failed to locate symlink {target}")
                continue
            for hop in hops:
                text = lookup.read_link(driver.host.resolver, hop)
                if text != hop:
                    links[f"{text}::{hop}"] = None
        made = (*links, *(_old_links(libraries) if libraries is not None else ()))
        because = (Because("host CSV files", "these links exist on the host"),)
        return creator.create("create-symlinks", *made, because=because)

    return Discoverer(hooks=hooks)


def _old_links(libraries: Discoverer) -> list[str]:
    """The links that programs expect beside three libraries, each made once."""
    links: dict[str, str] = {}
    for mount in libraries.mounts():
        directory, name = posixpath.split(mount.path)
        known = next(((target, link) for stem, target, link in _OLD_LINKS if name.startswith(stem)), None)
        if known is not None:
            links.setdefault(known[1], f"{known[0] or name}::{lookup.join_path(directory, known[1])}")
    return list(links.values())
