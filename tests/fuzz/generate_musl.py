"""The parts of a random scenario that only musl has: its path file, builtin names, lists with newlines, symbols of its libc."""

from __future__ import annotations

from typing import Any

from fuzz.generate import NAMES, PLACES, Draft

BUILTIN = (
    "libc.so.6",
    "libpthread.so.0",
    "libm.so.6",
    "libdl.so.2",
    "librt.so.1",
    "libutil.so.1",
    "libc.musl-x86_64.so.1",
    "libxnet.so",
)
NOT_BUILTIN = (
    "ld-linux-x86-64.so.2",
    "libresolv.so.2",
    "libcrypt.so.1",
    "libgcompat.so.0",
    "libpthread",
    "libmvec.so.1",
)
IN_MUSL = ("printf", "dlopen", "pthread_create", "memcpy", "strtod", "dlerror")
LFS64 = ("open64", "readdir64_r", "__fxstat64", "posix_fadvise64", "posix_fallocate64", "lseek64", "mmap64", "none64")
NOT_IN_MUSL = ("gnu_get_libc_version", "dlvsym", "__register_atfork", "__sched_cpualloc", "mtrace", "backtrace")


def path_list(d: Draft, owner: str) -> str:
    """An RPATH, RUNPATH or LD_LIBRARY_PATH; `owner` is the file whose $ORIGIN counts."""
    return d.rng.choice((":", ":", ":", "\n")).join(_element(d, owner) for _ in range(d.rng.choice((1, 1, 2, 2, 3))))


def _element(d: Draft, owner: str) -> str:
    origin = owner.rpartition("/")[0]
    kind = d.rng.random()
    if kind < 0.6:
        place = (
            d.rng.choice((*PLACES, *d.named)) if d.chance(0.9) else d.rng.choice(("/lib", "/usr/lib", "/usr/local/lib"))
        )
        d.named.append(place)
        return place + d.rng.choice(("", "", "", "/", "//"))
    if kind < 0.85:
        token = d.rng.choice(("$ORIGIN", "${ORIGIN}"))
        rest, where = d.rng.choice((("", origin), ("/lib", f"{origin}/lib"), ("/../lib", ""), ("/", origin)))
        if where:
            d.named.append(where)
        return token + rest
    return d.rng.choice(
        (
            "", "lib", "./lib", "../a", "/missing", "/opt/$LIB", "$ORIGINX", "/opt/$FOO", "/etc/hostname", "/", "//opt//a",
            "/opt/a/../b/lib", "${ORIGIN", "/opt/$ORIGIN", "$ORIGIN$ORIGIN", "/opt/" + "x" * 250,
        )
    )  # fmt: skip


def surroundings(d: Draft) -> None:
    """Environment, path file, links between places."""
    if d.chance(0.4):
        d.env["LD_LIBRARY_PATH"] = path_list(d, d.program).replace("$", "")
    if d.chance(0.08):
        d.link("/linked", d.rng.choice(PLACES))
        d.named.append("/linked")
    if d.chance(0.4):
        _path_file(d)
    if d.chance(0.03):
        d.tree["/etc/hostname"] = {"type": "file", "text": "box\n"}


def _path_file(d: Draft) -> None:
    path = "/etc/ld-musl-x86_64.path"
    kind = d.rng.random()
    if kind < 0.08:
        d.put(path, d.rng.choice((
            {"type": "dir"}, {"type": "symlink", "target": "nowhere"}, {"type": "file", "text": "/opt/a\n", "mode": "0000"},
            {"type": "symlink", "target": "ld-musl-x86_64.path"}, {"type": "file", "text": ""},
        )))  # fmt: skip
        return
    elements = [
        d.rng.choice((*PLACES, "/lib", "/usr/lib", "/usr/lib", "/usr/local/lib", ""))
        for _ in range(d.rng.randint(1, 4))
    ]
    d.named += [e for e in elements if e]
    text = d.rng.choice(("\n", "\n", ":", "\n\n")).join(elements)
    d.put(path, {"type": "file", "mode": "0644", "text": text + d.rng.choice(("\n", "\n", "", ":", " \n"))})


