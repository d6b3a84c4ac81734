"""The driver of a host as the toolkit knows it: roots, version, library directories (toolkit: ``internal/lookup/root``)."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence

from nvsim.frozen import define, field, frozen
from nvsim.inject.generate import lookup
from nvsim.inject.generate.host import CdiHost
from nvsim.inject.generate.lookup import Filter, Locator, is_file, join_path
from nvsim.inject.log import ToolFailure, ToolLog
from nvsim.toolkit.cdi_name import NamePanic
from nvsim.toolkit.generation import GenerationRules, newest_rules
from nvsim.toolkit.go_text import go_quote


@frozen
class DriverSearch:
    """How a toolkit release finds version and libraries of a driver.

    `stems`: names of libraries whose suffix tells the version, in the order in which they are looked for. `every_directory`: every directory
    with libraries of the version is the driver's, not only that of the library that told it. `names_stem`: the error names what was looked
    for, not always libcuda.so.
    """

    stems: tuple[str, ...] = ("libcuda.so.", "libnvidia-ml.so.")
    every_directory: bool = True
    names_stem: bool = True


_SEARCHES: Mapping[str, DriverSearch] = {
    "libcuda": DriverSearch(("libcuda.so.",), every_directory=False, names_stem=False),
    "libcuda-or-nvml": DriverSearch(every_directory=False, names_stem=False),
    "every-directory": DriverSearch(),
}


_LIBCUDA_DIRS = (
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu/nvidia/current",
    "/usr/lib/aarch64-linux-gnu/nvidia/current",
)


@define
class Driver:
    """Roots and search paths of a driver installation; version and library directories are found out when first asked for.

    `known_version` is what NVML said, "" when it did not. `rules` are those of the toolkit's release.
    """

    host: CdiHost
    log: ToolLog
    root: str
    dev_root: str
    library_paths: tuple[str, ...] = ()
    config_paths: tuple[str, ...] = ()
    known_version: str = ""
    rules: GenerationRules = field(factory=newest_rules)
    _library_dirs: tuple[str, ...] = ()
    _libraries: Locator | None = None

    @property
    def search(self) -> DriverSearch:
        return _SEARCHES[self.rules.driver_search]

    def version(self) -> str:
        """The driver version; where NVML did not tell, the suffix of a library. Raises `ToolFailure`."""
        if not self.known_version:
            self._find_out()
        return self.known_version

    def library_dirs(self) -> tuple[str, ...]:
        """The directories of its libraries, the root cut off. Raises `ToolFailure`."""
        if not self._library_dirs:
            self._find_out()
        return self._library_dirs

    def _find_out(self) -> None:
        version, library = self._inferred_version()
        if self.known_version and self.known_version != version:
            raise ToolFailure(f"unexpected version detected: {self.known_version} != {version}")
        found: tuple[str, ...] = (library,)
        if self.search.every_directory:
            try:
                found = self.libraries()(f"lib*.so.{version}")
            except ToolFailure as e:
                raise e.within("failed to locate versioned driver libraries") from None
        self._library_dirs = tuple(self.relative(d) for d in dict.fromkeys(map(posixpath.dirname, found)))
        self.known_version = version

    def _inferred_version(self) -> tuple[str, str]:
        """The version, and the library that told it. Raises `ToolFailure`."""
        errors = []
        for stem in self.search.stems:
            pattern = stem + (self.known_version or "*.*")
            try:
                found = self.libraries()(pattern)
            except ToolFailure as e:
                errors.append(
                    f"failed to locate {go_quote(stem) if self.search.names_stem else 'libcuda.so'}: {e.text}"
                )
                continue
            version = posixpath.basename(found[0]).removeprefix(stem)
            if version:
                return version, found[0]
            errors.append(f"failed to extract version from path {found[0]}")
        raise ToolFailure("\n".join(errors))

    def relative(self, path: str) -> str:
        """`path` with the driver root cut off as text, as it was given."""
        if self.root in ("", "/") or not path.startswith("/"):
            return path
        return path.removeprefix(self.root)

    def libraries(self) -> Locator:
        """The library locator of this driver."""
        if self._libraries is None:
            self._libraries = library_locator(self.host, self.log, self.root, self.library_paths, self.rules)
        return self._libraries

    def libcuda(self, suffix: str) -> tuple[str, ...]:
        """libcuda.so with this suffix, a pattern. Raises `ToolFailure` when there is none.

        Before 1.15 the cache is asked first, without which the program crashes (`NamePanic`), then a few directories.
        """
        pattern = f"libcuda.so{suffix}"
        if self.rules.library_search != "ldcache":
            return self.libraries()(pattern)
        cached = cached_library_locator(self.host, self.log, self.root, self.rules)
        if cached is None:
            raise NamePanic("runtime error: invalid memory address or nil pointer dereference")
        try:
            for path in cached("libcuda.so"):
                if lookup.go_match(pattern, posixpath.basename(path)):
                    return (path,)
        except ToolFailure:
            pass  # the directories are tried
        return self.files_at(_LIBCUDA_DIRS, count=1)(pattern)

    def driver_libraries(self, *subdirs: str) -> Locator:
        """An optional locator over the library directories and these subdirectories of them."""
        try:
            dirs = self.library_dirs()
        except ToolFailure as e:
            raise e.within("failed to get libcuda.so parent directory") from None
        search = [*dirs, *(join_path(d, sub) for sub in subdirs for d in dirs)]
        return lookup.optional(self.resolved(search))

    def files_at(
        self, search: Sequence[str] = (), accept: Filter = is_file, count: int = 0, root: str | None = None
    ) -> Locator:
        """Files below the driver root, or another one, in the release's words."""
        where = self.root if root is None else root
        return lookup.files(self.host.resolver, where, search, accept, count, self.rules.not_found)

    def resolved(self, search: Sequence[str] = ()) -> Locator:
        """Files below the driver root with their links followed."""
        return lookup.symlinks(self.host.resolver, self.root, search, self.rules.not_found, self.rules.symlink_targets)

    def files(self) -> Locator:
        """Files below the driver root."""
        return self.files_at()

    def configs(self) -> Locator:
        """Configuration files: the given search paths of the host root, else /etc and $XDG_DATA_DIRS below the driver root."""
        if self.config_paths and self.rules.config_search:
            return self.files_at(self.config_paths, root="/")
        shared = "/usr/share"
        if self.rules.config_directories == "xdg":
            shared = self.host.env.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
        return self.files_at(("/etc", shared))

    def executables(self) -> Locator:
        """Programs on the generating process's PATH, below the driver root first."""
        return lookup.executables(self.host.resolver, self.host.path_env, self.root, self.rules.not_found)


def library_locator(host: CdiHost, log: ToolLog, root: str, search: Sequence[str], rules: GenerationRules) -> Locator:
    """The library locator of a release."""
    resolver, architectures, words = host.resolver, rules.ldcache_architectures, rules.not_found
    return lookup.libraries(resolver, log, root, search, architectures, words, rules.ldcache_search)


def cached_library_locator(host: CdiHost, log: ToolLog, root: str, rules: GenerationRules) -> Locator | None:
    """The locator that asks nothing but the ld.so.cache, as before 1.15; None without a cache."""
    try:
        lookup.ldcache(host.resolver, root)
    except ToolFailure:
        return None
    told = "64-bit library {} not found"
    return lookup.prefixed_libraries(host.resolver, log, root, rules.ldcache_architectures, told, rules.ldcache_links)
