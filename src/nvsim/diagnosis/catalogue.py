"""The one table of findings: stable codes, their slugs, severities, titles and explanations (``nvsim explain CODE``).

Codes are never reused. 1xx: the request; 2xx: finding and injecting the driver; 3xx: exec; 4xx: the library search; 5xx: versions
and symbols; 6xx: devices and the kernel driver; 9xx: about the prediction itself.
"""

from __future__ import annotations

from nvsim.frozen import frozen


@frozen
class Entry:
    """One kind of finding."""

    code: str
    slug: str
    severity: str
    title: str
    explanation: str


# fmt: off
_TABLE = (
    Entry("NVS101", "capability-missing", "error", "a driver library is not injected, because its driver capability was not requested",
          "In legacy mode the toolkit mounts driver libraries by capability: compute brings libcuda, utility brings libnvidia-ml and "
          "nvidia-smi, video the codecs, graphics OpenGL and Vulkan. NVIDIA_DRIVER_CAPABILITIES names them; when it is unset, the "
          "default counts: utility alone before toolkit 1.4.0, compute and utility since. The device is there, nvidia-smi may work, "
          "and CUDA still finds no driver. Set NVIDIA_DRIVER_CAPABILITIES in the image's config."),
    Entry("NVS102", "no-gpu-requested", "error", "the container asks for no GPU",
          "NVIDIA_VISIBLE_DEVICES decides whether the toolkit does anything. Unset, empty or void means: this is no GPU container, "
          "and the hook returns without a word. NVIDIA's base images set it to all; images built from scratch, with Nix or from "
          "distroless do not."),
    Entry("NVS103", "no-nvidia-runtime", "error", "the NVIDIA runtime is not called",
          "Environment variables alone do nothing. The engine must call nvidia-container-runtime (--runtime=nvidia, a default "
          "runtime, a Kubernetes RuntimeClass), add its hook (docker run --gpus), or apply CDI devices itself (--device "
          "nvidia.com/gpu=...)."),
    Entry("NVS104", "request-refused", "error", "the toolkit or the engine refuses the request",
          "nvidia-container-runtime or its hook ended with an error before any driver file was looked at: a configuration or a "
          "variable has a value that it does not accept. The message says which."),
    Entry("NVS105", "requirement-unsatisfied", "error", "the image requires a newer driver or another GPU",
          "NVIDIA_REQUIRE_* variables (and CUDA_VERSION of old images) name conditions on driver, CUDA version, architecture and "
          "brand. Alternatives are separated by blanks, terms by commas; the message shows only the first alternative. A newer "
          "driver, an older image, or NVIDIA_DISABLE_REQUIRE=1 as a last resort."),
    Entry("NVS106", "env-request-ignored", "error", "NVIDIA_VISIBLE_DEVICES is ignored in this unprivileged container",
          "With accept-nvidia-visible-devices-envvar-when-unprivileged = false only privileged containers may choose GPUs by "
          "environment; others get them through the device plugin (volume mounts or CDI)."),
    Entry("NVS107", "unknown-device", "error", "a requested GPU does not exist on the host",
          "Device ids are indices, GPU UUIDs, MIG UUIDs or GPU:MIG pairs, exactly as `nvidia-smi -L` lists them."),
    Entry("NVS108", "no-gpu-driver-in-engine", "error", "Docker has no GPU driver for --gpus",
          "dockerd registers its GPU driver only when it finds nvidia-container-runtime-hook on its own PATH when it starts (or, "
          "from 28.3 on, a CDI specification). Without the toolkit on the host, or before a restart of the daemon, --gpus is "
          "refused: could not select device driver."),
    Entry("NVS109", "hook-outside-legacy", "error", "the hook is called in a mode that is not legacy",
          "docker run --gpus makes Docker add the prestart hook itself. The hook works in legacy mode alone; where config.toml or "
          "the automatic mode says cdi or csv it refuses. Use --runtime=nvidia with NVIDIA_VISIBLE_DEVICES instead of --gpus."),
    Entry("NVS110", "capability-unsupported", "error", "NVIDIA_DRIVER_CAPABILITIES names a capability that is not allowed",
          "The names are compute, utility, video, graphics, display, ngx and compat32, or all. Each must be among "
          "supported-driver-capabilities of config.toml; before 1.20 a list that mixes all with other names is refused too."),
    Entry("NVS111", "all-gpus", "info", "the image takes every GPU of the host",
          "An image with NVIDIA_VISIBLE_DEVICES=all in its config (NVIDIA's base images have it), and a legacy CUDA image, get all "
          "GPUs on every host whose runtime is NVIDIA's, also where the user or the scheduler gave them none."),
    Entry("NVS112", "cuda-env-lost", "warning", "an image with CUDA in it lacks the variables of NVIDIA's images",
          "docker export and import, flattening tools, and a Nix image whose config replaces that of its base drop the environment: "
          "NVIDIA_VISIBLE_DEVICES, NVIDIA_DRIVER_CAPABILITIES, NVIDIA_REQUIRE_CUDA and PATH are gone, and with them the GPU. Repeat "
          "them in the new config, or move the image with docker save and load."),
    Entry("NVS113", "cdi-device-unresolvable", "error", "no CDI specification names the device that was asked for",
          "The engine looks for specifications in /etc/cdi and /var/run/cdi (or its own list) and drops invalid ones without a word. "
          "Generate one with nvidia-ctk cdi generate, make it readable, and check that its cdiVersion is known to the engine."),
    Entry("NVS114", "runtime-not-configured", "error", "the engine knows no NVIDIA runtime",
          "A runtime is a name in the engine's own configuration (daemon.json, config.toml of containerd), put there by nvidia-ctk "
          "runtime configure. Without it --runtime=nvidia, and a Kubernetes RuntimeClass whose handler is nvidia, are refused."),
    Entry("NVS115", "cdi-not-enabled", "error", "Docker does not look for CDI devices",
          "Docker 25 to 28 apply CDI devices only with features.cdi = true in daemon.json; later ones do so by themselves, earlier "
          "ones not at all. --gpus, or the NVIDIA runtime, do without."),
    Entry("NVS201", "driver-not-found", "error", "the toolkit cannot load NVML from the host's driver",
          "nvidia-container-cli loads libnvidia-ml.so.1 through the loader of the driver root: it must be in that root's ld.so.cache "
          "or in a directory that its loader has built in. No driver, a driver in another root (nvidia-container-cli.root), or a "
          "missing cache give this message."),
    Entry("NVS202", "host-cache-missing", "error", "the host has no usable ld.so.cache",
          "The legacy engine finds driver files only through the host's /etc/ld.so.cache (or nvidia-container-cli.ldcache). Run "
          "ldconfig on the host, or use CDI."),
    Entry("NVS203", "driver-version-mismatch", "error", "the driver's files and its kernel module have different versions",
          "The legacy engine mounts only files whose names end in the version that the kernel module reports. After an upgrade "
          "without a reload nothing fits, and the container starts without driver libraries."),
    Entry("NVS204", "mount-failed", "error", "a driver file cannot be mounted",
          "Something in the image is in the way of a mount: a symlink or directory where a file must go, a read-only root, a link "
          "that leads out of the root. Driver files that were baked into an image are the usual cause."),
    Entry("NVS205", "ldconfig-failed", "error", "ldconfig fails in the container",
          "After mounting, the engine runs the host's ldconfig in the container's root. It needs a writable /etc and a program that "
          "can run there; a wrapper script needs a shell in the image."),
    Entry("NVS206", "ldconfig-not-run", "warning", "ldconfig did not run, so soname links and the cache are missing",
          "The engine mounts files under their full version (libcuda.so.535.309.01). The names that programs ask for (libcuda.so.1) "
          "are links that ldconfig makes. Where it does not run, the file is there and nothing finds it."),
    Entry("NVS207", "injection-failed", "error", "injecting the driver fails",
          "The engine that injects the driver ended with an error, so the container does not start. The message is the engine's own."),
    Entry("NVS208", "vendor-file-missing", "warning", "a graphics library is injected without the JSON file that tells its loader of it",
          "libglvnd (EGL) and the Vulkan loader do not search for NVIDIA's libraries: they read JSON files that name them. The "
          "legacy engine mounts the libraries alone; the runtime adds the files only where the host has them. CDI brings them, or "
          "the image can carry its own copy."),
    Entry("NVS209", "poisoned-cache", "error", "the ld.so.cache that was made for the container leads to the wrong libc",
          "The host's ldconfig rebuilds the container's cache with its own built-in directories. On an image of another "
          "distribution, or with a store-built ldconfig, the image's own libc directory is left out and a foreign one stays: every "
          "program of the container then breaks. Toolkit 1.19 writes the missing directories into a conf file first."),
    Entry("NVS210", "host-cache-stale", "error", "the host's ld.so.cache does not fit its files",
          "The legacy engine believes the cache: a driver that came after the last ldconfig is not seen, and as every candidate is "
          "opened before its version is looked at, one entry of a removed driver ends the whole start. Run ldconfig on the host."),
    Entry("NVS211", "cdi-generation-failed", "error", "the CDI specification cannot be made: the driver's files were not found",
          "nvidia-ctk looks for the driver in fixed directories below the driver root, and in the host's ld.so.cache in some "
          "releases. Driver files elsewhere need --driver-root, --library-search-path or LD_LIBRARY_PATH."),
    Entry("NVS212", "cdi-spec-stale", "error", "the CDI specification names files that the host no longer has",
          "A specification holds absolute host paths with driver versions in them. After a driver upgrade or a change of devices it "
          "must be generated again (the service nvidia-cdi-refresh does it; jit-cdi makes it at each start)."),
    Entry("NVS213", "hook-program-missing", "error", "a hook program that was named does not exist on the host",
          "The specification says which program runs the hooks: /usr/bin/nvidia-cdi-hook, or nvidia-ctk in older releases. A package "
          "without it, a moved toolkit or a collected store path leave the specification pointing at nothing."),
    Entry("NVS214", "cdi-hook-failed", "error", "a CDI hook fails in this root file system",
          "Hooks make links, run ldconfig and change modes inside the container's root. A read-only target, a link of the image in "
          "the way (1.17.0), or a root on ramfs make them fail, and the container with them."),
    Entry("NVS215", "host-file-missing", "error", "a file or device that a capability brings is missing on the host",
          "Some capabilities bring more than libraries: display and graphics want /dev/nvidia-modeset. An engine that finds it "
          "missing stops; newer ones skip it. Ask for fewer capabilities, or make the node (nvidia-modprobe -m)."),
    Entry("NVS216", "device-cgroup", "error", "the device cgroup of the container cannot be changed",
          "The legacy engine lets the container open GPU nodes by changing its device cgroup: that fails in rootless engines and in "
          "nested containers, and with cgroup v2 before libnvidia-container 1.8. no-cgroups = true leaves it out (only for rootless "
          "engines), CDI does not need it."),
    Entry("NVS217", "toolkit-program-broken", "error", "the toolkit's own program does not start on the host",
          "nvidia-container-cli is a program like any other: its libraries must be there, and the host's glibc must be new enough "
          "for the package."),
    Entry("NVS218", "devices-lost-on-reload", "info", "a systemd reload may take the GPUs away from the running container",
          "The hook allows the device nodes behind systemd's back. When systemd rewrites the cgroup's device list (systemctl "
          "daemon-reload), nodes that runc cannot find below /dev/char are lost: Failed to initialize NVML: Unknown Error, some time "
          "after a good start. Make the links on the host, or use CDI."),
    Entry("NVS219", "kernel-module-not-loaded", "error", "the host's NVIDIA kernel module is not loaded",
          "The driver's files are on the host, and NVML finds no kernel module behind them. With NVIDIA's runtime as the default "
          "runtime, every container whose image asks for GPUs then fails on hosts that have none."),
    Entry("NVS301", "interpreter-missing", "error", "the dynamic linker that a program names does not exist in the container",
          "execve reports 'No such file or directory' for the program although the program is there: what is missing is its "
          "PT_INTERP, the path of the dynamic linker written into the file. NVIDIA's programs name /lib64/ld-linux-x86-64.so.2; "
          "images with nothing but /nix/store, Alpine and static images have no such path. Add a symlink from that path to the "
          "image's own glibc loader."),
    Entry("NVS302", "not-in-path", "error", "the program is not in the container's PATH",
          "The runtime looks the command up in the container's PATH before it executes anything. The file may exist in a directory "
          "that PATH does not name, or nothing of that name was injected."),
    Entry("NVS303", "program-missing", "error", "the program does not exist in the container",
          "The path of the command does not exist in the container's root: a slip of the pen, another image than was meant, or a "
          "volume that is mounted over it."),
    Entry("NVS304", "not-executable", "error", "the program or its interpreter may not be executed",
          "A missing execute bit, a directory, or a mount with noexec: execve reports 'Permission denied'."),
    Entry("NVS305", "exec-format", "error", "the file is no program for this machine",
          "execve reports 'Exec format error' for a program of another architecture, an empty file, or a text without '#!'."),
    Entry("NVS306", "exec-failed", "error", "the program cannot be executed",
          "execve failed for another reason; the errno and the file where it happened (program, script interpreter or dynamic "
          "linker) are in the evidence."),
    Entry("NVS307", "script-interpreter-missing", "error", "the program is a script, and its interpreter does not exist in the container",
          "execve reports 'No such file or directory' for the script: what is missing is the program after #!. Some hosts install a "
          "wrapper script as nvidia-smi; mounted into an image without that shell it cannot run."),
    Entry("NVS308", "working-directory", "error", "the container cannot start in its working directory",
          "The working directory of the image or of -w is a file, or podman was told one that does not exist: podman makes only the image's "
          "own, Docker and the runtimes below Kubernetes make any."),
    Entry("NVS401", "not-searched", "error", "the library is in the container, in a directory where the loader does not look",
          "A loader looks in RPATH, LD_LIBRARY_PATH, RUNPATH, its cache, and the directories built into it, and nowhere else. In "
          "legacy mode the driver goes to /usr/lib/<multiarch> when the image has /etc/debian_version, else to /usr/lib64, whatever "
          "the host uses; with CDI it goes to the host's own path. Store-built loaders (Nix, Guix) read no /etc/ld.so.cache and have "
          "only their own directory built in. Add the directory to LD_LIBRARY_PATH."),
    Entry("NVS402", "library-missing", "error", "the library is nowhere in the container",
          "No file of that name is in the image, and nothing injected it."),
    Entry("NVS403", "bad-file", "error", "a broken file stands in front of the library",
          "Some candidates end the search: an empty file ('file too short', left behind by docker commit of a GPU container), a "
          "directory, a text file. A good copy in a later directory is then never reached."),
    Entry("NVS404", "wrong-class", "error", "only a copy for another word size or architecture is in reach",
          "The loader skips files of another ELF class or machine and reports them only when nothing else was found."),
    Entry("NVS405", "soname-link-missing", "error", "the driver file is there, but not under the name that the program asks for",
          "Programs ask for libcuda.so.1; the engine mounts libcuda.so.<driver version>. The link between them is made by ldconfig, "
          "which did not run here or did not scan that directory."),
    Entry("NVS406", "shadowed", "warning", "another copy of a driver library is loaded instead of the injected one",
          "A stub, a copy baked into the image, or a CUDA compat library comes first in the search. It must fit the host's kernel "
          "module; a stub answers with error 34."),
    Entry("NVS407", "dependency-missing", "error", "a library that another library needs cannot be loaded",
          "The library itself was found; something in its own DT_NEEDED list was not. RUNPATH is not inherited: each object's "
          "RUNPATH counts for its own needs alone."),
    Entry("NVS408", "ldconfig-p-blind", "warning", "a program that asks ldconfig -p does not learn of the driver",
          "Triton, and with it torch.compile, parses what `ldconfig -p` prints instead of calling dlopen. Images without ldconfig or "
          "without an /etc/ld.so.cache that names libcuda.so.1 give it nothing: libcuda.so cannot found. Set TRITON_LIBCUDA_PATH to "
          "the directory, or ship ldconfig and run it at the start."),
    Entry("NVS501", "version-not-found", "error", "a library lacks a symbol version that is needed",
          "The check is per file: an object built against a newer glibc fails on an older one even if it never calls the new function. "
          "NVIDIA's desktop driver needs nothing newer than GLIBC_2.14; Tegra's libraries, and companions that the distribution built "
          "(libglvnd, egl-wayland), need what their own system has. Use an image at least as new."),
    Entry("NVS502", "symbol-missing", "error", "a symbol that is needed is defined nowhere",
          "Relocation fails. On musl this is how glibc-built libraries fail: they are found and mapped, but symbols that only glibc "
          "has are missing. NVIDIA's driver is built for glibc; use a glibc-based image."),
    Entry("NVS503", "cpu-too-old", "error", "a file needs CPU instructions that this machine lacks",
          "The file's x86 ISA level (x86-64-v2, v3, v4) is above that of the host's CPU."),
    Entry("NVS504", "load-refused", "error", "the loader refuses the file",
          "The file was found and opened, and the loader ended the load for a reason of its own; the text says which."),
    Entry("NVS505", "two-glibcs", "error", "the loader of one glibc meets the libc of another",
          "ld.so and libc.so.6 must come from the same build: they share private symbols (GLIBC_PRIVATE). LD_LIBRARY_PATH with a "
          "whole system directory in it, meant for the driver, also brings that directory's libc into programs that are linked "
          "against another one (Nix, conda). Give the driver a directory of its own, such as a link farm, instead."),
    Entry("NVS506", "shadowed-dependency", "error", "LD_LIBRARY_PATH puts an unfitting copy in front of the right one",
          "LD_LIBRARY_PATH comes before RUNPATH. With /usr/local/cuda/lib64 in it, wheels from pip that carry their own CUDA "
          "libraries get the system's copies, which lack symbols that they need. Take the directory out of LD_LIBRARY_PATH."),
    Entry("NVS601", "nvidia-smi-proves-nothing", "info", "nvidia-smi works, CUDA does not",
          "nvidia-smi needs only NVML, and looks for it at fixed absolute paths when the normal search fails. So it works on images "
          "where every CUDA program fails. It says nothing about libcuda."),
    Entry("NVS602", "kernel-driver-missing", "error", "the program needs the running kernel driver or a device node, and it is not there",
          "The libraries load, but the device nodes or the kernel module behind them are missing."),
    Entry("NVS603", "device-permission", "warning", "the container's user may not open a device node",
          "The nodes keep the host's owner and mode. With mode 0660 and a user outside the group, NVML answers Insufficient "
          "Permissions. Root is not asked."),
    Entry("NVS604", "driver-libraries-differ", "warning", "the driver library that is loaded is not of the kernel module's version",
          "User-mode and kernel-mode driver must be of the same version. A copy baked into the image wins when ldconfig links the "
          "soname to the highest version in the directory, or when LD_LIBRARY_PATH names its directory: NVML answers Driver/library "
          "version mismatch, cuInit 803."),
    Entry("NVS605", "compat-on-consumer-card", "warning", "CUDA forward compatibility on a card that does not support it",
          "The compat libraries of CUDA images let a newer CUDA run on an older kernel driver, on data-centre cards only. On others "
          "cuInit answers 804. Use an image with an older CUDA, a newer driver, or keep the compat directory out of the search."),
    Entry("NVS606", "stub-driver", "warning", "the stub of libcuda is loaded instead of the driver",
          "The stub libraries of the CUDA toolkit exist to link against, and answer every call with error 34. They get into the "
          "search by LD_LIBRARY_PATH or a RUNPATH that was left over from building."),
    Entry("NVS607", "driver-too-old", "warning", "the program's CUDA runtime is newer than the driver",
          "A CUDA runtime of a newer major release than the driver serves answers 35, CUDA driver version is insufficient. (The same "
          "number is given when no libcuda is found at all.) Within one major release newer minor versions work on older drivers."),
    Entry("NVS608", "uvm-missing", "warning", "/dev/nvidia-uvm is missing",
          "CUDA needs the unified memory device; nvidia-smi does not. Where the module nvidia_uvm is not loaded, or only the GPU's "
          "own node was passed, CUDA answers 999, unknown error: modprobe nvidia_uvm, or nvidia-modprobe -u -c0."),
    Entry("NVS609", "no-cuda-device", "warning", "CUDA finds no device",
          "libcuda loads, and cuInit answers 100: the kernel module is not loaded, or no GPU's device node can be opened in the "
          "container (NVIDIA_VISIBLE_DEVICES=none brings the driver's files without a GPU)."),
    Entry("NVS901", "undecidable", "warning", "files alone do not decide this",
          "The outcome depends on something that is not written in files (a running daemon, lazily bound symbols, a mode that is not "
          "modelled). The reason says what."),
)
# fmt: on

CATALOGUE = {entry.code: entry for entry in _TABLE}


def entry(code: str) -> Entry:
    """The entry of a code. Raises KeyError for a code that does not exist."""
    return CATALOGUE[code]


def by_slug(slug: str) -> Entry | None:
    """The entry with that slug, or None."""
    return next((e for e in _TABLE if e.slug == slug), None)
