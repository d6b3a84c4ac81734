"""The table of how toolkit releases generate CDI specs: the rows of `nvsim.toolkit.releases_table` that only the generator asks for.

Data alone; `nvsim.toolkit.generation.GenerationRules` has a field for each row. Source: nvidia-container-toolkit (``cmd/nvidia-ctk/cdi/generate``,
``pkg/nvcdi``, ``internal/discover``, ``internal/lookup``), tags v1.12.0 (the first with ``nvidia-ctk cdi generate``) to v1.20.0 and the
development tree 27 commits after, and runs of builds of them.
"""

from __future__ import annotations

from typing import Any

from nvsim.toolkit.releases_table import Behaviour, Step


def _rule(name: str, about: str, *steps: tuple[str, Any, str]) -> Behaviour:
    return Behaviour(name, about, tuple(Step(*s) for s in steps))


_OPTIONS_1_12 = ("output", "format", "device-name-strategy", "driver-root", "nvidia-ctk-path")
_OPTIONS_1_13 = (*_OPTIONS_1_12, "mode", "discovery-mode", "vendor", "cdi-vendor", "class", "cdi-class")
_OPTIONS_1_14 = (*_OPTIONS_1_13, "library-search-path", "csv.file")
_OPTIONS_1_14_2 = (*_OPTIONS_1_14, "csv.ignore-pattern")
_OPTIONS_1_15 = (*_OPTIONS_1_14_2, "config-search-path", "dev-root", "ldconfig-path")
_OPTIONS_1_16 = (*_OPTIONS_1_15, "nvidia-cdi-hook-path")
_OPTIONS_1_18 = (
    *_OPTIONS_1_16,
    *("disable-hook", "disable-hooks", "enable-hook", "enable-hooks", "feature-flag", "feature-flags"),
)
_OPTIONS_1_19 = (
    *_OPTIONS_1_18,
    *("csv.compat-container-root", "no-all-device", "device-id", "device-ids", "device", "devices"),
)
_MODES_1_13 = ("auto", "management", "nvml", "wsl")
_EVERY_MODE = ("auto", "csv", "gdrcopy", "gds", "imex", "management", "mofed", "nvml", "nvswitch", "wsl")

_PROGRAMS = (
    "nvidia-smi",
    "nvidia-debugdump",
    "nvidia-persistenced",
    "nvidia-cuda-mps-control",
    "nvidia-cuda-mps-server",
)
_CONFIGS_1_12 = (
    "glvnd/egl_vendor.d/10_nvidia.json",
    "vulkan/icd.d/nvidia_icd.json",
    "vulkan/implicit_layer.d/nvidia_layers.json",
    "egl/egl_external_platform.d/15_nvidia_gbm.json",
    "egl/egl_external_platform.d/10_nvidia_wayland.json",
)
_CONFIGS_1_14_4 = (
    "glvnd/egl_vendor.d/10_nvidia.json",
    "vulkan/icd.d/nvidia_icd.json",
    "vulkan/icd.d/nvidia_layers.json",
    "vulkan/implicit_layer.d/nvidia_layers.json",
    "egl/egl_external_platform.d/15_nvidia_gbm.json",
    "egl/egl_external_platform.d/10_nvidia_wayland.json",
    "nvidia/nvoptix.bin",
)
_EGL = (
    "glvnd/egl_vendor.d/10_nvidia.json",
    "egl/egl_external_platform.d/15_nvidia_gbm.json",
    "egl/egl_external_platform.d/10_nvidia_wayland.json",
)
_OTHERS = ("nvidia/nvoptix.bin", "X11/xorg.conf.d/10-nvidia.conf", "X11/xorg.conf.d/nvidia-drm-outputclass.conf")
_WAYLAND2 = "egl/egl_external_platform.d/09_nvidia_wayland2.json"
_XCB_XLIB = ("egl/egl_external_platform.d/20_nvidia_xcb.json", "egl/egl_external_platform.d/20_nvidia_xlib.json")
_VULKAN = (
    "vulkan/icd.d/nvidia_icd.json",
    "vulkan/icd.d/nvidia_layers.json",
    "vulkan/implicit_layer.d/nvidia_layers.json",
)
_WSL_FILES = (
    "libcuda.so.1.1",
    "libcuda_loader.so",
    "libnvidia-ptxjitcompiler.so.1",
    "libnvidia-ml.so.1",
    "libnvidia-ml_loader.so",
)

