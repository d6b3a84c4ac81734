"""The state of one CDI generation: host, options, resolved mode, driver, hook program.

The modes are built on it: `nvsim.inject.generate.nvml`, `nvsim.inject.generate.csv_generate`, and the small ones in `nvsim.inject.generate.generate`.
"""

from __future__ import annotations

from collections.abc import Mapping

from nvsim.frozen import define, frozen
from nvsim.inject.cdi.spec import Edits
from nvsim.inject.generate.csv_files import default_files
from nvsim.inject.generate.discover import DEFAULT_HOOK_PATH, Discoverer, HookCreator, edits_of
from nvsim.inject.generate.driver import EVERY_PART, NEWEST_SEARCH, Driver, DriverSearch
from nvsim.inject.generate.host import CdiHost, Nvml, can_load, host_library, is_integrated, open_nvml
from nvsim.inject.generate.lookup import libraries
from nvsim.inject.generate.platform import NVML_LIBRARY, platform_of
from nvsim.inject.log import ToolFailure, ToolLog

MODES = ("auto", "csv", "gdrcopy", "gds", "imex", "management", "mofed", "nvml", "nvswitch", "wsl")
NAME_STRATEGIES = ("index", "type-index", "uuid")
_NEWER_HOOKS = ("disable-device-node-modification", "update-application-profile")
_SANDBOX_LIBRARY = "libnvidia-sandboxutils.so.1"
_ORIN_COMPAT_ROOT = "/usr/local/cuda/compat_orin"


@frozen
class GenerateOptions:
    """What a generator is told. Paths as given; "" = not given. `features` are feature flags; unknown ones have no effect."""

    mode: str = "auto"
    names: tuple[str, ...] = ("index",)
    driver_root: str = "/"
    dev_root: str = ""
    hook_path: str = DEFAULT_HOOK_PATH
    ldconfig_path: str = ""
    library_paths: tuple[str, ...] = ()
    config_paths: tuple[str, ...] = ()
    disabled_hooks: tuple[str, ...] = ()
    enabled_hooks: tuple[str, ...] = ()
    features: frozenset[str] = frozenset()
    csv_files: tuple[str, ...] = ()
    csv_ignore: tuple[str, ...] = ()
    csv_compat_root: str = ""
    no_gids: bool = False
    empty_ldcache_hook: bool = False
    driver_search: DriverSearch = NEWEST_SEARCH
    parts: frozenset[str] = EVERY_PART


@define
class Generator:
    """One generation. `mode` is resolved; `nvml_library` is the file (or name) that NVML is loaded from."""

    host: CdiHost
    log: ToolLog
    options: GenerateOptions
    mode: str
    nvml_library: str
    driver: Driver
    hooks: HookCreator
    csv_files: tuple[str, ...]
    csv_compat_root: str

    def nvml(self) -> Nvml:
        """NVML, initialised. Raises `ToolFailure`."""
        try:
            return open_nvml(self.host, self.nvml_library)
        except ToolFailure as e:
            raise e.within("failed to initialize NVML") from None

    @property
    def has_nvml(self) -> bool:
        """Whether the platform detection finds NVML."""
        return can_load(self.host, host_library(self.host, self.options.driver_root, NVML_LIBRARY))

    def edits(self, discoverer: Discoverer) -> Edits:
        """The container edits for what `discoverer` finds. Raises `ToolFailure`."""
        no_gids = self.options.no_gids or "no-additional-gids-for-device-nodes" in self.options.features
        return edits_of(discoverer, self.host.resolver, no_gids)

    def names(self, by_strategy: Mapping[str, str]) -> list[str]:
        """The names of a device by the chosen strategies. Raises `ToolFailure` when none gives a name."""
        names = [by_strategy[s] for s in self.options.names if by_strategy[s]]
        if not names:
            raise ToolFailure("no names defined")
        return names

    def gpu_names(self, index: int, uuid: str) -> list[str]:
        return self.names({"index": str(index), "type-index": f"gpu{index}", "uuid": uuid})


def new_generator(host: CdiHost, log: ToolLog, options: GenerateOptions) -> Generator:
    """A generator: looks for NVML, resolves the mode and asks for the driver version, logging on the way."""
    root = options.driver_root
    locate = libraries(host.resolver, log, root, options.library_paths)

    def located(name: str) -> str | None:
        try:
            path = locate(name)[0]
        except ToolFailure as e:
            log.warning(f"Ignoring error in locating {name}: {e.text}")
            return None
        log.info(f"Using {path}")
        return path

    sandbox = not options.features & {"disable-nvsandboxutils", "disable-nvsandbox-utils"}
    if sandbox:
        sandbox = can_load(host, located(_SANDBOX_LIBRARY) or _SANDBOX_LIBRARY)
        if not sandbox:
            log.warning("Failed to init nvsandboxutils: ERROR_LIBRARY_LOAD; ignoring")
    nvml_library = located(NVML_LIBRARY) or NVML_LIBRARY
    mode = options.mode
    if mode == "auto":
        mode = _detected_mode(host, log, root, nvml_library)
        log.info(f"Auto-detected mode as '{mode}'")
    disabled = options.disabled_hooks
    disabled += tuple(h for h in _NEWER_HOOKS if h not in options.parts)
    if mode == "management":
        disabled += ("disable-device-node-modification",)
    driver = Driver(
        host,
        log,
        root,
        options.dev_root or root,
        options.library_paths,
        options.config_paths,
        _driver_version(host, log, nvml_library, sandbox),
        options.driver_search,
        options.parts,
    )
    return Generator(
        host,
        log,
        options,
        mode,
        nvml_library,
        driver,
        HookCreator(
            options.hook_path, options.ldconfig_path, disabled, options.enabled_hooks, options.empty_ldcache_hook
        ),
        options.csv_files or default_files(),
        options.csv_compat_root or _ORIN_COMPAT_ROOT,
    )


def _detected_mode(host: CdiHost, log: ToolLog, root: str, nvml_library: str) -> str:
    """The mode for the platform: WSL before Tegra before NVML; else nvml with a warning."""
    platform = platform_of(host, root, nvml_library)
    if platform.dxcore:
        return "wsl"
    if (platform.tegra and not platform.nvml) or any(is_integrated(name) for name in platform.gpu_names):
        return "csv"
    if not platform.nvml:
        log.warning("Unsupported platform detected: unknown; assuming nvml")
    return "nvml"


def _driver_version(host: CdiHost, log: ToolLog, nvml_library: str, sandbox: bool) -> str:
    """What nvsandboxutils, else NVML, says; "" (and a warning) when neither does."""
    errors = []
    if sandbox and host.nvml is not None:
        return host.nvml.driver_version
    errors.append("libnvsandboxutils is not available")
    try:
        return open_nvml(host, nvml_library).driver_version
    except ToolFailure as e:
        errors.append(f"failed to initialize nvml: {e.text}")
    log.warning("Could not determine driver version: " + "\n".join(errors))
    return ""
