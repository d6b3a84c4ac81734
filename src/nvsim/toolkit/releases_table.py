"""The table of what toolkit releases do differently: named behaviours, each with the release from which each of its values holds.

Data alone; `nvsim.toolkit.releases` asks it. Source: nvidia-container-toolkit, tags v1.10.0 to v1.20.0 and the development tree 27 commits
after (written 1.20.0+27), and recorded runs of builds of them.
"""

from __future__ import annotations

from typing import Any

from nvsim.frozen import frozen


@frozen
class Step:
    """From release `since` (text; "" = always) the behaviour has this `value`; `text` says it in words."""

    since: str
    value: Any
    text: str


@frozen
class Behaviour:
    """One thing that releases do differently. `about` says what it decides; `steps` are in the order of releases."""

    name: str
    about: str
    steps: tuple[Step, ...]


def _behaviour(name: str, about: str, *steps: tuple[str, Any, str]) -> Behaviour:
    return Behaviour(name, about, tuple(Step(*s) for s in steps))


_GPUS_FLAG = (
    "invoking the NVIDIA Container Runtime Hook directly (e.g. specifying the docker --gpus flag) is not supported."
)
_USE_RUNTIME = f"{_GPUS_FLAG} Please use the NVIDIA Container Runtime (e.g. specify the --runtime=nvidia flag) instead"

