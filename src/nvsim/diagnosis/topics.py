"""Short texts on the subjects behind the findings (``nvsim explain TOPIC``), and the way from a word to an entry or topic."""

from __future__ import annotations

from nvsim.diagnosis.catalogue import CATALOGUE, Entry, by_slug
from nvsim.errors import InputError, did_you_mean
from nvsim.frozen import frozen


@frozen
class Topic:
    """One subject. `findings` are the codes that belong to it."""

    name: str
    title: str
    paragraphs: tuple[str, ...]
    findings: tuple[str, ...] = ()


TOPICS = (
    Topic(
        "capabilities",
        "driver capabilities decide which driver files a container gets, in legacy mode",
        (
            "NVIDIA_DRIVER_CAPABILITIES names sets of driver files: utility (nvidia-smi, NVML), compute (libcuda, OpenCL), video (NVDEC, "
            "NVENC), graphics (OpenGL, Vulkan, OptiX), display (X11), ngx, compat32 (32-bit copies); all means every one of them.",
            "Unset or empty, the toolkit's default counts: utility alone before 1.4.0, compute and utility since. An image with CUDA_VERSION "
            "and without NVIDIA_REQUIRE_CUDA is a legacy image and gets all. With CDI the variable plays no part: a specification brings "
            "every file of the driver.",
        ),
        ("NVS101", "NVS110", "NVS215"),
    ),
    Topic(
        "modes",
        "legacy, cdi, jit-cdi and csv: four ways in which the toolkit changes a container",
        (
            "legacy: a prestart hook calls nvidia-container-cli, which mounts files into the running container and chooses directories by "
            "what the image is (/etc/debian_version or not).",
            "cdi: a specification, written on the host beforehand, lists mounts, device nodes and hooks; files keep the host's paths. "
            "jit-cdi, the runtime's default since 1.18, makes the specification at each start. csv: Tegra, lists of files.",
            "docker run --gpus adds the legacy hook past the runtime (before Docker 29.2); --device nvidia.com/gpu=0 lets the engine "
            "apply CDI itself. nvsim plan --against MODE shows two modes side by side.",
        ),
        ("NVS103", "NVS109", "NVS113", "NVS212"),
    ),
    Topic(
        "search",
        "where a loader looks for a library",
        (
            "glibc: DT_RPATH of the object that asks and of those that loaded it (only where it has no RUNPATH), LD_LIBRARY_PATH, DT_RUNPATH "
            "of the object that asks, the ld.so.cache, then the directories built into the loader. The first file that fits wins; a broken "
            "one ends the search.",
            "A loader from a Nix or Guix store reads a cache inside its own prefix and has only its own directory built in: of all that the "
            "toolkit does, only LD_LIBRARY_PATH and RUNPATH can lead it to the driver. musl reads no cache at all: LD_LIBRARY_PATH, the "
            "path file, RPATH.",
            "nvsim ldd --trace shows every step in the language of LD_DEBUG=libs.",
        ),
        ("NVS401", "NVS402", "NVS403", "NVS407", "NVS506"),
    ),
    Topic(
        "ldconfig",
        "the step that makes libcuda.so.1 out of libcuda.so.535.309.01",
        (
            "The engine mounts files under their full names. ldconfig, run inside the container's root, makes the links that programs ask "
            "for and rewrites /etc/ld.so.cache. It is the host's ldconfig in most setups, with the host's built-in directories.",
            "Where it does not run (no shell for a wrapper script, a read-only root), the files are there and nothing finds them.",
        ),
        ("NVS205", "NVS206", "NVS209", "NVS405"),
    ),
    Topic(
        "interpreter",
        "'No such file or directory' for a program that is there",
        (
            "A dynamic program names its loader by an absolute path (PT_INTERP). The kernel opens that path inside the container; when it "
            "is missing, execve says ENOENT, and shells and runtimes report it as if the program were missing.",
            "NVIDIA's programs name /lib64/ld-linux-x86-64.so.2. Images from Nix, Alpine and static images have no such file. ldd misleads "
            "here: it starts the program through a loader of its own choice.",
        ),
        ("NVS301", "NVS307"),
    ),
    Topic(
        "nvidia-smi",
        "why a working nvidia-smi proves little",
        (
            "nvidia-smi needs the capability utility and NVML alone, and it tries fixed paths (/usr/lib64, /usr/lib/x86_64-linux-gnu, ...) "
            "when the loader does not find NVML. CUDA programs have no such second way: they dlopen libcuda.so.1 by name, and need "
            "/dev/nvidia-uvm. nvsim tries both and reports them apart.",
        ),
        ("NVS601", "NVS608"),
    ),
    Topic(
        "compat",
        "CUDA forward compatibility: a newer libcuda on an older kernel driver",
        (
            "CUDA images carry /usr/local/cuda/compat/libcuda.so.*. In front of the host's libcuda it lets a newer CUDA run, on data-centre "
            "cards and from an older driver branch only; elsewhere cuInit answers 804 or 803. Whether the toolkit puts it in front depends "
            "on its release and on the compat mode of config.toml.",
        ),
        ("NVS604", "NVS605", "NVS607"),
    ),
    Topic(
        "verdicts",
        "what WORKS, FAILS and UNKNOWN mean",
        (
            "WORKS: the container starts, the program is executed, and every library that it needs or is known to load is found and fits. "
            "FAILS: one of these certainly does not. UNKNOWN: it depends on something that no file shows, and the result says on what.",
            "Exit status 0, 1 and 0; with --strict an unknown outcome is 3.",
        ),
        ("NVS901",),
    ),
)  # fmt: skip


def look_up(word: str) -> tuple[Entry | None, Topic | None]:
    """The finding with this code or slug, or the topic of this name. Raises `InputError` with near names."""
    entry = CATALOGUE.get(word.upper()) or by_slug(word.lower())
    if entry is not None:
        return entry, None
    topic = next((t for t in TOPICS if t.name == word.lower()), None)
    if topic is not None:
        return None, topic
    known = [*CATALOGUE, *(e.slug for e in CATALOGUE.values()), *(t.name for t in TOPICS)]
    near = word.upper() if word.upper().startswith("NVS") else word
    hint = did_you_mean(near, known) if near == word else _near_code(near)
    if hint.startswith("known:"):
        hint = "nvsim explain lists them"
    raise InputError(f"no finding or topic is called {word!r}", hint=hint)


def _near_code(code: str) -> str:
    near = [c for c in CATALOGUE if c[:4] == code[:4]]
    return f"did you mean one of {', '.join(near)}?" if near else "nvsim explain lists them"
