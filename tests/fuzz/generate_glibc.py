"""The parts of a random scenario that only glibc has: its path lists, cache, preload file, hwcaps and flags of libraries."""

from __future__ import annotations

from typing import Any

from fuzz.generate import HWCAPS, NAMES, PLACES, Draft, system_directories
from nvsim.ldcache import CacheEntry, LdCache, sort_entries
from nvsim.loader.versions import libc_version
from nvsim.rootfs.treefile import ldcache_to_json

NODEFLIB, NOOPEN, PIE, NOW = 0x800, 0x40, 0x8000000, 0x1


def path_list(d: Draft, owner: str) -> str:
    """An RPATH, RUNPATH or LD_LIBRARY_PATH; `owner` is the file whose $ORIGIN counts."""
    return ":".join(_element(d, owner) for _ in range(d.rng.choice((1, 1, 2, 2, 3))))


def _element(d: Draft, owner: str) -> str:
    origin = owner.rpartition("/")[0]
    kind = d.rng.random()
    if kind < 0.5:
        place = d.rng.choice((*PLACES, *d.named)) if d.chance(0.9) else d.rng.choice(system_directories(d.loader))
        d.named.append(place)
        return place + d.rng.choice(("", "", "", "/", "//"))
    if kind < 0.72:
        token = d.rng.choice(("$ORIGIN", "${ORIGIN}"))
        rest, where = d.rng.choice(
            (("", origin), ("/lib", f"{origin}/lib"), ("/../lib", f"{origin.rpartition('/')[0]}/lib"), ("/", origin))
        )
        if ".." not in where:
            d.named.append(where)
        return token + rest
    if kind < 0.8:
        lib = d.loader.facts.lib_token
        token = d.rng.choice(("$LIB", "${LIB}"))
        base = d.rng.choice(("/opt", "/usr", "/data"))
        d.named.append(f"{base}/{lib}")
        return f"{base}/{token}"
    if kind < 0.87:
        d.named += ["/opt/haswell", "/opt/x86_64", "/opt/i686"]
        return d.rng.choice(("/opt/$PLATFORM", "/opt/${PLATFORM}/"))
    return d.rng.choice(
        (
            "", "lib", "./lib", "../a", "/missing", "/missing/$LIB", "$ORIGINX", "/opt/$FOO", "/etc/hostname", "/", "//opt//a",
            "$ORIGIN$LIB", "/opt/a/../b/lib", "${ORIGIN", "/opt/$ORIGIN",
        )
    )  # fmt: skip


def surroundings(d: Draft) -> None:
    """Environment and the links between places."""
    if d.chance(0.4):
        separator = ";" if d.chance(0.1) else ":"
        d.env["LD_LIBRARY_PATH"] = path_list(d, d.program).replace(":", separator)
    if d.chance(0.05 if d.loader.talks else 0.7):
        d.env["LD_TRACE_LOADED_OBJECTS"] = d.rng.choice(("1", "1", ""))
    if d.chance(0.04):
        features = d.rng.sample(("AVX512F", "AVX2", "FMA", "SSE4_2", "AVX512VL", "AVX2_Usable", "ERMS", "MOVBE"), 2)
        d.env["GLIBC_TUNABLES"] = "glibc.cpu.hwcaps=" + ",".join(f"-{f}" for f in features)
    if d.chance(0.02):
        d.env["LD_ORIGIN_PATH"] = d.rng.choice(("/opt/a", "/app/", "relative"))
    if d.chance(0.06):
        d.env["LD_BIND_NOW"] = d.rng.choice(("1", ""))
    if d.chance(0.08):
        d.link("/linked", d.rng.choice(PLACES))
        d.named.append("/linked")
        if "LD_LIBRARY_PATH" not in d.env:
            d.env["LD_LIBRARY_PATH"] = "/linked"
    if d.chance(0.03):
        d.tree["/etc/hostname"] = {"type": "file", "text": "box\n"}


def library_extras(d: Draft, elf: dict[str, Any], path: str, name: str) -> None:
    """Rare things of a library."""
    if d.versions:
        if d.chance(0.8):
            elf["verdef"] = ["V_1"] if d.chance(0.5) else ["V_1", "V_2"]
        needs = {}
        for other in elf["needed"]:
            if other in NAMES and d.chance(0.7):
                needs[other] = d.rng.choice(
                    (["V_1"], ["V_1"], ["V_1", "V_2"], ["weak:V_2"], ["V_3", "V_4"] if d.bad else ["V_1"])
                )
            elif other == "libc.so.6" and d.chance(0.5):
                needs[other] = (
                    ["GLIBC_2.2.5"]
                    if d.chance(0.85)
                    else d.rng.choice((["GLIBC_2.99"], ["GLIBC_2.36"], ["weak:GLIBC_9"]))
                )
        if d.bad and d.chance(0.05):
            needs["libnotneeded.so"] = ["V_1"]
        if needs:
            elf["verneed"] = needs
    if d.symbols:
        elf["defs"] = [f"fn_{name.partition('.')[0]}", *(["fn_common"] if d.chance(0.4) else [])]
        key = d.rng.choice(("undef", "undef_lazy"))
        symbols = [f"fn_{n.partition('.')[0]}" for n in elf["needed"] if n in NAMES]
        if d.chance(0.25):
            symbols.append(
                d.rng.choice(("fn_common", "fn_nobody", "printf" if "libc.so.6" in elf["needed"] else "fn_common"))
            )
        if symbols:
            elf[key] = symbols
    if d.odd:
        _odd_flags(d, elf, path)


