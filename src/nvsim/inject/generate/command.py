"""The command line of ``nvidia-ctk cdi generate`` and ``nvidia-ctk cdi transform root`` (toolkit: ``cmd/nvidia-ctk/cdi``)."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence

from nvsim.frozen import evolve, frozen
from nvsim.inject.cdi.dump import dump_json, dump_sorted_yaml, dump_yaml
from nvsim.inject.cdi.library import LIBRARIES, NEWEST_LIBRARY
from nvsim.inject.cdi.load import parse_spec
from nvsim.inject.cdi.spec import CdiDevice, CdiSpec, Edits, with_minimum_version
from nvsim.inject.cdi.transform import transform_root
from nvsim.inject.cdi.validate import spec_error
from nvsim.inject.command_flags import Flag, parse_flags
from nvsim.inject.generate.csv_files import default_files
from nvsim.inject.generate.generate import build_spec, common_edits, device_specs
from nvsim.inject.generate.generator import NAME_STRATEGIES, GenerateOptions, new_generator
from nvsim.inject.generate.host import CdiHost
from nvsim.inject.generate.lookup import executables
from nvsim.inject.generate.nvml import COHERENT
from nvsim.inject.log import ToolFailure, ToolLog
from nvsim.toolkit.cdi_name import NamePanic, class_error, vendor_error
from nvsim.toolkit.generation import GenerationRules, newest_rules

DEFAULT_CTK = "/usr/bin/nvidia-ctk"
DEFAULT_CDI_HOOK = "/usr/bin/nvidia-cdi-hook"


@frozen
class CommandResult:
    """What a run of the command gave: exit status, log, and the specs that it wrote, with their text and file ("" = stdout).

    `usage`: it ended because of its own arguments, before it looked at the host.
    """

    rc: int
    log: tuple[tuple[str, str], ...]
    specs: tuple[CdiSpec, ...] = ()
    texts: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    usage: bool = False


_ENV = "NVIDIA_CTK_CDI_GENERATE_"
_GENERATE_FLAGS = (
    Flag(("config-search-path",), "list", _ENV + "CONFIG_SEARCH_PATHS"),
    Flag(("output",), "text", "NVIDIA_CTK_CDI_OUTPUT_FILE_PATH"),
    Flag(("format",), "text", _ENV + "OUTPUT_FORMAT", "yaml"),
    Flag(("mode", "discovery-mode"), "text", _ENV + "MODE", "auto"),
    Flag(("dev-root",), "text", "NVIDIA_CTK_DEV_ROOT"),
    Flag(("device-name-strategy",), "list", _ENV + "DEVICE_NAME_STRATEGIES", ("index", "uuid")),
    Flag(("driver-root",), "text", "NVIDIA_CTK_DRIVER_ROOT"),
    Flag(("library-search-path",), "list", _ENV + "LIBRARY_SEARCH_PATHS"),
    Flag(("nvidia-cdi-hook-path", "nvidia-ctk-path"), "text", "NVIDIA_CTK_CDI_HOOK_PATH"),
    Flag(("ldconfig-path",), "text", _ENV + "LDCONFIG_PATH"),
    Flag(("vendor", "cdi-vendor"), "text", _ENV + "VENDOR", "nvidia.com"),
    Flag(("class", "cdi-class"), "text", _ENV + "CLASS", "gpu"),
    Flag(("csv.file",), "list", _ENV + "CSV_FILES", default_files()),
    Flag(("csv.ignore-pattern",), "list", _ENV + "CSV_IGNORE_PATTERNS"),
    Flag(("csv.compat-container-root",), "text", _ENV + "CSV_CONTAINER_COMPAT_ROOT"),
    Flag(("disable-hook", "disable-hooks"), "list", _ENV + "DISABLED_HOOKS"),
    Flag(("enable-hook", "enable-hooks"), "list", _ENV + "ENABLED_HOOKS"),
    Flag(("feature-flag", "feature-flags"), "list", _ENV + "FEATURE_FLAGS"),
    Flag(("no-all-device",), "bool", _ENV + "NO_ALL_DEVICE"),
    Flag(("device-id", "device-ids", "device", "devices"), "list", _ENV + "DEVICE_IDS", ("all",)),
)
_TRANSFORM_FLAGS = (
    Flag(("from",), "text"),
    Flag(("input",), "text", default="-"),
    Flag(("output",), "text"),
    Flag(("relative-to",), "text", default="host"),
    Flag(("to",), "text"),
)


def run_generate(
    host: CdiHost, args: Sequence[str], config_root: str = "", rules: GenerationRules | None = None
) -> CommandResult:
    """``nvidia-ctk cdi generate ARGS`` on `host`. `config_root` is ``nvidia-container-cli.root`` of its config.toml; `rules`: of the
    toolkit's release, the newest tree's if none are given."""
    log = ToolLog()
    rules = rules or newest_rules()
    specs: list[CdiSpec] = []
    texts: list[str] = []
    files: list[str] = []
    usage = True
    try:
        env = host.env if rules.options_from_environment else {}
        after, one_form = rules.options_after_arguments, rules.option_forms == "one"
        flags = parse_flags(_flags(rules), args, env, known=rules.options, interspersed=after, one_form=one_form)
        if rules.options_from_environment and not flags.is_set("driver-root"):
            flags = flags.with_value("driver-root", config_root)
        checked = _checked(host, log, flags.values, flags.is_set("format"), rules)
        usage = False
        try:
            generated = _generated(host, log, checked)
        except ToolFailure as e:
            raise e.within("failed to generate CDI spec") from None
        if checked.late_warning:
            log.warning(checked.late_warning)
        library = LIBRARIES.get(rules.release.cdi_library, NEWEST_LIBRARY)
        errors = []
        for infix, spec in generated:
            saved = with_minimum_version(spec)
            _tell_version(log, rules, spec.version, saved.version, before=True)
            error = spec_error(saved, library) if rules.spec_check else None
            file = _with_infix(checked.output, infix)
            if error is None:
                specs.append(saved)
                texts.append(_text(saved, checked.format, rules))
                files.append(file)
            else:
                text = f"failed to write spec: invalid CDI Spec: {error}"
                errors.append(text if file else f"failed to write CDI spec to STDOUT: {text}")
            _tell_version(log, rules, spec.version, saved.version, before=False)
        if errors:
            raise ToolFailure("\n".join(errors))
    except ToolFailure as e:
        log.error(e.text)
        return CommandResult(1, tuple(log.lines), tuple(specs), tuple(texts), tuple(files), usage)
    except NamePanic as e:
        return _crashed(log, e)
    return CommandResult(0, tuple(log.lines), tuple(specs), tuple(texts), tuple(files))


def _flags(rules: GenerationRules) -> tuple[Flag, ...]:
    """The options with the defaults and kinds of a release."""
    several = len(rules.name_strategies) > 1
    strategies = Flag(
        ("device-name-strategy",),
        "list" if several else "text",
        _ENV + "DEVICE_NAME_STRATEGIES",
        rules.name_strategies if several else rules.name_strategies[0],
    )
    return tuple(strategies if f.names == strategies.names else f for f in _GENERATE_FLAGS)


def _tell_version(log: ToolLog, rules: GenerationRules, newest: str, needed: str, *, before: bool) -> None:
    """Log the CDI version, before or after the spec is written."""
    if before == (rules.version_told == "saved"):
        return
    if rules.version_told == "minimum":
        log.info(f"Using minimum required CDI spec version: {needed}")
    else:
        log.info(f"Generated CDI spec with version {newest if rules.version_told == 'newest' else needed}")


def _text(spec: CdiSpec, form: str, rules: GenerationRules) -> str:
    """The text of a spec as a release writes it."""
    if form == "json":
        return dump_json(spec, in_order=rules.spec_text != "sorted")
    return dump_yaml(spec) if rules.spec_text == "ordered" else dump_sorted_yaml(spec)


@frozen
class _Checked:
    options: GenerateOptions
    output: str
    format: str
    vendor: str
    cls: str
    ids: tuple[str, ...]
    merged: bool
    late_warning: str


def _checked(
    host: CdiHost,
    log: ToolLog,
    values: Mapping[str, str | bool | tuple[str, ...]],
    format_set: bool,
    rules: GenerationRules,
) -> _Checked:
    """The flags as options, refused in the program's order and words."""

    def text(name: str) -> str:
        value = values[name]
        return value if isinstance(value, str) else ""

    def many(name: str) -> tuple[str, ...]:
        value = values[name]
        return value if isinstance(value, tuple) else (value,) if isinstance(value, str) else ()

    form = text("format").lower()
    if form not in ("json", "yaml"):
        raise ToolFailure(f"invalid output format: {form}")
    mode = text("mode").lower() if rules.modes else "nvml"
    if rules.modes and mode not in rules.modes:
        raise ToolFailure(f"invalid discovery mode: {mode}")
    for strategy in many("device-name-strategy"):
        if strategy not in NAME_STRATEGIES:
            raise ToolFailure(f"invalid device name strategy: {strategy}")
    hook_path = resolve_hook_path(host, log, text("nvidia-cdi-hook-path"), rules)
    output = text("output")
    warning = ""
    implied = {".json": "json", ".yaml": "yaml", ".yml": "yaml"}.get(posixpath.splitext(output)[1].lower())
    if implied is not None and not format_set:
        form = implied
    elif implied is not None and implied != form:
        warning = f'Requested output format "{form}" does not match format implied by output file name: "{implied}"'
        if rules.format_warning == "before":
            log.warning(warning)
            warning = ""
    old = not LIBRARIES.get(rules.release.cdi_library, NEWEST_LIBRARY).dotted_classes
    for name, wrong in (("vendor", vendor_error), ("class", class_error)):
        error = wrong(text(name), before_0_6=old)
        if error:
            raise ToolFailure(f"invalid CDI {name} name: {error}")
    if "all" in many("enable-hook"):
        raise ToolFailure("enabling all hooks is not supported")
    merged = values["no-all-device"] is not True
    if "none" in many("device-id") and merged:
        log.warning("Disabling generation of 'all' device")
        merged = False
    options = GenerateOptions(
        mode,
        many("device-name-strategy"),
        text("driver-root"),
        text("dev-root"),
        hook_path,
        text("ldconfig-path"),
        many("library-search-path"),
        many("config-search-path"),
        many("disable-hook"),
        many("enable-hook"),
        frozenset(many("feature-flag")),
        many("csv.file"),
        many("csv.ignore-pattern"),
        text("csv.compat-container-root"),
        rules=rules,
    )
    return _Checked(options, output, form, text("vendor"), text("class"), many("device-id"), merged, warning)


