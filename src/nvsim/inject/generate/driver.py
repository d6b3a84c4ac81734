"""The driver of a host as the toolkit knows it: roots, version, library directories (toolkit: ``internal/lookup/root``)."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from nvsim.frozen import define, frozen
from nvsim.inject.generate import lookup
from nvsim.inject.generate.host import CdiHost
from nvsim.inject.generate.lookup import Locator, join_path
from nvsim.inject.log import ToolFailure, ToolLog
from nvsim.toolkit.go_text import go_quote


@frozen
class DriverSearch:
    """How a toolkit release finds version and libraries of a driver.

    `stems`: names of libraries whose suffix tells the version, in the order in which they are looked for. `every_directory`: every directory
    with libraries of the version is the driver's, not only that of the library that told it. `names_stem`: the error names what was looked
    for, not always libcuda.so. `pattern_told`: the file locator calls what it did not find a pattern.
    """

    stems: tuple[str, ...] = ("libcuda.so.", "libnvidia-ml.so.")
    every_directory: bool = True
    names_stem: bool = True
    pattern_told: bool = False


NEWEST_SEARCH = DriverSearch()
EVERY_PART = frozenset(
    {"disable-device-node-modification", "libcuda-dir", "opencl-icd", "update-application-profile", "xconfig"}
)
SEARCHES: Mapping[str, DriverSearch] = {
    "libcuda": DriverSearch(("libcuda.so.",), every_directory=False, names_stem=False, pattern_told=True),
    "libcuda-or-nvml": DriverSearch(every_directory=False, names_stem=False),
    "every-directory": NEWEST_SEARCH,
}


@define
class Driver:
    """Roots and search paths of a driver installation; version and library directories are found out when first asked for.

    `known_version` is what NVML said, "" when it did not. `parts` are the newer parts of a spec that the release generates.
    """

    host: CdiHost
    log: ToolLog
    root: str
    dev_root: str
    library_paths: tuple[str, ...] = ()
    config_paths: tuple[str, ...] = ()
    known_version: str = ""
    search: DriverSearch = NEWEST_SEARCH
    parts: frozenset[str] = EVERY_PART
    _library_dirs: tuple[str, ...] = ()
    _libraries: Locator | None = None

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
                text = e.text
                if self.search.pattern_told:
                    text = text.replace(f"{pattern}: not found", f"pattern {pattern} not found", 1)
                errors.append(f"failed to locate {go_quote(stem) if self.search.names_stem else 'libcuda.so'}: {text}")
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
            self._libraries = lookup.libraries(self.host.resolver, self.log, self.root, self.library_paths)
        return self._libraries

    def driver_libraries(self, *subdirs: str) -> Locator:
        """An optional locator over the library directories and these subdirectories of them."""
        try:
            dirs = self.library_dirs()
        except ToolFailure as e:
            raise e.within("failed to get libcuda.so parent directory") from None
        search = [*dirs, *(join_path(d, sub) for sub in subdirs for d in dirs)]
        return lookup.optional(lookup.symlinks(self.host.resolver, self.root, search))

    def files(self) -> Locator:
        """Files below the driver root."""
        return lookup.files(self.host.resolver, self.root)

    def configs(self) -> Locator:
        """Configuration files: the given search paths of the host root, else /etc and $XDG_DATA_DIRS below the driver root."""
        if self.config_paths:
            return lookup.files(self.host.resolver, "/", self.config_paths)
        shared = self.host.env.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
        return lookup.files(self.host.resolver, self.root, ("/etc", shared))

    def executables(self) -> Locator:
        """Programs on the generating process's PATH, below the driver root first."""
        return lookup.executables(self.host.resolver, self.host.path_env, self.root)