def _odd_flags(d: Draft, elf: dict[str, Any], path: str) -> None:
    kind = d.rng.random()
    if kind < 0.14:
        elf[d.rng.choice(("auxiliary", "filter"))] = [d.rng.choice(NAMES if d.chance(0.9) else ("libnone.so.1",))]
        d.wanted += [n for k in ("auxiliary", "filter") for n in elf.get(k, ()) if n in NAMES and n not in d.wanted]
    elif kind < 0.28:
        elf["flags_1"] = hex(NODEFLIB)
    elif kind < 0.34:
        elf["flags_1"] = hex(d.rng.choice((NOOPEN, NOOPEN, PIE, NOW)))
    elif kind < 0.48:
        elf["abi_tag"] = d.rng.choice(("Linux 3.2.0", "Linux 2.6.32", "Linux 99.0.0", "Hurd 0.0.0", "FreeBSD 9.0.0"))
    elif kind < 0.58:
        elf["isa_needed"] = d.rng.choice((1, 3, 7, 15, 31, 1 << 14))
    elif kind < 0.68:
        elf["stack"] = d.rng.choice(("rwx", None))
    elif kind < 0.82:
        elf["relr"] = True
        if "libc.so.6" in elf["needed"]:
            elf["verneed"] = {"libc.so.6": ["GLIBC_2.2.5", *(["GLIBC_ABI_DT_RELR"] if d.chance(0.6) else [])]}
    elif kind < 0.88:
        elf["needed"] = [
            d.rng.choice(("$ORIGIN/", "/opt/$LIB/", "/opt/$PLATFORM/", "$ORIGIN/../lib/")) + n
            if n in NAMES and d.chance(0.4)
            else n
            for n in elf["needed"]
        ]
    elif kind < 0.93:
        elf["needed"].append(d.rng.choice((d.loader.name, d.loader.interp, "", path)))


def afterwards(d: Draft) -> None:
    """What needs to know the libraries: the cache, the preloads, NODEFLIB of the program."""
    main = d.tree[d.program]["elf"]
    if d.odd and d.chance(0.15):
        main["flags_1"] = hex(d.rng.choice((NODEFLIB, NODEFLIB, PIE, NOW)))
    if d.odd and d.chance(0.1):
        main["stack"] = d.rng.choice(("rwx", None))
    if d.odd and d.chance(0.05):
        main["isa_needed"] = d.rng.choice((1, 31))
    if d.versions and d.chance(0.6):
        needs = {n: d.rng.choice((["V_1"], ["V_1"], ["V_2"], ["weak:V_9"])) for n in main["needed"] if n in NAMES}
        if d.chance(0.3):
            needs["libc.so.6"] = ["GLIBC_2.2.5", *(["GLIBC_2.98"] if d.chance(0.1) else [])]
        if needs and (needs.keys() <= set(main["needed"]) or d.bad):
            main["verneed"] = needs
    if d.symbols and d.chance(0.5):
        main[d.rng.choice(("undef", "undef_lazy"))] = [
            f"fn_{n.partition('.')[0]}" for n in main["needed"] if n in NAMES
        ] + (["fn_nobody"] if d.chance(0.1) else [])
    if d.chance(0.4):
        _cache(d)
    _preloads(d)
    if d.chance(0.08):
        _run_directly(d)
    elif d.chance(0.02):
        _broken_start(d)