def resolve_hook_path(host: CdiHost, log: ToolLog, path: str, rules: GenerationRules) -> str:
    """The absolute path of a hook program: as given, or found on the PATH, or the default of its kind."""
    if path.startswith("/"):
        return path
    ctk = rules.hook_program == "nvidia-ctk" or posixpath.basename(path) == "nvidia-ctk"
    default = DEFAULT_CTK if ctk else DEFAULT_CDI_HOOK
    name = path or posixpath.basename(default)
    try:
        return executables(host.resolver, host.path_env, "", rules.not_found)(name)[0]
    except ToolFailure as e:
        log.warning(f"Failed to locate {name}: {e.text}")
        return default


def _generated(host: CdiHost, log: ToolLog, checked: _Checked) -> list[tuple[str, CdiSpec]]:
    """The specs with the infix of their file names: the whole one, and those of coherent and other GPUs where that is told apart."""
    try:
        generator = new_generator(host, log, checked.options)
    except ToolFailure as e:
        raise e.within("failed to create CDI library") from None
    if generator.rules.spec_steps == "common":
        generator.nvml()
    try:
        devices = device_specs(generator, checked.ids)
    except ToolFailure as e:
        raise e.within("failed to create device CDI specs") from None
    try:
        common = common_edits(generator)
    except ToolFailure as e:
        raise (
            e if generator.rules.spec_steps == "common" else e.within("failed to create edits common for entities")
        ) from None
    out = [("", _built(devices, common, checked, ""))]
    for infix, value in ((".coherent", "true"), (".noncoherent", "false")):
        chosen = [d for d in devices if d.annotations.get(COHERENT) == value]
        if chosen:
            out.append((infix, _built(chosen, common, checked, infix)))
    return out


