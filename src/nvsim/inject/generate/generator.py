"""The state of one CDI generation: host, options, resolved mode, driver, hook program.

The modes are built on it: `nvsim.inject.generate.nvml`, `nvsim.inject.generate.csv_generate`, and the small ones in `nvsim.inject.generate.generate`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nvsim.frozen import define, evolve, field, frozen
from nvsim.inject.cdi.spec import CdiDevice, Edits
from nvsim.inject.generate.csv_files import default_files
from nvsim.inject.generate.discover import DEFAULT_HOOK_PATH, Discoverer, HookCreator, edits_of, formed
from nvsim.inject.generate.driver import Driver, library_locator
from nvsim.inject.generate.host import CdiHost, Nvml, can_load, host_library, is_integrated, open_nvml
from nvsim.inject.generate.platform import NVML_LIBRARY, platform_of
from nvsim.inject.log import ToolFailure, ToolLog
from nvsim.toolkit.generation import GenerationRules, newest_rules
from nvsim.toolkit.go_text import go_quote

MODES = ("auto", "csv", "gdrcopy", "gds", "imex", "management", "mofed", "nvml", "nvswitch", "wsl")
NAME_STRATEGIES = ("index", "type-index", "uuid")
_NEWER_HOOKS = ("disable-device-node-modification", "update-application-profile")
_SANDBOX_LIBRARY = "libnvidia-sandboxutils.so.1"
NO_SANDBOX = "Failed to init nvsandboxutils: ERROR_LIBRARY_LOAD; ignoring"
_ORIN_COMPAT_ROOT = "/usr/local/cuda/compat_orin"


@frozen
class GenerateOptions:
    """What a generator is told. Paths as given; "" = not given. `features` are feature flags; unknown ones have no effect.

    `rules` are those of the toolkit's release.
    """

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
    rules: GenerationRules = field(factory=newest_rules)


@define
class Generator:
    """One generation. `mode` is resolved; `nvml_library` is the file (or name) that NVML is loaded from; `sandbox`: libnvidia-sandboxutils
    is used. `made`: the devices, once they are made."""

    host: CdiHost
    log: ToolLog
    options: GenerateOptions
    mode: str
    nvml_library: str
    driver: Driver
    hooks: HookCreator
    csv_files: tuple[str, ...]
    csv_compat_root: str
    sandbox: bool = False
    made: tuple[CdiDevice, ...] = ()

    @property
    def rules(self) -> GenerationRules:
        return self.options.rules

    def nvml(self) -> Nvml:
        """NVML, initialised. Raises `ToolFailure`."""
        try:
            return open_nvml(self.host, self.nvml_library, self.rules.nvml_errors)
        except ToolFailure as e:
            raise (e.within(self.rules.nvml_failed) if self.rules.nvml_failed else e) from None

    @property
    def has_nvml(self) -> bool:
        """Whether the platform detection finds NVML."""
        return can_load(self.host, host_library(self.host, self.options.driver_root, NVML_LIBRARY))

    def edits(self, discoverer: Discoverer) -> Edits:
        """The container edits for what `discoverer` finds. Raises `ToolFailure`."""
        no_gids = self.options.no_gids or "no-additional-gids-for-device-nodes" in self.options.features
        by_path = self.rules.device_nodes == "path"
        return formed(edits_of(discoverer, self.host.resolver, no_gids=no_gids, by_path=by_path), self.rules.release)

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
    options = evolve(options, features=options.features.intersection(options.rules.feature_flags))
    root, rules = options.driver_root, options.rules
    nvml_library, sandbox = _opened_libraries(host, log, options)
    version = ""
    if rules.driver_version == "driver-first":
        version = _driver_version(host, log, nvml_library, sandbox)
    mode = options.mode
    if mode == "auto":
        mode = _detected_mode(host, log, root, nvml_library, rules, loaded=bool(version))
        quoted = f"'{mode}'" if rules.detection == "platform" else go_quote(mode)
        log.info(f"Auto-detected mode as {quoted}")
    if mode in rules.modes_not_built:
        raise ToolFailure(f"unknown mode {go_quote(mode)}")
    if rules.driver_version == "driver":
        version = _driver_version(host, log, nvml_library, sandbox)
    dev_root = options.dev_root or root
    driver = Driver(host, log, root, dev_root, options.library_paths, options.config_paths, version, rules)
    hooks = HookCreator(
        options.hook_path,
        options.ldconfig_path,
        options.disabled_hooks + _disabled_hooks(mode, rules),
        options.enabled_hooks,
        rules.empty_ldcache_hook,
    )
    csv_files, compat_root = options.csv_files or default_files(), options.csv_compat_root or _ORIN_COMPAT_ROOT
    return Generator(host, log, options, mode, nvml_library, driver, hooks, csv_files, compat_root, sandbox)


def _disabled_hooks(mode: str, rules: GenerationRules) -> tuple[str, ...]:
    """The hooks that a release does not make in a mode, unless they are enabled."""
    disabled = tuple(h for h in _NEWER_HOOKS if h not in rules.newer_hooks)
    if rules.chmod_hook == "disabled":
        disabled += ("chmod",)
    if mode == "management":
        disabled += ("disable-device-node-modification",)
        if rules.compat_hook != "every-mode":
            disabled += ("enable-cuda-compat",)
    return disabled


def _opened_libraries(host: CdiHost, log: ToolLog, options: GenerateOptions) -> tuple[str, bool]:
    """What NVML is loaded from, and whether libnvidia-sandboxutils is used; both are looked for in the release's order."""
    rules = options.rules
    if rules.nvml_library == "name":
        return NVML_LIBRARY, False
    locate = library_locator(host, log, options.driver_root, options.library_paths, rules)

    def located(name: str) -> str | None:
        try:
            path = locate(name)[0]
        except ToolFailure as e:
            log.warning(f"Ignoring error in locating {name}: {e.text}")
            return None
        log.info(f"Using {path}")
        return path

    def sandbox() -> bool:
        if options.features & {"disable-nvsandboxutils", "disable-nvsandbox-utils"}:
            return False
        usable = can_load(host, located(_SANDBOX_LIBRARY) or _SANDBOX_LIBRARY)
        if not usable and rules.sandbox_library != "when-needed":
            log.warning(NO_SANDBOX)
        return usable

    def nvml() -> str:
        return located(NVML_LIBRARY) or NVML_LIBRARY

    if rules.sandbox_library == "first":
        used = sandbox()
        return nvml(), used
    library = nvml()
    return library, sandbox() if rules.sandbox_library != "none" else False


def _detected_mode(
    host: CdiHost, log: ToolLog, root: str, nvml_library: str, rules: GenerationRules, *, loaded: bool
) -> str:
    """The mode for the platform: WSL before Tegra before NVML; else nvml, for which newer releases warn.

    `loaded`: NVML was loaded before, so that it is found by its soname too.
    """
    if rules.detection != "platform":
        platform = platform_of(host)
        if platform.dxcore:
            return "wsl"
        return "csv" if rules.detection == "wsl-tegra" and platform.tegra and not platform.nvml else "nvml"
    platform = platform_of(host, root, nvml_library)
    if platform.dxcore:
        return "wsl"
    nvml = platform.nvml or loaded
    if (platform.tegra and not nvml) or _integrated(platform.gpu_names, rules):
        return "csv"
    if not nvml:
        log.warning("Unsupported platform detected: unknown; assuming nvml")
    return "nvml"


def _integrated(names: Sequence[str], rules: GenerationRules) -> bool:
    """Whether these GPUs make a host one for csv mode."""
    how = rules.release.integrated_gpus
    if how == "any":
        return any(map(is_integrated, names))
    return bool(names) and all("(nvgpu)" in n if how == "all-nvgpu" else is_integrated(n) for n in names)


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