BEHAVIOURS = (
    # ---- devices -----------------------------------------------------------------------------------------------------
    _behaviour(
        "device_list",
        "how the value of NVIDIA_VISIBLE_DEVICES (or a swarm resource) is read",
        ("", "whole", "verbatim; `none` and `void` count only when they stand alone"),
        ("1.12.0", "items", "items are trimmed; `void` anywhere, or the first of `all` and `none`, decides"),
    ),
    _behaviour(
        "swarm_resource",
        "what swarm-resource names",
        ("", "one", "one variable, asked before NVIDIA_VISIBLE_DEVICES"),
        ("1.12.0", "list", "a list of variables; those that are set replace NVIDIA_VISIBLE_DEVICES"),
    ),
    _behaviour(
        "runtime_swarm_resource",
        "does nvidia-container-runtime honour swarm-resource",
        ("", False, "no, the hook alone does"),
        ("1.19.0", True, "yes"),
    ),
    _behaviour(
        "mount_devices",
        "device requests by volume mounts",
        ("", "verbatim", "every path below the directory, `cdi/` and `imex/` too, duplicates kept"),
        ("1.17.0", "plain", "`cdi/` and `imex/` paths are no devices of the hook; duplicates dropped"),
        ("1.18.0", "cdi-names", "`cdi/VENDOR/CLASS/NAME` names a CDI device; a malformed one is a warning"),
    ),
    _behaviour(
        "runtime_image",
        "which requests nvidia-container-runtime looks at outside CDI mode",
        ("", "env", "NVIDIA_VISIBLE_DEVICES alone, whatever the privileges"),
        ("1.18.0", "all", "volume mounts and the privilege rule too"),
    ),
    _behaviour(
        "ignored_env",
        "how an environment request of an unprivileged container that is refused is told",
        ("", "printed", "a line of the hook; nothing for IMEX channels"),
        ("1.18.0", "logged", "a log line of level warning"),
    ),
    _behaviour(
        "imex_channels",
        "NVIDIA_IMEX_CHANNELS",
        ("", "ignored", "not known"),
        ("1.14.6", "verbatim", "passed on as it stands, whatever the privileges"),
        ("1.17.0", "list", "read like a device list; volume mounts `imex/N`; needs the same privileges"),
        ("1.17.1", "list-not-all", "as before, but `all` alone asks for nothing"),
    ),
    _behaviour(
        "gated_features",
        "variables that add devices and files when they say exactly `enabled`, in this order",
        ("", (), "none"),
        ("1.11.0", ("gds", "mofed"), "NVIDIA_GDS, NVIDIA_MOFED"),
        ("1.15.0", ("gds", "mofed", "nvswitch", "gdrcopy"), "also NVIDIA_NVSWITCH, NVIDIA_GDRCOPY"),
        ("1.19.0", ("gds", "mofed", "gdrcopy", "nvswitch"), "the same, GDRCOPY before NVSWITCH"),
    ),
    _behaviour(
        "gated_by_generated_cdi",
        "how the gated features are applied in legacy and csv mode",
        ("", False, "as mounts and devices"),
        (
            "1.19.0",
            True,
            "as generated CDI specs, which also set NVIDIA_VISIBLE_DEVICES=void: a later hook does nothing",
        ),
    ),
    # ---- CDI requests of the runtime ---------------------------------------------------------------------------------
    _behaviour(
        "annotations",
        "device requests by annotations",
        ("", "none", "not known"),
        (
            "1.11.0",
            "cdi-library",
            "`cdi.k8s.io/` annotations in cdi mode, in addition to the environment; a bad name is an error",
        ),
        ("1.13.0", "strict", "annotation-prefixes, in cdi mode, instead of the environment; a bad name is an error"),
        ("1.18.0", "image", "they take part in mode `auto`; names are not checked"),
    ),
    _behaviour(
        "cdi_default_kind",
        "the kind of an unqualified name in cdi mode",
        ("", "fixed", "nvidia.com/gpu"),
        ("1.13.0", "config", "modes.cdi.default-kind"),
    ),
    _behaviour(
        "cdi_mount_devices",
        "device requests by volume mounts in cdi mode",
        ("", False, "not looked at"),
        ("1.15.0", True, "`cdi/VENDOR/CLASS/NAME` alone"),
        ("1.18.0", False, "as in every mode"),
    ),
    _behaviour(
        "cdi_unique_devices",
        "duplicates in the CDI request",
        ("", True, "removed"),
        ("1.13.0", False, "kept (the check does nothing)"),
        ("1.18.0", True, "removed"),
    ),
    _behaviour(
        "cdi_library",
        "the release of the CDI library",
        ("", "", "none"),
        ("1.11.0", "0.4", "0.4: names of devices begin with a letter"),
        ("1.12.0", "0.5", "0.5"),
        ("1.14.0", "0.6.0", "0.6.0"),
        ("1.14.5", "0.6.2", "0.6.2"),
        ("1.15.0", "0.7", "0.7"),
        ("1.16.0", "0.8", "0.8"),
        ("1.18.0", "1.1", "1.1: a node's mode is taken from the host, mounts keep their order"),
    ),
    _behaviour(
        "cdi_digit_names",
        "CDI device names that begin with a digit",
        ("", False, "are none"),
        ("1.12.0", True, "are names"),
    ),
    _behaviour(
        "cdi_all_expanded",
        "the CDI device nvidia.com/gpu=all",
        ("", True, "stands for every device of that kind"),
        ("1.13.0", False, "is a device like others"),
    ),
    _behaviour(
        "edits_form",
        "mounts and hooks that the runtime finds out itself: mount options, the first argument of hooks, their environment",
        ("", "bind-path", "`bind`; the path of nvidia-ctk; none"),
        ("1.12.0", "bind-name", "`bind`; nvidia-ctk; none"),
        ("1.17.8", "bind-name-debug", "`bind`; nvidia-ctk; NVIDIA_CTK_DEBUG"),
        ("1.18.0", "rbind-name-debug", "`rbind`, `rprivate`; nvidia-ctk; NVIDIA_CTK_DEBUG"),
    ),
    _behaviour(
        "graphics_needs",
        "what the graphics step needs on the host",
        ("", "ldcache", "an ld.so.cache, else it is an error"),
        ("1.15.0", "nothing", "nothing: what is not there is left out"),
        ("1.18.0", "driver", "the version of the driver, else it is an error"),
    ),
    _behaviour(
        "csv_environment",
        "a variable that is set twice, in csv mode",
        ("", "first", "the first counts (NVIDIA_VISIBLE_DEVICES, NVIDIA_REQUIRE_JETPACK)"),
        ("1.11.0", "last", "the last counts, as elsewhere"),
    ),
    _behaviour(
        "csv_step",
        "how csv mode makes its edits",
        ("", "hooks", "mounts of the CSV files; hooks that read the files"),
        ("1.14.0", "spec", "as a CDI spec that is generated, for all devices"),
        ("1.19.0", "spec-by-device", "as CDI specs that are generated for the devices that are asked for"),
    ),
    _behaviour(
        "cdi_none_name",
        "what `none` asks for in CDI modes",
        ("", "", "a device with an empty name"),
        ("1.18.2", "none", "the device `none`"),
    ),
    _behaviour(
        "automatic_devices",
        "devices named runtime.nvidia.com/gpu=ID",
        ("", "none", "looked up in the spec files like others"),
        ("1.15.0", "fall-back", "their spec is generated; a failure falls back to the spec files"),
        ("1.18.0", "required", "their spec is generated; a failure is an error"),
    ),
    _behaviour(
        "automatic_modes",
        "hosts on which a CDI spec is generated for automatic devices",
        ("", "nvml", "those with NVML; not Tegra (csv), not WSL"),
        ("1.18.0", "all", "all"),
    ),
    # ---- mode --------------------------------------------------------------------------------------------------------
    _behaviour(
        "modes",
        "values of nvidia-container-runtime.mode beside `auto`",
        ("", ("legacy", "csv"), "legacy, csv"),
        ("1.11.0", ("legacy", "csv", "cdi"), "also cdi"),
        ("1.18.0", ("legacy", "csv", "cdi", "jit-cdi"), "also jit-cdi"),
    ),
    _behaviour(
        "auto_cdi",
        "when `auto` becomes cdi",
        ("", "never", "never"),
        ("1.14.0", "env", "all of NVIDIA_VISIBLE_DEVICES are fully-qualified CDI names"),
        ("1.15.0", "env-and-mounts", "the same, and all volume-mount requests begin with `cdi/`"),
        ("1.18.0", "visible", "all requested devices, from wherever, are fully-qualified CDI names"),
    ),
    _behaviour(
        "hook_auto_sees_mounts",
        "do volume mounts take part in the hook's mode `auto`",
        ("", False, "no"),
        ("1.17.0", True, "yes"),
    ),
    _behaviour(
        "wsl_first",
        "libdxcore.so in mode `auto`",
        ("", False, "not looked at"),
        ("1.16.0", True, "a host with it is never taken for Tegra"),
    ),
    _behaviour(
        "integrated_gpus",
        "GPUs that NVML names, in mode `auto`",
        ("", "ignored", "not looked at"),
        ("1.14.0", "all-nvgpu", "csv when all of them are `(nvgpu)`"),
        ("1.17.7", "all", "csv when all of them are integrated, Thor too"),
        ("1.19.0", "any", "csv when one of them is integrated"),
    ),
    _behaviour(
        "runtime_auto_mode",
        "what `auto` is in the runtime when nothing else decides",
        ("", "legacy", "legacy"),
        ("1.18.0", "jit-cdi", "jit-cdi"),
    ),
    _behaviour(
        "hook_mode_check",
        "when the hook checks that the mode is legacy",
        ("", "first", "before it reads the container: also where no GPU is wanted"),
        ("1.14.0", "after-request", "after the request was read, only for GPU containers"),
    ),
    _behaviour(
        "auto_mode_logged",
        "is a mode that was found out told (`Auto-detected mode as`)",
        ("", False, "no: there are no modes"),
        ("1.10.0", True, "yes"),
    ),
    _behaviour(
        "requested_mode_logged",
        "is a mode that was set told (`Using requested mode`)",
        ("", False, "no"),
        ("1.14.4", True, "yes"),
    ),
    _behaviour(
        "wrong_mode_message",
        "what the hook says in another mode than legacy",
        ("", f"{_GPUS_FLAG} Please use the NVIDIA Container Runtime instead.", "`... instead.`"),
        ("1.11.0", f"{_USE_RUNTIME}.", "`... (e.g. specify the --runtime=nvidia flag) instead.`"),
        ("1.18.0", _USE_RUNTIME, "the same without the full stop"),
    ),
    # ---- capabilities and requirements -------------------------------------------------------------------------------
    _behaviour(
        "default_capabilities",
        "driver capabilities when NVIDIA_DRIVER_CAPABILITIES is unset or empty",
        ("", ("utility",), "utility"),
        ("1.4.0", ("utility", "compute"), "utility, compute"),
    ),
    _behaviour(
        "capability_sets",
        "how driver capabilities are compared",
        ("", False, "as text, in the given order: blanks and words beside `all` fail"),
        ("1.14.0", True, "as sets: trimmed, sorted; `all` beside other words counts"),
    ),
    _behaviour(
        "bad_supported_capabilities_told",
        "an invalid supported-driver-capabilities",
        ("", True, "is named"),
        ("1.18.0", False, "ends the hook without a word"),
    ),
    _behaviour(
        "disabled_requirements_read",
        "requirements although they are disabled",
        ("", True, "are still read: a bad CUDA_VERSION fails"),
        ("1.14.0", False, "are not read"),
    ),
    _behaviour(
        "cuda_version_in_error",
        "does the message about a bad CUDA_VERSION show it",
        ("", False, "no"),
        ("1.14.0", True, "yes"),
    ),
    _behaviour(
        "semver",
        "the library that reads versions",
        ("", "x-mod", "golang.org/x/mod: no leading zeros, pre-release only after three numbers"),
        ("1.20.0+1", "masterminds", "Masterminds/semver: leading zeros allowed; its own messages"),
    ),
    _behaviour(
        "graphics_step",
        "graphics libraries and DRM devices added by the runtime in legacy mode",
        ("", False, "no"),
        ("1.12.0", True, "for the driver capabilities graphics, display, all"),
    ),
    # ---- config.toml -------------------------------------------------------------------------------------------------
    _behaviour(
        "hook_config",
        "how the hook reads config.toml",
        ("", "own", "with a reader of its own (BurntSushi/toml): keys in any letter case; empty is not unset"),
        ("1.14.0", "shared", "as the runtime does (pelletier/go-toml)"),
    ),
    _behaviour(
        "hook_config_paths",
        "where the hook looks for config.toml without -config",
        ("", "driver-root", "/run/nvidia/driver/etc/..., then /etc/nvidia-container-runtime/config.toml"),
        ("1.18.0", "overrides", "NVIDIA_CTK_CONFIG_FILE_PATH, or below XDG_CONFIG_HOME or /etc"),
    ),
    _behaviour(
        "missing_hook_config_ends_search",
        "a config.toml of the hook's list that is missing",
        ("", False, "the next one is tried"),
        ("1.14.0", True, "counts as an empty one: the file in /etc is never read"),
        ("1.14.1", False, "the next one is tried"),
    ),
    _behaviour(
        "ldconfig_must_be_on_host",
        "nvidia-container-cli.ldconfig without `@`",
        ("", False, "is a path in the container"),
        ("1.17.3", True, "is refused, unless features.allow-ldconfig-from-container"),
    ),
    _behaviour(
        "runtime_config",
        "how the runtime reads config.toml",
        ("", "sections", "its own sections and a few single keys, whose wrong type crashes it"),
        ("1.14.0", "whole", "every key"),
    ),
    _behaviour(
        "config_path_override",
        "NVIDIA_CTK_CONFIG_FILE_PATH",
        ("", False, "not known"),
        ("1.18.0", True, "names the config.toml"),
    ),
    _behaviour(
        "config_load_error_told",
        "does the message about a config.toml that is no TOML say that it was the file",
        ("", False, "no"),
        ("1.20.0", True, "`failed to load specified config file: ...`"),
    ),
    _behaviour(
        "config_keys_noted",
        "a key of config.toml that is the empty text",
        ("", False, "is passed over"),
        ("1.20.0", True, "at the top makes the program run out of stack, as it notes which keys are set"),
    ),
    _behaviour(
        "low_level_runtimes",
        "nvidia-container-runtime.runtimes without configuration",
        ("", ("docker-runc", "runc"), "docker-runc, runc"),
        ("1.14.4", ("docker-runc", "runc", "crun"), "docker-runc, runc, crun"),
        ("1.18.0", ("runc", "crun"), "runc, crun"),
    ),
    _behaviour(
        "toml_unsigned",
        "an integer above 2**63 - 1 in config.toml",
        ("", False, "is an error"),
        ("1.14.6", True, "is an unsigned one"),
    ),
    # ---- the command line of nvidia-container-cli --------------------------------------------------------------------
    _behaviour(
        "default_ldconfig",
        "--ldconfig without configuration",
        ("", False, "left out"),
        ("1.14.0", True, "@/sbin/ldconfig, or @/sbin/ldconfig.real where that exists"),
    ),
    _behaviour(
        "ldconfig_normalised",
        "a configured ldconfig on the host",
        ("", False, "is passed as it stands"),
        ("1.15.0", True, "gets `.real` exactly where that file exists"),
    ),
    _behaviour(
        "suse_user",
        "--user on SUSE without configuration",
        ("", False, "left out"),
        ("1.14.4", True, "root:video"),
    ),
    _behaviour(
        "compat_flag",
        "what nvidia-container-cli is told about CUDA compatibility libraries of the container",
        ("", "none", "nothing: they are mounted over the driver's"),
        ("1.17.4", "no-cntlibs", "--no-cntlibs, unless features.allow-cuda-compat-libs-from-container"),
        ("1.17.7", "mode", "--cuda-compat-mode= by modes.legacy.cuda-compat-mode"),
    ),
    _behaviour(
        "missing_cli_message_has_path",
        "the message about a missing nvidia-container-cli",
        ("", True, "shows the searched PATH"),
        ("1.19.0", False, "does not"),
    ),
    _behaviour(
        "usage_names_argv0",
        "the name in the hook's usage text",
        ("", True, "as it was called"),
        ("1.19.0", False, "nvidia-container-runtime-hook"),
    ),
    _behaviour(
        "engine",
        "the libnvidia-container that is released with it",
        ("", "1.12.1", "as 1.12"),
        ("1.16.2", "1.17.7-equivalent", "as 1.17"),
    ),
    # ---- the OCI spec ------------------------------------------------------------------------------------------------
    _behaviour(
        "privileges_first",
        "the hook reads the container's capabilities",
        ("", False, "after its environment"),
        ("1.18.0", True, "before its environment"),
    ),
    _behaviour(
        "own_capabilities_type",
        "the type that a message about process.capabilities names",
        ("", True, "main.LinuxCapabilities"),
        ("1.13.0", False, "specs.LinuxCapabilities"),
    ),
    _behaviour(
        "mounts_with_mappings",
        "are uidMappings and gidMappings of a mount read by the hook",
        ("", False, "no"),
        ("1.17.0", True, "yes: a wrong type in them is an error"),
    ),
    _behaviour(
        "strict_oci_spec",
        "unknown fields in config.json (runtime)",
        ("", False, "are ignored and lost"),
        ("1.19.0", True, "are errors, unless features.allow-unknown-oci-spec-fields"),
    ),
    # ---- nvidia-container-runtime ------------------------------------------------------------------------------------
    _behaviour(
        "mode_binaries",
        "the binaries nvidia-container-runtime.cdi and .legacy",
        ("", False, "do not exist"),
        ("1.13.0", True, "are the runtime with that mode"),
    ),
    _behaviour(
        "runtime_steps",
        "what the runtime does to the OCI spec, in order, by mode (the last entry: every other mode)",
        ("", (("", ("mode",)),), "what the mode says"),
        ("1.11.0", (("", ("mode", "feature-gated", "tegra-files")),), "also the gated features and Tegra's files"),
        (
            "1.12.0",
            (("", ("mode", "graphics", "feature-gated", "tegra-files")),),
            "also graphics, after what the mode says",
        ),
        (
            "1.13.0",
            (("cdi", ("mode",)), ("", ("mode", "graphics", "feature-gated", "tegra-files"))),
            "cdi mode: nothing but what it says",
        ),
        ("1.14.0", (("cdi", ("mode",)), ("", ("mode", "graphics", "feature-gated"))), "no Tegra files"),
        (
            "1.17.5",
            (
                ("cdi", ("nvidia-hook-remover", "mode")),
                ("jit-cdi", ("nvidia-hook-remover", "mode")),
                ("csv", ("nvidia-hook-remover", "feature-gated", "mode")),
                ("", ("feature-gated", "graphics", "mode")),
            ),
            "cdi, csv: hooks of the legacy mode are removed; otherwise the mode comes last",
        ),
    ),
    _behaviour(
        "runtime_steps_made",
        "when these steps are prepared, so which phase an error names",
        ("", "at-start", "before the command is looked at: `failed to create NVIDIA Container Runtime`"),
        ("1.19.0", "at-create", "with the edits: `could not apply required modification to OCI specification`"),
    ),
    _behaviour(
        "runtime_spec_read",
        "when config.json is first read",
        ("", "by-mode", "only by the steps that need it"),
        ("1.11.0", "by-step", "by the steps, after the mode is known"),
        ("1.14.0", "first", "before the mode is resolved"),
    ),
    _behaviour(
        "prestart_hook_args0",
        "the first argument of the prestart hook that legacy mode adds",
        ("", "path", "its path"),
        ("1.13.0", "name", "its name"),
    ),
    _behaviour(
        "prestart_hook_path",
        "where the prestart hook that legacy mode adds is looked for",
        ("", "path-or-default", "on the PATH, else in /usr/bin, where it has to exist"),
        ("1.12.0", "search", "on the PATH and in the usual directories; not found is an error"),
        ("1.13.0", "config", "nvidia-container-runtime-hook.path; searched unless absolute; else /usr/bin"),
    ),
    _behaviour(
        "prestart_hook_known_by",
        "how a hook of the legacy mode in config.json is recognised",
        ("", "text", "its path contains nvidia-container-runtime-hook"),
        ("1.11.0", "name", "its name is nvidia-container-runtime-hook or nvidia-container-toolkit"),
    ),
    _behaviour(
        "cuda_compat_hook",
        "the enable-cuda-compat hook that the runtime adds in legacy and csv mode",
        ("", "none", "none"),
        ("1.17.5", "always", "in both, followed by update-ldcache in legacy mode"),
        ("1.17.7", "by-mode", "in legacy mode with cuda-compat-mode = hook, followed by update-ldcache"),
        ("1.20.0", "alone", "in legacy mode with cuda-compat-mode = hook, alone"),
    ),
    _behaviour(
        "compat_hook_needs_driver",
        "the enable-cuda-compat hook on a host whose driver version is unknown",
        ("", False, "gets no --host-driver-version"),
        ("1.18.0", True, "is an error"),
    ),
    # ---- the runtime's log -------------------------------------------------------------------------------------------
    _behaviour(
        "runtime_spec_version",
        "the version of the OCI runtime specification that `nvidia-container-runtime --version` names",
        ("", "1.0.2-dev", "1.0.2-dev"),
        ("1.13.2", "1.1.0-rc.2", "1.1.0-rc.2"),
        ("1.14.5", "1.1.0", "1.1.0"),
        ("1.14.6", "1.2.0", "1.2.0"),
        ("1.17.5", "1.2.1", "1.2.1"),
        ("1.18.1", "1.3.0", "1.3.0"),
    ),
    _behaviour(
        "debug_log_directory",
        "nvidia-container-runtime.debug in a directory that does not exist",
        ("", "needed", "is an error"),
        ("1.13.2", "made", "makes the directory"),
    ),
    _behaviour(
        "joined_log_flag_crashes",
        "nvidia-container-runtime with a log flag and its value in one argument (`--log=FILE`)",
        ("", True, "crashes: index out of range"),
        ("1.16.0", False, "works"),
    ),
    _behaviour(
        "unresolved_devices_told",
        "a warning about CDI devices that no spec has",
        ("", False, "is not given, the error alone names them"),
        ("1.14.0", True, "is given besides the error"),
    ),
    # ---- what the hooks of CDI specs do (nvidia-cdi-hook, before 1.16 nvidia-ctk hook) ------------------------------
    _behaviour(
        "ldcache_hook",
        "what update-ldcache does in the container's root",
        ("", "conf-and-run", "lists the folders in a conf file, for which the directory must exist, and runs ldconfig"),
        ("1.13.1", "if-cache", "the same, but nothing in an image without ld.so.cache"),
        (
            "1.15.0",
            "links-without-cache",
            "without ld.so.cache it makes links alone (-N); without conf directory folders are arguments",
        ),
        ("1.18.0", "always", "writes the cache in every image"),
        (
            "1.18.1",
            "complete",
            "makes a missing ld.so.conf, leaves out folders that are listed, lists the system's directories last",
        ),
        ("1.18.2", "complete-and-musl", "tells musl's path file too"),
    ),
    _behaviour(
        "ldcache_hook_file",
        "the conf file that update-ldcache writes in /etc/ld.so.conf.d",
        ("", "nvcr-*.conf", "nvcr-*.conf"),
        ("1.16.0", "00-nvcr-*.conf", "00-nvcr-*.conf, which sorts before the distribution's files"),
    ),
    _behaviour(
        "ldcache_hook_root",
        "how update-ldcache runs the host's ldconfig",
        ("", "option", "on the host, with -r ROOT"),
        ("1.17.7", "pivot-shared", "bound to /var/run/nvidia-ctk-hook in the root, after pivot_root"),
        ("1.18.1", "pivot", "bound to a directory of its own below /run/nvidia-ctk-hook, after pivot_root"),
    ),
    _behaviour(
        "links_hook",
        "create-symlinks where something is at the link's path, and links that are told wrongly",
        ("", "colon-keep", "TARGET:LINK; what is there stays, with a warning"),
        ("1.12.0", "keep", "TARGET::LINK; what is there stays, with a warning"),
        ("1.17.0", "refuse", "another link there ends the hook with an error"),
        ("1.17.1", "replace", "a file or link there is replaced"),
    ),
    _behaviour(
        "compat_hook",
        "when enable-cuda-compat prefers the image's compatibility libraries",
        ("", "major-and-cache", "a higher driver branch than the host's, in an image with ld.so.cache"),
        ("1.18.1", "major", "a higher driver branch than the host's"),
        ("1.19.0", "note", "what the note in the library says, else a higher driver branch"),
    ),
    # ---- nvidia-ctk --------------------------------------------------------------------------------------------------
    _behaviour(
        "ctk_library",
        "the release of urfave/cli, which reads nvidia-ctk's command line and writes its help",
        ("", "2.3", "2.3"),
        ("1.14.6", "2.27.1", "2.27.1: lists are split at commas; each help text lists its own options"),
        ("1.16.0", "2.27.2", "2.27.2: usage lines without `[arguments...]`"),
        ("1.16.2", "2.27.4", "2.27.4: usage lines without a blank at their end"),
        (
            "1.18.0",
            "3.4",
            "3.4: options may follow words, those of the program are known below; errors are told on stderr",
        ),
        ("1.19.0", "3.6", "3.6: `--option=` is an error; `--version` is not known below"),
        ("1.20.0", "3.10", "3.10: `--option=` is the empty text; a command shows its help after an error"),
    ),
    _behaviour(
        "ctk_commands",
        "the commands of nvidia-ctk",
        ("", ("hook",), "hook"),
        ("1.11.0", ("hook", "runtime"), "also runtime"),
        ("1.12.0", ("hook", "runtime", "info", "cdi", "system"), "also info, cdi, system"),
        ("1.14.0", ("hook", "runtime", "info", "cdi", "system", "config"), "also config"),
    ),
    _behaviour(
        "ctk_options",
        "the options of nvidia-ctk that stand before its commands",
        ("", ("debug",), "--debug"),
        ("1.14.0", ("debug", "quiet"), "also --quiet"),
        ("1.18.0", ("debug", "quiet", "config"), "also --config"),
    ),
    _behaviour(
        "config_set",
        "what `nvidia-ctk config --set` takes a setting for",
        ("", "value", "for what its value in the configuration is; lists and settings without a value cannot be set"),
        ("1.14.4", "type-exact", "for what its key is; keys that are left out when empty (no-pivot) are not known"),
        ("1.15.0", "type", "for what its key is; `nil` removes a feature"),
    ),
    _behaviour(
        "config_lists",
        "what separates the items of a list in `nvidia-ctk config --set`",
        ("", "comma", "a comma"),
        ("1.16.0", "option", "a colon, or what --set-list-separator says"),
        ("1.18.0", "option-or-comma", "the same, or a comma where it does not occur"),
    ),
    _behaviour(
        "config_comments",
        "which settings `nvidia-ctk config` writes as comments, of those that have an example",
        ("", "values-not-suse", "those that are empty, missing or like the example; not the user on SUSE"),
        ("1.14.4", "values", "the same; not a user on SUSE that is like the example"),
        ("1.19.0", "values-not-set", "the same, without those that --set names"),
        ("1.20.0", "values-not-told", "the same, without those that the file holds"),
    ),
    _behaviour(
        "config_default_makes_directory",
        "a missing directory for the output of `nvidia-ctk config default`",
        ("", True, "is made"),
        ("1.18.0", False, "is an error"),
    ),
    # ---- builds ------------------------------------------------------------------------------------------------------
    _behaviour(
        "nvml_calls_need_old_linker",
        "calls of NVML in a program that was linked by a recent linker (go-nvml without --export-dynamic)",
        ("", False, "work, or are not made"),
        ("1.14.0", True, "crash (SIGSEGV) when libnvidia-ml.so.1 is there; official packages do not"),
        ("1.14.6", False, "work"),
    ),
)