def library_extras(d: Draft, elf: dict[str, Any], path: str, name: str) -> None:
    """Builtin names, symbols, and what musl does not look at."""
    if d.chance(0.25):
        elf["needed"].append(d.rng.choice(BUILTIN))
    if d.odd and d.chance(0.06):
        elf["defs"] = ["__libc_start_main", *(["stdin"] if d.chance(0.7) else [])]
    if d.odd and d.chance(0.15):
        elf["needed"].append(
            d.rng.choice(
                (*NOT_BUILTIN, "x" * 256, "libc.", "libcx.so", "libmvec.so.1", "/lib/ld-musl-x86_64.so.1", path, "")
            )
        )
    if "defs" not in elf and (d.symbols or d.chance(0.1)):
        elf["defs"] = [f"fn_{name.partition('.')[0]}", *(["fn_common"] if d.chance(0.4) else [])]
        symbols = [f"fn_{n.partition('.')[0]}" for n in elf["needed"] if n in NAMES]
        symbols += d.rng.sample(IN_MUSL, 2)
        if d.chance(0.2):
            symbols.append(d.rng.choice((*NOT_IN_MUSL, "fn_common", "fn_nobody")))
        if symbols:
            elf[d.rng.choice(("undef", "undef_lazy"))] = symbols
    if d.odd:
        _odd(d, elf)


def _odd(d: Draft, elf: dict[str, Any]) -> None:
    kind = d.rng.random()
    if kind < 0.12:
        elf["verneed"] = {"libc.so.6": ["GLIBC_2.99"]}
    elif kind < 0.24:
        elf["stack"] = d.rng.choice(("rwx", None))
    elif kind < 0.34:
        elf["flags_1"] = d.rng.choice(("0x800", "0x40", "0x8000000"))
    elif kind < 0.4:
        elf["osabi"] = 9
    elif kind < 0.45:
        elf["machine"] = "aarch64"
        for key in ("undef", "undef_lazy"):
            elf.pop(key, None)
    elif kind < 0.5:
        elf["auxiliary"] = ["libnone.so.1"]


def afterwards(d: Draft) -> None:
    """Preloads, symbols of the program, a broken start."""
    main = d.tree[d.program]["elf"]
    if d.chance(0.1):
        main["needed"].append(d.rng.choice(BUILTIN))
    if d.symbols and d.chance(0.5):
        main[d.rng.choice(("undef", "undef_lazy"))] = [
            f"fn_{n.partition('.')[0]}" for n in main["needed"] if n in NAMES
        ] + ([d.rng.choice(NOT_IN_MUSL)] if d.chance(0.2) else [])
    if d.chance(0.14):
        names = [
            d.rng.choice((*NAMES, *d.libraries, "libnone.so.1", "/opt/none.so", "libc.so.6"))
            for _ in range(d.rng.choice((1, 2)))
        ]
        d.env["LD_PRELOAD"] = d.rng.choice((" ", ":", "::", "\n")).join(names)
    if not d.dlopen and d.chance(0.05):
        main["needed"] = [n for n in main["needed"] if n not in ("libc.so", *BUILTIN)]
    if d.symbols and d.chance(0.3):
        main.setdefault("undef", []).append(d.rng.choice(LFS64))
    if d.chance(0.1):
        _run_directly(d)
    elif d.chance(0.02):
        entry = d.tree[d.program]
        if d.chance(0.5):
            entry["elf"]["interp"] = d.rng.choice(("/lib64/ld-linux-x86-64.so.2", "/etc", "/lib/ld-musl-none.so.1"))
        else:
            entry["mode"] = "0644"


def _run_directly(d: Draft) -> None:
    """The loader is the program that is executed."""
    loader = d.loader.interp
    if d.chance(0.3):
        loader = d.rng.choice(("/usr/bin/ldd", "/usr/bin/ld"))
        d.link(loader, d.loader.interp)
    options = []
    if d.chance(0.5):
        options.append("--list")
    for name, value in (("library-path", path_list(d, d.program)), ("preload", d.rng.choice(NAMES)), ("argv0", "x")):
        if d.chance(0.3):
            options += [f"--{name}", value] if d.chance(0.5) else [f"--{name}={value}"]
    if d.chance(0.05):
        options.append(d.rng.choice(("--none", "--library-pathx", "--lists", "--argv0x")))
    if d.chance(0.2):
        options.append("--")
    program = [d.program] if d.chance(0.93) else d.rng.choice(([], ["/none"], ["/etc"], [f"{d.program}/x"], ["main"]))
    d.direct = (loader, [loader if d.chance(0.8) else d.rng.choice(("ldd", "ld", "./ldd")), *options, *program])
