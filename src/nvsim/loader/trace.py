"""The recorded searches of a glibc process in the language of ``LD_DEBUG=libs``, line for line (``elf/dl-load.c``, ``dl-cache.c``,
``dl-deps.c``, ``dl-catch.c``).

Lines are without the process id that the loader puts in front ("      1234:<tab>"). What it prints while constructors and destructors
run (calling init, initialize program, transferring control, calling fini) is not part of it.
"""

from __future__ import annotations

from collections.abc import Iterator

from nvsim.loader.glibc.tables import GlibcRules, glibc_rules
from nvsim.loader.outcome import Candidate, DlopenResult, Outcome, Search, SearchedPath


def trace_text(outcome: Outcome) -> str:
    """The lines with what the loader says itself on stderr: LD_DEBUG's unknown words first, of a preload that fails where it fails,
    anything else at the end."""
    said = outcome.stderr.splitlines()
    first = [line for line in said if line.startswith("warning: debug option ")]
    said = said[len(first) :]
    lines = list(_lines(outcome, said))
    return "".join(f"{line}\n" for line in (*first, *lines, *said))


def debug_lines(outcome: Outcome) -> Iterator[str]:
    """The lines of start-up and of every dlopen, in order. musl has no such output: its searches are told in the same words."""
    return _lines(outcome, [])


def _lines(outcome: Outcome, said: list[str]) -> Iterator[str]:
    """`debug_lines` with those lines of `said` that have a place among them; they are taken out of it."""
    if outcome.libc is None or not outcome.libc.startswith("glibc "):
        for each in (outcome.searches, *(call.searches for call in outcome.dlopen)):
            for search in each:
                yield from _plain(search)
        return
    rules = glibc_rules(outcome.libc.removeprefix("glibc "))
    for search in outcome.searches:
        yield from _search(search, rules)
        if search.because == "preload" and said and said[0].startswith(f"ERROR: ld.so: object '{search.name}' from "):
            yield said.pop(0)
    for problem in outcome.version_problems:
        yield f"{problem.provider}: error: version lookup error: {problem.message} (continued)"
    if outcome.undefined is not None:
        obj, text = outcome.undefined
        yield f"{obj}: error: symbol lookup error: {text} (fatal)"
    for call in outcome.dlopen:
        yield from _dlopen(call, rules)


def _plain(search: Search) -> Iterator[str]:
    """A search of a loader that shares no directories between its lists."""
    if not search.candidates:
        return
    yield f"find library={search.name}; searching"
    set_by = None
    for candidate in search.candidates:
        if candidate.set_by != set_by and candidate.stage != "name":
            set_by = candidate.set_by
            same = [c.path.rpartition("/")[0] for c in search.candidates if c.set_by == set_by]
            yield f" search path={':'.join(same)}\t\t({set_by})"
        yield f"  trying file={candidate.path}"


def _dlopen(call: DlopenResult, rules: GlibcRules) -> Iterator[str]:
    for search in call.searches:
        yield from _search(search, rules)
    obj, _, text = (call.error or "").partition(": ")
    if text.startswith("undefined symbol: "):
        yield f"{obj}: error: symbol lookup error: {text} (fatal)"
    elif text.startswith(("version `", "weak version `")):
        yield f"{obj}: error: version lookup error: {text} (fatal)"


def _search(search: Search, rules: GlibcRules) -> Iterator[str]:
    if search.because in ("auxiliary", "filter"):
        kind = "filtered" if search.because == "filter" and rules.debug_filtered else "auxiliary"
        yield f"load {kind} object={search.name} requested by file={search.requester}"
    if search.result == "ignored" and search.note:
        yield f"cannot load auxiliary `{search.name}' because of {search.note}"
        return
    by_path = "/" in search.name
    if not (search.candidates or search.paths) and (by_path or search.result == "already"):
        return
    if not by_path:
        yield f"find library={search.name} [0]; searching"
    paths = list(search.paths)
    for number, candidate in enumerate(search.candidates):
        while paths and paths[0].at <= number:
            yield _path(paths.pop(0))
        if not by_path:
            yield f"  trying file={candidate.path}"
        if rules.debug_rejections:
            yield from _rejection(candidate)
    yield from map(_path, paths)
    if not by_path and not any(c.result.startswith("fatal") for c in search.candidates):
        yield ""


def _rejection(candidate: Candidate) -> Iterator[str]:
    """Why a file was not taken, as far as the loader says."""
    _, _, why = candidate.result.partition("skipped: ")
    if why.startswith("wrong ELF class"):
        yield "    (incompatible ELF class)"
    elif why.startswith("is for "):
        yield "    (incompatible ELF machine)"
    elif why == "no set-uid bit":
        text = "the shared object cannot be tested for being SUID or the bit is not set"
        yield f"  refusing to load file={candidate.path}, {text}"
    elif candidate.result == "missing" or (candidate.errno is not None and not candidate.result.startswith("fatal")):
        yield "    (no such file)"


def _path(path: SearchedPath) -> str:
    if path.what == "cache":
        return f" search cache={path.directories[0]}"
    origin = f"{path.what} from file {path.where}" if path.where is not None else path.what
    return f" search path={':'.join(path.directories)}\t\t({origin})"
