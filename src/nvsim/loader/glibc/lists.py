"""The search lists of a process: from the text of RPATH, RUNPATH and LD_LIBRARY_PATH to directories (``elf/dl-load.c``,
``fillin_rpath``, ``decompose_rpath``, ``_dl_init_paths``).

Splitting and tokens as text are `nvsim.loader.glibc.paths`; walking a list is `nvsim.loader.glibc.walk`.
"""

from __future__ import annotations

from functools import lru_cache

from nvsim.loader.glibc.paths import directory_prefix, expand, expand_list, normalise, split_path
from nvsim.loader.glibc.state import Object, Process, SearchDirectory, SearchList

SYSTEM = "system search path"


def init_lists(process: Process) -> None:
    """The default directories, the main program's own list and LD_LIBRARY_PATH, in this order: the first to name a directory owns it."""
    built_in = f"built into the loader (glibc {process.facts.version})"
    system = [_directory(process, directory_prefix(d), SYSTEM, None) for d in process.facts.system_dirs]
    process.system_list = SearchList("default", built_in, system) if system else None
    main = process.main
    if main.elf.runpath is not None:
        runpath_list(process, main)
    else:
        rpath_list(process, main)
    if process.library_path is not None and process.library_path[1]:
        source, text = process.library_path
        if process.rules.dropped_is_current:
            text = expand_list(text, lambda element: expand_for(process, element, main))
        set_by = source if source.startswith("--") else f"env {source}"
        what = source if process.rules.debug_option else "LD_LIBRARY_PATH"
        process.library_list = _list(process, text, ":;", what, None, main, "ld_library_path", set_by)


def rpath_list(process: Process, obj: Object) -> SearchList | None:
    """DT_RPATH of `obj`, unless it has DT_RUNPATH too."""
    if isinstance(obj.rpath, bool):
        text = obj.elf.rpath if obj.elf.runpath is None else None
        obj.rpath = _own_list(process, obj, text, "RPATH", "rpath")
    return obj.rpath


def runpath_list(process: Process, obj: Object) -> SearchList | None:
    """DT_RUNPATH of `obj`."""
    if isinstance(obj.runpath, bool):
        obj.runpath = _own_list(process, obj, obj.elf.runpath, "RUNPATH", "runpath")
    return obj.runpath


def _own_list(process: Process, obj: Object, text: str | None, what: str, stage: str) -> SearchList | None:
    if not text or _inhibited(process, obj):
        return None
    label = process.label(obj)
    return _list(process, text, ":", what, label, obj, stage, f"{what} of {label}")


def _inhibited(process: Process, obj: Object) -> bool:
    """Whether ``--inhibit-rpath`` names the object."""
    text = process.inhibit_rpath
    if text is None or process.secure:
        return False
    return obj.path in (text.split(":") if not text.endswith(":") else text[:-1].split(":"))


def _list(
    process: Process, text: str, separators: str, what: str, where: str | None, obj: Object, stage: str, set_by: str
) -> SearchList | None:
    if process.secure and "$" in text:
        expanded = [expand_for(process, element, obj) for element in split_path(text, separators)]
        prefixes = _as_prefixes(expanded, process.rules.dropped_is_current)
    else:
        rules = process.rules
        tokens = obj.origin, process.facts.lib_token, process.platform
        prefixes = _expanded(text, separators, *tokens, not rules.loose_tokens, rules.dropped_is_current)
    directories = [_directory(process, prefix, what, where) for prefix in prefixes]
    return SearchList(stage, set_by, directories) if directories else None


@lru_cache(1 << 12)
def _expanded(
    text: str, separators: str, origin: str | None, lib: str, platform: str | None, loose: bool, current: bool
) -> tuple[str, ...]:
    """The prefixes of a list whose tokens have these values."""
    return _as_prefixes([expand(e, origin, lib, platform, loose=loose) for e in split_path(text, separators)], current)


def _as_prefixes(elements: list[str | None], current: bool) -> tuple[str, ...]:
    """Each prefix once; None is an element of which nothing is left, `current`: it then stands for the current directory."""
    kept = (element for element in elements if element is not None or current)
    return tuple(dict.fromkeys(directory_prefix(element or "") for element in kept))


def _directory(process: Process, prefix: str, what: str, where: str | None) -> SearchDirectory:
    known = process.directories.get(prefix)
    if known is None:
        prefixes, shown = _prefixes(prefix, process.caps)
        every = range(len(prefixes))
        # relative directories are never left out: the current directory may change
        unknown = set(every) if prefix.startswith("/") else set()
        known = process.directories[prefix] = SearchDirectory(prefixes, shown, unknown, tuple(every), what, where)
    return known


@lru_cache(1 << 10)
def _prefixes(prefix: str, caps: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The prefixes of a directory with all its hwcaps subdirectories, and how they are shown."""
    prefixes = tuple(prefix + cap for cap in caps)
    return prefixes, tuple(p.rstrip("/") or p[:1] for p in prefixes)


def expand_for(process: Process, text: str, obj: Object) -> str | None:
    """`text` with its tokens replaced for `obj`; None when there is nothing left of it.

    With AT_SECURE the main program's ``$ORIGIN`` must lead below a default directory.
    """
    rules, facts = process.rules, process.facts
    out = expand(
        text, obj.origin, facts.lib_token, process.platform, secure=process.secure, loose=not rules.loose_tokens
    )
    if out is not None and process.secure and obj is process.main and out != text and "ORIGIN" in text:
        normal = normalise(out)
        if not any(normal == d or normal.startswith(d + "/") for d in facts.system_dirs):
            return None
        return normal if rules.secure_origin_normalised else out
    return out
