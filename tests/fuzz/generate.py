"""Random scenarios. What both kinds of loader share: files, places, lists, libraries; `generate` makes a scenario of either kind.

A `Draft` is filled step by step. The places that some list names attract the libraries, and most libraries get a good copy where the
loader looks last, so that many programs start; scenarios with bad candidates are a part only.
"""

from __future__ import annotations

from random import Random
from typing import Any

from fuzz.loaders import RealLoader
from fuzz.scenario import Scenario

NAMES = ("libalpha.so.1", "libbeta.so.2", "libgamma.so", "libdelta.so.9", "libcuda.so.1", "libomega.so.10")
PLACES = ("/opt/a", "/opt/b/lib", "/srv/lib64", "/app/lib", "/data", "/app/deep/er")
HWCAPS = ("glibc-hwcaps/x86-64-v2", "glibc-hwcaps/x86-64-v3", "glibc-hwcaps/x86-64-v4", "glibc-hwcaps/x86-64-v9")
LEGACY = (
    "tls",
    "haswell",
    "x86_64",
    "avx512_1",
    "haswell/x86_64",
    "x86_64/x86_64",
    "tls/x86_64/x86_64",
    "haswell/avx512_1",
    "tls/haswell/avx512_1/x86_64",
    "avx512_1/x86_64",
    "i686/sse2",
    "tls/i686/sse2",
    "sse2",
)
TRUNCATED = 40
PERMANENT = ("/proc", "/etc")


class Draft:
    """A scenario in the making."""

    def __init__(self, rng: Random, loader: RealLoader, users: bool):
        self.rng, self.loader, self.users = rng, loader, users
        self.tree: dict[str, Any] = {"/etc": {"type": "dir"}, "/proc": {"type": "dir"}}
        self.env: dict[str, str] = {}
        self.dlopen: list[dict[str, Any]] = []
        self.direct: tuple[str, list[str]] | None = None  # the loader itself is executed: its path and argv
        self.merged = rng.random() < 0.5
        self.program = rng.choice(("/app/main", "/app/bin/main", "/usr/bin/main", "/app/deep/er/main"))
        self.named: list[str] = []  # directories that some list names, canonical
        self.libraries: list[str] = []  # paths of good library files
        self.wanted: list[str] = []  # names that something asks for
        self.bad = rng.random() < (0.4 if loader.kind == "glibc" else 0.2)
        self.odd = rng.random() < 0.35  # odd flags of libraries
        self.versions = rng.random() < 0.25
        self.symbols = rng.random() < 0.2
        self.secure = users and rng.random() < 0.07
        self.uid = 65534 if self.secure else 1000 if users and rng.random() < 0.12 else 0

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def canonical(self, path: str) -> str:
        """The path of a file below the links of a merged /usr."""
        if self.merged and path.startswith(("/lib/", "/lib64/")):
            return f"/usr{path}"
        return path

    def put(self, path: str, entry: dict[str, Any]) -> bool:
        """Add an entry where nothing is and no file lies above."""
        path = self.canonical(path)
        above = path.rpartition("/")[0]
        while above:
            if self.tree.get(above, {"type": "dir"})["type"] != "dir":
                return False
            above = above.rpartition("/")[0]
        if path in self.tree or any(p.startswith(path + "/") for p in self.tree):
            return False
        self.tree[path] = entry
        return True

    def link(self, path: str, target: str) -> bool:
        return self.put(path, {"type": "symlink", "target": target})

    def directory(self) -> str:
        """Somewhere, more often where some list points."""
        if self.named and self.chance(0.6):
            return self.rng.choice(self.named)
        return self.rng.choice((*PLACES, *system_directories(self.loader)))


def system_directories(loader: RealLoader) -> tuple[str, ...]:
    """Where the loader looks by itself."""
    if loader.kind == "glibc":
        return loader.facts.system_dirs
    return tuple(loader.facts.system_path.split(":"))


def generate(rng: Random, loader: RealLoader, users: bool) -> Scenario:
    """A random scenario for `loader`. `users`: the jail can run programs as other users."""
    from fuzz import generate_glibc, generate_musl

    draft = Draft(rng, loader, users)
    special = generate_glibc if loader.kind == "glibc" else generate_musl
    lay_base(draft)
    special.surroundings(draft)
    lay_program(draft, special.path_list)
    lay_libraries(draft, special.path_list, special.library_extras)
    special.afterwards(draft)
    add_calls(draft)
    return finished(draft)