def _built(devices: Sequence[CdiDevice], common: Edits, checked: _Checked, infix: str) -> CdiSpec:
    plain = [
        evolve(d, annotations={k: v for k, v in d.annotations.items() if k != COHERENT}) if d.annotations else d
        for d in devices
    ]
    return build_spec(plain, common, f"{checked.vendor}/{checked.cls}{infix}", checked.options.rules, checked.merged)


def _with_infix(path: str, infix: str) -> str:
    if not path or not infix:
        return path
    stem, ext = posixpath.splitext(path)
    return f"{stem}{infix}{ext}"


def _crashed(log: ToolLog, panic: NamePanic) -> CommandResult:
    """The Go runtime ends a program that panics with status 2, and nothing that it had ready is written."""
    log.error(f"panic: {panic}")
    return CommandResult(2, tuple(log.lines))


def run_transform(args: Sequence[str], text: str, env: Mapping[str, str] | None = None) -> CommandResult:
    """``nvidia-ctk cdi transform root ARGS``; `text` is the content of its input, whatever its name."""
    log = ToolLog()
    try:
        values = parse_flags(_TRANSFORM_FLAGS, args, env or {}).values
        relative_to, output = str(values["relative-to"]), str(values["output"])
        if relative_to not in ("host", "container"):
            raise ToolFailure(f"invalid --relative-to value: {relative_to}")
        try:
            spec = parse_spec(text)
        except ToolFailure as e:
            raise e.within("failed to parse CDI spec").within("failed to load CDI specification") from None
        if spec is None:
            raise ToolFailure("failed to load CDI specification: no Spec data")
        moved = transform_root(spec, str(values["from"]), str(values["to"]), relative_to)
        if not moved.version:
            moved = with_minimum_version(moved)
        error = spec_error(moved)
        if error is not None:
            failure = ToolFailure(f"failed to write spec: invalid CDI Spec: {error}")
            raise failure if output else failure.within("failed to write CDI spec to STDOUT")
    except ToolFailure as e:
        log.error(e.text)
        return CommandResult(1, tuple(log.lines))
    except NamePanic as e:
        return _crashed(log, e)
    dump = dump_json if output.endswith(".json") else dump_yaml
    return CommandResult(0, tuple(log.lines), (moved,), (dump(moved),), (output,))
