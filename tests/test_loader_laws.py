"""Laws of the glibc loader, for generated trees."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from loadertrees import LD, elf, load, program
from nvsim.loader.outcome import DlopenCall, Outcome
from nvsim.loader.trace import debug_lines
from nvsim.queries.load import render

DIRECTORIES = ["/a", "/b", "/a/glibc-hwcaps/x86-64-v3", "/b/tls", "/usr/lib", "/lib/x86_64-linux-gnu"]
NAMES = ["liba.so.1", "libb.so.1", "libc.so.1"]
VERSIONS = ["2.17", "2.26", "2.31", "2.36", "2.39", "2.42"]

library = st.fixed_dictionaries(
    {"needed": st.lists(st.sampled_from([*NAMES, "libnone.so"]), max_size=2)},
    optional={
        "soname": st.sampled_from(NAMES),
        "rpath": st.sampled_from(["/a", "$ORIGIN", "/none:/b", ""]),
        "runpath": st.sampled_from(["/b", "$ORIGIN/../a", "/none"]),
        "class": st.sampled_from([64, 32]),
        "machine": st.sampled_from(["x86_64", "aarch64"]),
        "truncate": st.just(40),
        "verneed": st.dictionaries(
            st.sampled_from(NAMES), st.lists(st.sampled_from(["V_1", "V_2"]), min_size=1), max_size=1
        ),
        "verdef": st.just(["V_1"]),
        "filter": st.lists(st.sampled_from(NAMES), max_size=1),
        "auxiliary": st.lists(st.sampled_from([*NAMES, "libnone.so"]), max_size=1),
        "stack": st.sampled_from(["rw", "rwx"]),
        "flags_1": st.sampled_from(["0x800", "0x40"]),
    },
)
libraries = st.dictionaries(
    st.tuples(st.sampled_from(DIRECTORIES), st.sampled_from(NAMES)).map("/".join),
    library.map(lambda facts: {"type": "file", "size": 9000, "elf": facts}),
    max_size=6,
)
mains = st.builds(
    lambda needed, extra: program(*needed, **extra),
    st.lists(st.sampled_from(NAMES), max_size=3),
    st.sampled_from([{}, {"rpath": "/a"}, {"runpath": "/b:/a"}]),
)
trees = st.builds(lambda libs, main: {**libs, "/app/main": main}, libraries, mains)
paths_ = st.lists(st.sampled_from(["/a", "/b", "/none", "", "rel", "/a/"]), max_size=3).map(":".join)
calls = st.lists(
    st.builds(DlopenCall, st.sampled_from([*NAMES, "/a/liba.so.1", ""]), st.sampled_from([1, 2, 6, 0x102])), max_size=3
)


def as_text(outcome: Outcome) -> str:
    return json.dumps([render(outcome), [repr(s) for s in outcome.searches], list(debug_lines(outcome))])


@settings(max_examples=150, deadline=None)
@given(trees, paths_, st.sampled_from(VERSIONS), calls)
def test_the_same_scenario_gives_the_same_answer(
    tree: dict[str, Any], path: str, version: str, dlopens: list[DlopenCall]
) -> None:
    first, second = (load(tree, {"LD_LIBRARY_PATH": path}, version=version, dlopen=tuple(dlopens)) for _ in range(2))
    assert as_text(first) == as_text(second)


@settings(max_examples=150, deadline=None)
@given(trees, paths_, st.sampled_from(["/a", "/b", "/none"]), st.sampled_from(VERSIONS))
def test_a_directory_appended_to_the_library_path_changes_no_earlier_hit(
    tree: dict[str, Any], path: str, more: str, version: str
) -> None:
    """What the first searched name finds before the end of LD_LIBRARY_PATH, it finds with a longer one too."""
    shorter = load(tree, {"LD_LIBRARY_PATH": path}, version=version)
    longer = load(tree, {"LD_LIBRARY_PATH": f"{path}:{more}" if path else more}, version=version)
    for before, after in zip(shorter.searches[:1], longer.searches[:1], strict=True):
        last = before.candidates[-1] if before.candidates else None
        if last is not None and last.stage in ("rpath", "ld_library_path") and last.result == "hit":
            assert (after.candidates, after.path) == (before.candidates, before.path)


@settings(max_examples=150, deadline=None)
@given(trees, paths_, st.sampled_from(VERSIONS))
def test_a_directory_named_twice_is_searched_once(tree: dict[str, Any], path: str, version: str) -> None:
    once = load(tree, {"LD_LIBRARY_PATH": path}, version=version)
    twice = load(tree, {"LD_LIBRARY_PATH": f"{path}:{path}" if path else ""}, version=version)
    assert render(once) == render(twice)


@settings(max_examples=150, deadline=None)
@given(trees, paths_, st.sampled_from(VERSIONS), calls)
def test_every_object_was_a_hit_of_the_search_that_brought_it(
    tree: dict[str, Any], path: str, version: str, dlopens: list[DlopenCall]
) -> None:
    outcome = load(tree, {"LD_LIBRARY_PATH": path}, version=version, dlopen=tuple(dlopens))
    searches = [*outcome.searches, *(s for d in outcome.dlopen for s in d.searches)]
    hits = {s.path: s.candidates[-1] for s in searches if s.result == "loaded"}
    assert all(hit.result == "hit" and hit.path == path for path, hit in hits.items())
    new = [o.path for d in outcome.dlopen for o in d.new_objects]
    assert {o.path for o in outcome.objects} - {LD} <= hits.keys()
    assert set(new) <= hits.keys()


@settings(max_examples=150, deadline=None)
@given(trees, st.sampled_from(VERSIONS), st.sampled_from([*NAMES, "libnone.so"]))
def test_a_failed_dlopen_leaves_the_next_ones_as_they_were(tree: dict[str, Any], version: str, name: str) -> None:
    """A second try of what failed fails in the same words (but for the errno of directories that are known to be missing)."""
    outcome = load(tree, version=version, dlopen=(DlopenCall(name), DlopenCall(name)))
    if len(outcome.dlopen) == 2 and outcome.dlopen[0].ok is False:
        first, second = (d.error or "" for d in outcome.dlopen)
        assert outcome.dlopen[1].ok is False
        assert first.removesuffix(": No such file or directory") == second.removesuffix(": No such file or directory")


@settings(max_examples=100, deadline=None)
@given(trees, paths_)
def test_an_unused_file_changes_nothing(tree: dict[str, Any], path: str) -> None:
    env = {"LD_LIBRARY_PATH": path}
    here = {**tree, "/a": {"type": "dir"}}
    assert render(load(here, env)) == render(load({**here, "/a/unrelated.so": elf("libnone.so")}, env))