def lay_base(d: Draft) -> None:
    """The loader, its libc, and the links of a merged /usr."""
    if d.merged:
        d.tree["/lib"] = {"type": "symlink", "target": d.rng.choice(("usr/lib", "/usr/lib"))}
        d.tree["/lib64"] = {"type": "symlink", "target": "usr/lib64"}
        d.tree["/usr/lib"] = d.tree["/usr/lib64"] = {"type": "dir"}
    if d.loader.kind == "musl":
        d.put(d.loader.interp, {"type": "file", "real": "ld.so"})
        return
    where = system_directories(d.loader)[0 if d.chance(0.8) else 1]
    if d.chance(0.5):
        d.put(d.loader.interp, {"type": "file", "real": "ld.so"})
    else:
        d.put(f"{where}/{d.loader.name}", {"type": "file", "real": "ld.so"})
        d.link(d.loader.interp, f"{where}/{d.loader.name}")
    for name in d.loader.files:
        if name != "ld.so":
            d.put(f"{where}/{name}", {"type": "file", "real": name})


def lay_program(d: Draft, path_list: Any) -> None:
    """The main program."""
    elf: dict[str, Any] = {"interp": d.loader.interp, "needed": [*d.rng.sample(NAMES, d.rng.choice((1, 1, 2, 2, 3)))]}
    d.wanted += elf["needed"]
    for name in d.loader.libc_names:
        elf["needed"].insert(d.rng.randint(0, len(elf["needed"])) if d.chance(0.3) else len(elf["needed"]), name)
    if d.chance(0.1):
        elf["needed"].append(d.rng.choice(elf["needed"]))
    if d.chance(0.3):
        elf["type"] = "EXEC"
    kind = d.rng.random()
    if kind < 0.3:
        elf["rpath"] = path_list(d, d.program)
    if 0.25 < kind < 0.55:
        elf["runpath"] = path_list(d, d.program)
    entry: dict[str, Any] = {"type": "file", "elf": elf, "exit": d.rng.choice((0, 0, 7))}
    if d.secure:
        entry["mode"] = "4755"
    d.put(d.program, entry)


def good_library(d: Draft, path: str, name: str, path_list: Any, extras: Any) -> dict[str, Any]:
    """A library that loads, perhaps with needs of its own."""
    elf: dict[str, Any] = {"needed": []}
    if d.chance(0.85):
        elf["soname"] = name if d.chance(0.93) else d.rng.choice(NAMES)
    at = NAMES.index(name) if name in NAMES else 0
    for other in NAMES if d.chance(0.05) else NAMES[at + 1 :]:
        if d.chance(0.22):
            elf["needed"].append(other)
    if d.chance(0.4):
        elf["needed"].append(d.rng.choice(("libc.so.6", "libc.so.6", d.loader.libc_names[0])))
    d.rng.shuffle(elf["needed"])
    d.wanted += [n for n in elf["needed"] if n in NAMES and n not in d.wanted]
    kind = d.rng.random()
    if kind < 0.15:
        elf["rpath"] = path_list(d, path)
    if 0.13 < kind < 0.3:
        elf["runpath"] = path_list(d, path)
    extras(d, elf, path, name)
    return elf


def lay_libraries(d: Draft, path_list: Any, extras: Any) -> None:
    """Every wanted library: a copy or several, some bad, and mostly one where the loader looks last."""
    done: set[str] = set()
    while True:
        name = next((n for n in d.wanted if n not in done), None)
        if name is None:
            return
        done.add(name)
        for _ in range(d.rng.choice((0, 1, 1, 2, 3))):
            directory = d.directory()
            if d.loader.kind == "glibc" and d.chance(0.15):
                directory += "/" + d.rng.choice((*HWCAPS, *HWCAPS, *LEGACY))
            place(d, f"{directory}/{name}", name, path_list, extras)
        if d.chance(0.93):
            directory = d.rng.choice(system_directories(d.loader))
            if not any(d.canonical(f"{s}/{name}") in d.tree for s in system_directories(d.loader)):
                place(d, f"{directory}/{name}", name, path_list, extras, sure=True)


def place(d: Draft, path: str, name: str, path_list: Any, extras: Any, *, sure: bool = False) -> None:
    """One candidate: a new file, a link to an older one, or something that cannot be loaded."""
    same = [p for p in d.libraries if p.endswith(name) and p != path]
    if not sure and d.chance(0.5 if d.bad else 0.3 if d.uid == 1000 else 0):
        d.put(path, bad_candidate(d, path, name, same))
    elif same and d.chance(0.2):
        of = d.canonical(d.rng.choice(same))
        entry = {"type": "hardlink", "of": of} if d.chance(0.5) else {"type": "symlink", "target": of}
        d.put(path, entry)
    elif d.chance(0.2):
        real = f"{path}.0.1"
        if d.put(real, {"type": "file", "elf": good_library(d, real, name, path_list, extras)}):
            d.libraries.append(real)
            d.link(path, real.rpartition("/")[2] if d.chance(0.6) else real)
    elif d.put(path, {"type": "file", "elf": good_library(d, path, name, path_list, extras)}):
        d.libraries.append(path)