def _cache(d: Draft) -> None:
    if d.chance(0.06):
        d.put("/etc/ld.so.cache", d.rng.choice((
            {"type": "file", "raw_cache": "67" * 40}, {"type": "file", "text": ""}, {"type": "dir"},
            {"type": "file", "ldcache": [], "mode": "0600"},
        )))  # fmt: skip
        return
    entries = []
    native = 0x0303 if d.loader.machine == "x86_64" else 0x0003
    places = [p for p in d.tree if p.rpartition("/")[2] in NAMES]
    legacy = libc_version(d.loader.facts.version) < (2, 37)
    for path in places:
        if d.chance(0.5):
            name = path.rpartition("/")[2] if d.chance(0.9) else d.rng.choice(NAMES)
            flags = native if d.chance(0.88) else d.rng.choice((0x0303, 0x0003, 0x0803, 0x0A03, 0x0301, 0x0001))
            entries.append(CacheEntry(name, path if d.chance(0.95) else f"/gone{path}", flags))
            if d.chance(0.2):
                cap = d.rng.choice(HWCAPS).partition("/")[2]
                level = {"x86-64-v2": 1, "x86-64-v3": 2, "x86-64-v4": 3}.get(cap, 0)
                entries.append(CacheEntry(name, d.rng.choice(places), native, level << 32, cap))
            elif legacy and d.chance(0.15):
                hwcap = d.rng.choice(
                    (
                        1 << 63,
                        1 << 50,
                        1 << 51,
                        4,
                        2,
                        6,
                        1 << 50 | 2,
                        1 << 50 | 4,
                        1 << 40,
                        1 << 49,
                        1,
                        1 << 49 | 1,
                        1 << 26,
                    )
                )
                entries.append(CacheEntry(name, d.rng.choice(places), native, hwcap))
            elif legacy and d.chance(0.05):
                version = d.rng.choice((0x030200, 0x630000))
                entries.append(CacheEntry(name, d.rng.choice(places), native, 0, None, version))
    for name in (n for n in d.wanted if d.chance(0.3)):
        path = f"/cached/{name}"
        if d.put(path, {"type": "file", "elf": {"needed": [], "soname": name}}):
            entries.append(CacheEntry(name, path, native))
    d.rng.shuffle(entries)
    ordered = sort_entries(entries, legacy_hwcaps=legacy, by_osversion=libc_version(d.loader.facts.version) < (2, 36))
    d.put("/etc/ld.so.cache", {"type": "file", "mode": "0644", "ldcache": ldcache_to_json(LdCache(tuple(ordered)))})


def _preloads(d: Draft) -> None:
    def one() -> str:
        kind = d.rng.random()
        if kind < 0.45:
            return d.rng.choice(NAMES)
        if kind < 0.85 and d.libraries:
            return d.rng.choice(d.libraries)
        return d.rng.choice(
            ("libnone.so.1", "/opt/none.so", "$ORIGIN/libalpha.so.1", "/opt/$LIB/libbeta.so.2", "libc.so.6")
        )

    if d.chance(0.14):
        d.env["LD_PRELOAD"] = d.rng.choice((" ", ":", "::", " : ")).join(one() for _ in range(d.rng.choice((1, 1, 2))))
    if d.chance(0.07):
        text = d.rng.choice(("\n", " ", ":", "\t")).join(one() for _ in range(d.rng.choice((1, 1, 2))))
        if d.chance(0.2):
            text = f"# one {one()}\n{text}"
        if d.chance(0.1):
            text += f" # two {one()}\n{one()}"
        d.put("/etc/ld.so.preload", {"type": "file", "mode": "0644", "text": text + ("\n" if d.chance(0.7) else "")})
    for path in d.libraries:
        if d.secure and d.chance(0.3) and d.canonical(path) in d.tree:
            d.tree[d.canonical(path)]["mode"] = "4755"


def _run_directly(d: Draft) -> None:
    """The loader is the program that is executed."""
    options = []
    values = {
        "--library-path": path_list(d, d.program),
        "--preload": d.rng.choice(NAMES),
        "--argv0": d.rng.choice(("other", "./x", "")),
        "--inhibit-rpath": ":".join(d.rng.sample(("", d.program, *d.libraries[:2]), 2 if d.libraries else 1)),
        "--glibc-hwcaps-mask": d.rng.choice(("x86-64-v2", "x86-64-v3:x86-64-v4", "none")),
        "--glibc-hwcaps-prepend": d.rng.choice(("x86-64-v9", "x86-64-v9:x86-64-v3")),
    }
    if libc_version(d.loader.facts.version) < (2, 33):
        values = {k: v for k, v in values.items() if k in ("--library-path", "--inhibit-rpath", "--preload")}
    for name, value in values.items():
        if d.chance(0.25):
            options += [name, value]
    options += [o for o in ("--list", "--inhibit-cache", "--verify") if d.chance(0.6 if o == "--list" else 0.1)]
    if d.chance(0.03):
        options.append("--none")
    program = (
        [d.program]
        if d.chance(0.93)
        else d.rng.choice(([], ["/none"], ["/etc"], [f"{d.program}/x"], ["main"], [d.loader.interp]))
    )
    d.direct = (d.loader.interp, [d.loader.interp, *options, *program])


def _broken_start(d: Draft) -> None:
    """execve itself fails."""
    entry = d.tree[d.program]
    match d.rng.choice(("interp", "mode", "machine", "interpdir", "script", "loop")):
        case "interp":
            entry["elf"]["interp"] = "/lib64/ld-none.so.2"
        case "mode":
            entry["mode"] = "0644"
        case "machine":
            entry["elf"]["machine"] = "aarch64"
            d.dlopen = []
            d.tree[d.program] = {"type": "file", "elf": {"machine": "aarch64", "interp": "/lib/ld.so", "needed": []}}
        case "interpdir":
            entry["elf"]["interp"] = "/etc"
        case "script":
            d.tree[d.program] = {"type": "file", "text": "#!/bin/none\n"}
        case "loop":
            d.tree[d.program] = {"type": "symlink", "target": d.program}