_VISITING_MIG = ("error visiting devices", *("error visiting device",) * 2, *("error visiting MIG device",) * 2)
_GPUS_1_12 = ("failed to generate CDI spec for GPU devices", "error visiting device")
_GPUS_1_13 = (
    "failed to generate CDI edits for GPU devices",
    "error visiting device",
    "failed to get edits for device",
)
_MIGS_1_12 = ("falied to generate CDI spec for MIG devices", *_VISITING_MIG)
_MIGS_1_13 = ("failed to generate CDI edits for GPU devices", *_VISITING_MIG, "failed to get edits for device")

_FLAGS_1_18 = (
    "disable-nvsandbox-utils",
    "disable-nvsandboxutils",
    "enable-coherent-annotations",
    "enable-explicit-driver-libraries",
)
_EVERY_FLAG = (
    *_FLAGS_1_18,
    "disable-ipc-discoverer",
    "disable-multiple-csv-devices",
    "no-additional-gids-for-device-nodes",
)

GENERATION = (
    # ---- the command line --------------------------------------------------------------------------------------------
    _rule(
        "options",
        "options of `nvidia-ctk cdi generate`",
        ("", _OPTIONS_1_12, "`--output`, `--format`, `--device-name-strategy`, `--driver-root`, `--nvidia-ctk-path`"),
        ("1.13.0", _OPTIONS_1_13, "also `--mode`, `--vendor`, `--class`"),
        ("1.14.0", _OPTIONS_1_14, "also `--library-search-path`, `--csv.file`"),
        ("1.14.2", _OPTIONS_1_14_2, "also `--csv.ignore-pattern`"),
        ("1.15.0", _OPTIONS_1_15, "also `--config-search-path`, `--dev-root`, `--ldconfig-path`"),
        ("1.16.0", _OPTIONS_1_16, "also `--nvidia-cdi-hook-path`, of which `--nvidia-ctk-path` is now another name"),
        ("1.18.0", _OPTIONS_1_18, "also `--disable-hook`, `--enable-hook`, `--feature-flag`"),
        ("1.19.0", _OPTIONS_1_19, "also `--csv.compat-container-root`, `--no-all-device`, `--device-id`"),
    ),
    _rule(
        "options_from_environment",
        "environment variables and config.toml (nvidia-container-cli.root) in place of options",
        ("", False, "are not looked at"),
        ("1.18.0", True, "count where the option is not given"),
    ),
    _rule(
        "options_after_arguments",
        "options after an argument that is none",
        ("", False, "are not read"),
        ("1.18.0", True, "are read"),
    ),
    _rule(
        "option_forms",
        "an option that is given by two of its names",
        ("", "one", "is an error"),
        ("1.18.0", "any", "counts as given twice"),
    ),
    _rule(
        "format_warning",
        "the warning about a --format that the name of --output does not imply",
        ("", "after", "comes after the spec is generated"),
        ("1.13.0", "before", "comes before"),
    ),
    _rule(
        "name_strategies",
        "--device-name-strategy",
        ("", ("index",), "one; by default index"),
        ("1.15.0", ("index", "uuid"), "several; by default index and uuid"),
    ),
    _rule(
        "modes",
        "values of --mode",
        ("", (), "there are none: it is nvml"),
        ("1.13.0", _MODES_1_13, "auto, nvml, wsl, management"),
        ("1.14.0", (*_MODES_1_13, "csv"), "also csv"),
        ("1.18.0", _EVERY_MODE, "also gdrcopy, gds, imex, mofed, nvswitch"),
    ),
    _rule(
        "modes_not_built",
        "values of --mode that are accepted and then not known",
        ("", (), "none"),
        ("1.18.0", ("nvswitch",), "nvswitch"),
        ("1.19.0", (), "none"),
    ),
    _rule(
        "hook_program",
        "the program of the hooks, where no option names one",
        ("", "nvidia-ctk", "nvidia-ctk"),
        ("1.16.0", "nvidia-cdi-hook", "nvidia-cdi-hook"),
    ),
    _rule(
        "version_told",
        "the CDI version that is logged",
        ("", "minimum", "`Using minimum required CDI spec version: ...`, before the spec is written"),
        ("1.13.0", "needed", "`Generated CDI spec with version ...`, before the spec is written"),
        ("1.16.0", "newest", "the newest of the library, whatever the spec says"),
        ("1.19.0", "saved", "that of the spec, after it is written"),
    ),
    _rule(
        "spec_check",
        "the spec that is written",
        ("", False, "is not checked"),
        ("1.13.0", True, "has to be valid by the CDI library"),
    ),
    _rule(
        "spec_text",
        "the form of the text",
        ("", "sorted", "keys are sorted, in JSON and YAML"),
        ("1.13.0", "sorted-yaml", "JSON in the order of the specification, YAML sorted"),
        ("1.18.0", "ordered", "both in the order of the specification"),
    ),
    # ---- how the host is searched ------------------------------------------------------------------------------------
    _rule(
        "detection",
        "the mode `auto` of the generator",
        ("", "none", "is not known"),
        ("1.13.0", "wsl", "wsl where libdxcore.so can be loaded, else nvml"),
        ("1.14.0", "wsl-tegra", "also csv on Tegra without NVML"),
        ("1.16.0", "platform", "the platform of the driver root, integrated GPUs too; an unknown one is a warning"),
    ),
    _rule(
        "nvml_library",
        "the NVML library that is loaded",
        ("", "name", "libnvidia-ml.so.1 by name"),
        ("1.16.0", "located", "the file that the library search finds, else by name"),
    ),
    _rule(
        "sandbox_library",
        "libnvidia-sandboxutils",
        ("", "none", "is not looked for"),
        ("1.17.0", "when-needed", "is looked for after NVML and loaded with the first devices"),
        ("1.17.5", "none", "is not looked for"),
        ("1.18.0", "after-nvml", "is loaded after NVML was found"),
        ("1.19.0", "first", "is loaded before NVML is looked for"),
    ),
    _rule(
        "not_found",
        "what is said of a file that is not found",
        ("", "pattern", "`pattern NAME not found`"),
        ("1.19.0", "plain", "`NAME: not found`"),
    ),
    _rule(
        "library_search",
        "where libraries are looked for",
        ("", "ldcache", "in ld.so.cache, by the beginning of the name; without it nothing is found"),
        ("1.15.0", "directories", "in the usual directories, else in ld.so.cache"),
    ),
    _rule(
        "ldcache_search",
        "how a library is looked for in ld.so.cache",
        ("", "prefix", "by the beginning of its name"),
        ("1.17.0", "pattern-or-dangling", "by pattern; an entry that leads nowhere stands for itself"),
        ("1.19.0", "pattern", "by pattern; entries that lead nowhere are left out with a warning"),
    ),
    _rule(
        "ldcache_links",
        "entries of ld.so.cache that are links",
        ("", "once", "stand for what the link names"),
        ("1.13.1", "followed", "stand for the file at the end"),
    ),
    _rule(
        "symlink_targets",
        "a name that several files have, where links are followed",
        ("", "one", "is an error"),
        ("1.15.0", "all", "stands for all of them"),
    ),
    _rule(
        "ldcache_architectures",
        "entries of ld.so.cache that count as 64-bit libraries (flags)",
        ("", (0x0300, 0x0500), "x86-64, ppc64le"),
        ("1.17.7", (0x0300, 0x0A00, 0x0500), "also aarch64"),
    ),
    _rule(
        "config_search",
        "--config-search-path",
        ("", False, "has no effect"),
        ("1.17.4", True, "names the only directories of configuration files"),
    ),
    _rule(
        "config_directories",
        "directories of configuration files",
        ("", "fixed", "/etc and /usr/share"),
        ("1.15.0", "xdg", "/etc and those of XDG_DATA_DIRS"),
    ),
    _rule(
        "driver_version",
        "who tells the driver's version",
        ("", "nvml", "NVML; in management mode else the suffix of libcuda"),
        ("1.18.0", "driver-first", "libnvidia-sandboxutils, NVML, or the suffix of a driver library"),
        ("1.19.0", "driver", "the same, asked after the mode is known"),
    ),
    _rule(
        "management_version",
        "the driver's version in management mode, where it is not looked for as elsewhere",
        ("", "libcuda", "the suffix of libcuda"),
        ("1.16.0", "nvml", "what NVML says, else the suffix of libcuda"),
    ),
    _rule(
        "driver_search",
        "where a driver's version and libraries are found",
        ("", "libcuda", "the suffix of libcuda.so.*.* tells the version, its directory holds the libraries"),
        ("1.19.0", "libcuda-or-nvml", "the suffix and directory of libcuda, else of libnvidia-ml"),
        (
            "1.20.0",
            "every-directory",
            "the suffix of libcuda, else of libnvidia-ml; every directory with libraries of it",
        ),
    ),
    # ---- what the spec has -------------------------------------------------------------------------------------------
    _rule(
        "feature_flags",
        "feature flags (--feature-flag, nvidia-container-runtime.modes.jit-cdi.nvcdi-feature-flags)",
        ("", (), "none"),
        (
            "1.18.0",
            _FLAGS_1_18,
            "disable-nvsandbox-utils, enable-explicit-driver-libraries, enable-coherent-annotations",
        ),
        (
            "1.19.0",
            (*_FLAGS_1_18, "disable-multiple-csv-devices", "no-additional-gids-for-device-nodes"),
            "also disable-multiple-csv-devices, no-additional-gids-for-device-nodes",
        ),
        ("1.19.1", _EVERY_FLAG, "also disable-ipc-discoverer"),
    ),
    _rule(
        "none_device",
        "the device `none`",
        ("", "unknown", "is not known"),
        ("1.18.0", "no-device", "is no device"),
        ("1.19.0", "empty", "is a device with a variable alone"),
    ),
    _rule(
        "mig_parents",
        "GPUs in MIG mode",
        ("", False, "have no device of their own"),
        ("1.13.0", True, "have one, besides those of their MIG devices"),
        ("1.18.0", False, "have no device of their own"),
    ),
    _rule(
        "mig_graphics",
        "DRM nodes of MIG devices whose profile has graphics",
        ("", False, "are left out"),
        ("1.19.1", True, "are there"),
    ),
    _rule(
        "pci_told_twice",
        "what an error about the bus id of a GPU says",
        ("", False, "that once"),
        ("1.16.0", True, "that twice"),
    ),
    _rule(
        "device_nodes",
        "device nodes",
        ("", "path", "by path alone"),
        ("1.19.0", "host", "with numbers, mode and group of the host's node, and the groups that a user needs"),
    ),
    _rule(
        "by_path_links",
        "links in /dev/dri/by-path",
        ("", "all", "of every GPU"),
        ("1.13.0", "selected", "that lead to nodes of the device"),
    ),
    _rule(
        "management_nodes",
        "device nodes of management mode",
        (
            "",
            (
                "/dev/nvidia*",
                "/dev/nvidia-caps/nvidia-cap*",
                "/dev/nvidia-modeset",
                "/dev/nvidia-uvm-tools",
                "/dev/nvidia-uvm",
                "/dev/nvidiactl",
            ),
            "GPUs, control nodes, MIG capabilities",
        ),
        (
            "1.17.0",
            (
                "/dev/nvidia*",
                "/dev/nvidia-caps/nvidia-cap*",
                "/dev/nvidia-modeset",
                "/dev/nvidia-uvm-tools",
                "/dev/nvidia-uvm",
                "/dev/nvidiactl",
                "/dev/nvidia-caps-imex-channels/channel*",
            ),
            "also IMEX channels",
        ),
    ),
    _rule(
        "driver_libraries",
        "driver libraries",
        ("", "ldcache", "entries of ld.so.cache that end in the version"),
        ("1.13.0", "libcuda-directory", "`*.so.VERSION` in the directory of libcuda, links too"),
        ("1.17.0", "libcuda-and-vdpau", "also in its directory vdpau"),
        ("1.18.0", "driver-directories", "the same without links"),
        ("1.20.0", "driver-directories-and-nvvm70", "also libnvidia-nvvm70.so.*"),
    ),
    _rule(
        "library_links",
        "links to driver libraries",
        ("", "none", "are left to ldconfig"),
        ("1.17.0", "fixed", "libcuda.so, libGLX_indirect.so.0 and libnvidia-opticalflow.so"),
        ("1.18.0", "soname", "also those of the host: the soname's and the bare one"),
    ),
    _rule(
        "compat_hook",
        "the hook enable-cuda-compat",
        ("", "none", "is not there"),
        ("1.17.5", "libcuda", "with the suffix of libcuda, not in management mode"),
        ("1.18.0", "driver", "with the driver's version, not in management mode"),
        ("1.20.0", "every-mode", "with the driver's version"),
    ),
    _rule(
        "newer_hooks",
        "hooks without arguments",
        ("", (), "none"),
        ("1.18.0", ("disable-device-node-modification",), "disable-device-node-modification"),
        (
            "1.20.0",
            ("disable-device-node-modification", "update-application-profile"),
            "also update-application-profile",
        ),
    ),
    _rule(
        "chmod_hook",
        "the hook chmod for the directories of device nodes",
        ("", "common", "one for all devices"),
        ("1.13.0", "device", "one a device"),
        ("1.18.0", "disabled", "only where it is enabled"),
    ),
    _rule(
        "empty_ldcache_hook",
        "the update-ldcache hook without libraries",
        ("", True, "is there"),
        ("1.20.0", False, "is left out"),
    ),
    _rule(
        "libcuda_directory",
        "NVIDIA_CTK_LIBCUDA_DIR",
        ("", False, "is not set"),
        ("1.18.0", True, "names the directories of the driver's libraries"),
    ),
    _rule(
        "void_devices",
        "NVIDIA_VISIBLE_DEVICES=void, which keeps the legacy hook quiet",
        ("", False, "is not set"),
        ("1.15.0", True, "is set"),
    ),
    _rule(
        "programs",
        "driver programs",
        ("", _PROGRAMS, ", ".join(_PROGRAMS)),
        ("1.17.5", (*_PROGRAMS, "nvidia-imex", "nvidia-imex-ctl"), "also nvidia-imex, nvidia-imex-ctl"),
    ),
    _rule(
        "sockets",
        "sockets of daemons",
        ("", "var-run", "in /var/run"),
        ("1.13.0", "run", "in /run, else in /var/run"),
    ),
    _rule(
        "firmware",
        "GSP firmware",
        ("", "fixed", "in /lib/firmware"),
        ("1.13.0", "searched", "in the kernel's firmware directories"),
    ),
    _rule(
        "graphics_libraries",
        "libraries for graphics beside those of the driver",
        ("", ("libnvidia-egl-gbm.so",), "libnvidia-egl-gbm"),
        ("1.15.0", ("libnvidia-egl-gbm.so.*",), "the same, by pattern"),
        (
            "1.16.0",
            ("libnvidia-egl-gbm.so.*.*", "libnvidia-egl-wayland.so.*.*"),
            "also libnvidia-egl-wayland",
        ),
        (
            "1.19.0",
            ("libnvidia-egl-gbm.so.*.*", "libnvidia-egl-wayland.so.*.*", "libnvidia-egl-wayland2.so.*.*"),
            "also libnvidia-egl-wayland2",
        ),
        (
            "1.20.0+1",
            (
                "libnvidia-egl-gbm.so.*.*",
                "libnvidia-egl-wayland.so.*.*",
                "libnvidia-egl-wayland2.so.*.*",
                "libnvidia-egl-xcb.so.*.*",
                "libnvidia-egl-xlib.so.*.*",
            ),
            "also libnvidia-egl-xcb, libnvidia-egl-xlib",
        ),
    ),
    _rule(
        "graphics_links",
        "links to graphics libraries of the driver",
        ("", (), "none, but for X.Org"),
        (
            "1.16.0",
            ("allocator", "gbm", "vulkan-producer", "glxserver"),
            "libnvidia-allocator.so.1, gbm/nvidia-drm_gbm.so, libnvidia-vulkan-producer.so, libglxserver_nvidia.so",
        ),
        (
            "1.17.0",
            ("gbm", "vulkan-producer", "glxserver"),
            "the same without libnvidia-allocator.so.1",
        ),
    ),
    _rule(
        "graphics_version",
        "the version of graphics libraries of the driver",
        ("", "libcuda", "the suffix of libcuda, `*.*` without it"),
        ("1.18.0", "driver", "that of the driver, without which graphics is left out; links by `*.*`"),
        ("1.20.0", "exact", "the same; links by that version"),
    ),
    _rule(
        "graphics_needed",
        "a host on which graphics cannot be looked for",
        ("", True, "is an error"),
        ("1.15.0", False, "gets no graphics, with a warning"),
    ),
    _rule(
        "xorg",
        "X.Org modules",
        ("", "none", "are left out"),
        ("1.13.1", "runtime", "in nvidia/xorg beside libcuda, and 10-nvidia.conf; by the runtime in legacy mode alone"),
        ("1.14.0", "optional", "the same in generated specs too"),
        ("1.16.0", "modules", "in the usual directories of X.Org modules"),
    ),
    _rule(
        "graphics_configs",
        "configuration for graphics, at its place on the host",
        ("", _CONFIGS_1_12, "of glvnd, Vulkan and EGL"),
        ("1.14.4", _CONFIGS_1_14_4, "also icd.d/nvidia_layers.json, nvoptix.bin"),
        ("1.16.0", (*_EGL, *_OTHERS), "of glvnd, EGL and X.Org, nvoptix.bin"),
        ("1.19.0", (*_EGL, _WAYLAND2, *_OTHERS), "also 09_nvidia_wayland2.json"),
        ("1.20.0", (*_EGL, _WAYLAND2, *_OTHERS, "OpenCL/vendors/nvidia.icd"), "also nvidia.icd of OpenCL"),
        ("1.20.0+1", (), "none"),
    ),
    _rule(
        "shared_configs",
        "configuration for graphics that is put below /usr/share, wherever it is on the host",
        ("", (), "none"),
        (
            "1.20.0+1",
            (*_EGL, _WAYLAND2, *_XCB_XLIB, *_OTHERS),
            "of glvnd, EGL (also xcb and xlib) and X.Org, nvoptix.bin",
        ),
    ),
    _rule(
        "opencl_configs",
        "configuration for OpenCL that is put below /etc, wherever it is on the host",
        ("", (), "none"),
        ("1.20.0+1", ("OpenCL/vendors/nvidia.icd",), "nvidia.icd"),
    ),
    _rule(
        "vulkan_configs",
        "configuration of Vulkan that is put below /etc, wherever it is on the host (`ARCH`: the architecture)",
        ("", (), "none"),
        ("1.16.0", _VULKAN, "nvidia_icd.json, nvidia_layers.json"),
        ("1.18.0", (*_VULKAN, "vulkan/icd.d/nvidia_icd.ARCH.json"), "also nvidia_icd.ARCH.json"),
    ),
    _rule(
        "graphics_programs",
        "programs for graphics",
        ("", (), "none"),
        ("1.20.0+1", ("nvidia-xconfig",), "nvidia-xconfig"),
    ),
    _rule(
        "simplified",
        "edits of devices that all have, and duplicates",
        ("", "no", "stay"),
        ("1.13.0", "plain", "are left out; the device `all` is made before"),
        ("1.14.0", "sorted", "are left out, and everything is sorted; the device `all` is made after"),
    ),
    # ---- other modes -------------------------------------------------------------------------------------------------
    _rule(
        "csv_links",
        "the sym entries of CSV files",
        ("", "non-libraries", "those of no library; links for libcuda, GLX and opticalflow with them in one hook"),
        ("1.14.2", "all", "all; links for libcuda, GLX and opticalflow with them in one hook"),
        ("1.17.0", "own-hook", "all; links to driver libraries have a hook of their own"),
    ),
    _rule(
        "csv_device",
        "the device of csv mode",
        ("", "everything-named", "has all; it cannot be named by UUID"),
        ("1.15.0", "everything", "has all"),
        ("1.19.0", "nodes", "has the nodes alone; integrated and discrete GPUs are told apart"),
    ),
    _rule(
        "wsl_files",
        "files of the WSL driver store",
        ("", (*_WSL_FILES, "libdxcore.so", "nvcubins.bin", "nvidia-smi"), "seven of the driver, libdxcore.so"),
        (
            "1.14.4",
            (*_WSL_FILES, "libdxcore.so", "libnvdxgdmal.so.1", "nvcubins.bin", "nvidia-smi"),
            "also libnvdxgdmal.so.1",
        ),
        (
            "1.20.0",
            (*_WSL_FILES, "libnvdxgdmal.so.1", "nvcubins.bin", "nvidia-smi"),
            "eight of the driver",
        ),
    ),
    _rule(
        "wsl_stores",
        "WSL driver stores",
        ("", "all", "all that DXCore names, and /usr/lib/wsl/lib"),
        ("1.18.0", "all-warned-first", "the same; that there are several is told first"),
        ("1.20.0", "nvidia", "that of NVIDIA, with all of its libraries; libdxcore.so from /usr/lib/wsl/lib"),
    ),
    _rule(
        "imex_checks",
        "IMEX channels that do not exist, or have a number beyond 20 bits",
        ("", False, "are written"),
        ("1.20.0", True, "are errors"),
    ),
    _rule(
        "device_steps",
        "what an error about a GPU names (the outermost first)",
        ("", (*_GPUS_1_12, "failed to create device"), "the device"),
        ("1.13.0", (*_GPUS_1_13, "failed to create device discoverer"), "the edits"),
        (
            "1.16.0",
            (*_GPUS_1_13, "failed to create device discoverer", "failed to create device discoverer"),
            "the edits, the discoverer twice",
        ),
        (
            "1.18.0",
            (
                "failed to get CDI device edits",
                "failed to create device discoverer",
                "failed to create device discoverer",
            ),
            "the same, but not that devices are visited",
        ),
    ),
    _rule(
        "mig_steps",
        "what an error about a MIG device names (the outermost first)",
        ("", (*_MIGS_1_12, "failed to create MIG device"), "the device"),
        (
            "1.13.0",
            (
                *_MIGS_1_13,
                "failed to create container edits for MIG device",
                "failed to create discoverer for Compute Instance",
            ),
            "the edits",
        ),
        ("1.16.0", (*_MIGS_1_13, "failed to create device discoverer"), "the edits and the discoverer"),
        (
            "1.18.0",
            ("failed to get CDI device edits", "failed to create device discoverer"),
            "the same, but not that devices are visited",
        ),
    ),
    _rule(
        "mig_minors_needed",
        "MIG devices without the driver's list of capabilities in /proc",
        ("", False, "are an error about the first capability"),
        ("1.16.0", True, "are an error about the list"),
    ),
    _rule(
        "spec_steps",
        "what an error names first",
        ("", "common", "the devices; nothing for what is common and for NVML"),
        ("1.13.0", "both", "the devices, or what is common"),
    ),
    _rule(
        "nvml_errors",
        "an NVML that does not start",
        ("", "name", "is told by name (`ERROR_DRIVER_NOT_LOADED`)"),
        ("1.16.0", "text", "is told in NVML's words (`Driver Not Loaded`)"),
    ),
    _rule(
        "nvml_failed",
        "what an error of NVML is told with",
        ("", "", "nothing"),
        ("1.13.0", "failed to initalize NVML", "failed to initalize NVML"),
        ("1.15.0", "failed to initialize NVML", "failed to initialize NVML"),
    ),
)