def bad_candidate(d: Draft, path: str, name: str, same: list[str]) -> dict[str, Any]:
    """Something at the place of a library that a loader skips, or dies of."""
    elf: dict[str, Any] = {"needed": [], "soname": name}
    file: dict[str, Any] = {"type": "file", "elf": elf}
    kinds = [
        "class", "class", "class", "machine", "machine", "machine", "mode", "mode", "dangling", "loop", "empty", "short", "short",
        "directory", "directory", "directory", "directory", "text", "endian", "ev", "osabi", "rel", "nodyn", "exec", "parent",
    ]  # fmt: skip
    if d.loader.kind == "glibc":
        kinds += ["abiversion", "padding", "phentsize", "version", "noload", "notelf"]
    if d.uid == 1000:
        kinds = ["mode"] * 9 + kinds if d.bad else ["mode"]
    kind = d.rng.choice(kinds)
    match kind:
        case "class":
            elf.update({"class": 32, "machine": "i386"} if d.loader.talks else {"class": 64, "machine": "x86_64"})
        case "machine":
            elf.update({"machine": "aarch64"} if d.loader.talks else {"class": 32, "machine": "arm"})
        case "mode":
            file["mode"] = d.rng.choice(("0000", "0200", "0640", "0711"))
        case "dangling":
            return {"type": "symlink", "target": "nowhere.so"}
        case "loop":
            return {"type": "symlink", "target": path.rpartition("/")[2]}
        case "empty":
            return {"type": "file", "text": ""}
        case "short":
            elf["truncate"] = TRUNCATED
        case "directory":
            return {"type": "dir"}
        case "text":
            return {
                "type": "file",
                "text": d.rng.choice(
                    ("INPUT(x)\n", "/* GNU ld script */\n" + "x" * 80, "version https://git-lfs\n" * 4)
                ),
            }
        case "endian":
            elf["data"] = 2
        case "ev":
            elf["ev"] = 2
        case "osabi":
            elf["osabi"] = d.rng.choice((3, 9, 97))
        case "rel":
            elf["type"] = "REL"
        case "nodyn":
            elf["nodyn"] = True
        case "exec":
            elf["type"] = "EXEC"
        case "parent":
            return {"type": "symlink", "target": f"{d.rng.choice(same or ['/etc/hostname'])}/x"}
        case "abiversion":
            file["write"] = {"abiversion": 7}
        case "padding":
            file["write"] = {"padding_hex": "00000000000001"}
        case "phentsize":
            file["write"] = {"phentsize": 64}
        case "version":
            file["write"] = {"e_version": 2}
        case "noload":
            file["write"] = {"loads": False}
        case "notelf":
            return {"type": "file", "bytes": "00" * 128}
    return file


def add_calls(d: Draft) -> None:
    """The dlopens of the program."""
    if (
        not d.loader.talks
        or not d.chance(0.55)
        or not set(d.loader.libc_names[:1]) <= set(d.tree[d.program].get("elf", {}).get("needed", ()))
    ):
        return
    for _ in range(d.rng.choice((1, 1, 2, 3, 4))):
        kind = d.rng.random()
        name = d.rng.choice(NAMES)
        if kind < 0.15 and d.libraries:
            name = d.rng.choice(d.libraries)
        elif kind < 0.2:
            name = d.rng.choice(
                ("libnone.so.1", "/opt/a/libnone.so", "", "./libalpha.so.1", "lib/libbeta.so.2", "libc.so.6")
            )
        elif kind < 0.24:
            name = f"{d.directory()}/{name}"
        elif kind < 0.28:
            name = d.rng.choice(("$ORIGIN/", "$ORIGIN/../lib/", "/opt/$LIB/", "${ORIGIN}/lib/")) + name
        flags = d.rng.choice((1, 2, 2, 2, 0x102, 0x101, 6, 5))
        caller = "main"
        if d.libraries and d.chance(0.35):
            caller = d.canonical(d.rng.choice(d.libraries))
        d.dlopen.append({"name": name, "flags": flags, "from": caller})


def finished(d: Draft) -> Scenario:
    """The draft as a scenario."""
    rng = d.rng
    executed = d.program
    if d.chance(0.15):
        executed = "/usr/bin/run"
        d.link(executed, d.program)
    directories = [p for p, e in d.tree.items() if e["type"] == "dir" and "mode" not in e and p != "/proc"]
    cwd = "/" if d.chance(0.6) else rng.choice(directories)
    argv = [executed if d.chance(0.7) else rng.choice(("main", "./main", "-x"))]
    if d.direct is not None:
        executed, argv = d.direct[0], [*d.direct[1]]
        d.tree[d.program].pop("mode", None)
    return {
        "loader": d.loader.kind,
        "loader_version": d.loader.facts.version,
        "exec": executed,
        "program": d.program,
        "argv": argv,
        "env": d.env,
        "cwd": cwd,
        "uid": d.uid,
        "secure": d.secure and d.tree[d.program].get("mode") == "4755",
        "proc": not d.chance(0.06),
        "dlopen": d.dlopen,
        "rootfs": {"tree": d.tree},
    }
