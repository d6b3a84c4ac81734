"""Why a directory is in ld.so.cache: the line of ld.so.conf that names it, as far as the files of now tell.

The loader does not look at this; it is for explanations.
"""

from __future__ import annotations

from nvsim.loader.glibc.state import Process
from nvsim.loader.ldconfig.conf import ConfLine, read_conf
from nvsim.rootfs.resolve import Resolver
from nvsim.rootfs.tree import Tree, derived, parent_of

_CONF = "etc/ld.so.conf"


def cache_source(process: Process, path: str) -> str:
    """Who set a cache entry with this path: "/etc/ld.so.cache, directory of /etc/ld.so.conf.d/x.conf:1"."""
    cache = str(process.facts.cache)
    sources = process.conf_sources
    if sources is None:
        conf = cache.removesuffix("etc/ld.so.cache") + _CONF if cache.endswith("etc/ld.so.cache") else f"/{_CONF}"
        tree = process.resolver.tree
        sources = process.conf_sources = derived(tree, "conf-sources", conf, lambda: _sources(tree, conf))
    directory = parent_of(path)
    while directory != "/":  # hwcaps subdirectories belong to the directory above them
        if directory in sources:
            return f"{cache}, directory of {sources[directory]}"
        if directory in process.facts.system_dirs:
            return f"{cache}, directory built into ldconfig"
        directory = parent_of(directory)
    return f"{cache}, directory of no line of ld.so.conf"


def _sources(tree: Tree, conf: str) -> dict[str, str]:
    """Directory -> the first line of the configuration that names it."""
    items = read_conf(Resolver(tree), conf, type_suffix=True)
    lines = [item for item in reversed(items) if isinstance(item, ConfLine)]
    return {line.path.rstrip("/") or "/": line.source for line in lines}
