"""Discoverers for Tegra: device nodes and driver files named by CSV files (toolkit: ``internal/platform-support/tegra``)."""

from __future__ import annotations

from nvsim.inject.cdi.spec import CdiHook
from nvsim.inject.generate import lookup
from nvsim.inject.generate.csv_files import MountSpecs
from nvsim.inject.generate.discover import Discoverer, HookCreator, char_devices, merge, mounts
from nvsim.inject.generate.driver import Driver
from nvsim.inject.generate.libraries import with_library_links
from nvsim.inject.log import ToolFailure
from nvsim.toolkit.request import Because

RELEASE_FILE = "/etc/nv_tegra_release"


def csv_entities(driver: Driver, creator: HookCreator, specs: MountSpecs) -> Discoverer:
    """What mount specifications contribute, and the Tegra release file in any case."""
    release = mounts(driver.log, lookup.files(driver.host.resolver, ""), "", (RELEASE_FILE,), "Tegra release file")
    return merge(_listed(driver, creator, specs), release)


def _listed(driver: Driver, creator: HookCreator, specs: MountSpecs) -> Discoverer:
    if not specs:
        driver.log.warning("No mount specs specified")
        return Discoverer()
    resolver, log = driver.host.resolver, driver.log
    folders = lookup.files(resolver, driver.root, accept=lookup.is_directory)
    resolved = lookup.symlinks(resolver, driver.root, (*driver.library_paths, "/"))
    libraries = mounts(log, resolved, driver.root, specs.get("lib", ()), "lib of a CSV file")
    return merge(
        char_devices(driver, specs.get("dev", ()), "dev of a CSV file"),
        mounts(log, folders, driver.root, specs.get("dir", ()), "dir of a CSV file"),
        with_library_links(driver.host, log, creator, libraries),
        mounts(log, resolved, driver.root, specs.get("sym", ()), "target of a sym of a CSV file"),
        _links(driver, creator, specs.get("sym", ())),
    )


def _links(driver: Driver, creator: HookCreator, targets: tuple[str, ...]) -> Discoverer:
    """A hook that makes every link of the chains that the sym entries name, with its original text."""
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
        because = (Because("host CSV files", "these links exist on the host"),)
        return creator.create("create-symlinks", *links, because=because)

    return Discoverer(hooks=hooks)
