"""Laws of the diagnosis over the shipped hosts and images with random settings."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

import nvsim
from nvsim.diagnosis.explain import with_changes, works
from nvsim.errors import InputError
from nvsim.report.diff import diff_text
from nvsim.report.plan import plan_text
from nvsim.report.text import fix_text, run_text

HOSTS = st.sampled_from(nvsim.list_hosts())
IMAGES = st.sampled_from(nvsim.list_images())
ENV = st.lists(
    st.sampled_from(
        [
            "NVIDIA_VISIBLE_DEVICES=all",
            "NVIDIA_VISIBLE_DEVICES=none",
            "NVIDIA_VISIBLE_DEVICES=7",
            "NVIDIA_DRIVER_CAPABILITIES=utility",
            "NVIDIA_DRIVER_CAPABILITIES=video,compute",
            "NVIDIA_DRIVER_CAPABILITIES=nonsense",
            "NVIDIA_REQUIRE_CUDA=cuda>=99",
            "LD_LIBRARY_PATH=/usr/lib64",
            "LD_LIBRARY_PATH=/nowhere",
            "PATH=/bin",
        ]
    ),
    max_size=3,
)
OPTIONS = st.fixed_dictionaries(
    {"env": ENV},
    optional={
        "gpus": st.sampled_from(["all", "0", "device=0", "all,capabilities=utility"]),
        "runtime": st.sampled_from(["nvidia", "runc"]),
        "mode": st.sampled_from(["legacy", "cdi", "jit-cdi", "csv", "auto"]),
        "toolkit_version": st.sampled_from(["1.3.0", "1.10.0", "1.14.0", "1.17.8", "1.20.0"]),
        "device": st.sampled_from([["nvidia.com/gpu=all"], ["/dev/nvidia0"]]),
        "read_only": st.booleans(),
        "user": st.sampled_from(["0", "1000"]),
        "privileged": st.booleans(),
    },
)
COMMANDS = st.sampled_from([None, ["nvidia-smi"], ["/nowhere"]])


@settings(max_examples=60, deadline=None)
@given(HOSTS, IMAGES, COMMANDS, OPTIONS)
def test_every_failure_has_a_cause_and_every_verified_fix_mends_it(
    host: str, image: str, command: list[str] | None, options: dict
) -> None:
    try:
        scenario = nvsim.new_scenario(host, image, command, **options)
        diagnosis = nvsim.diagnose(scenario)
    except InputError as e:
        assert len(str(e).splitlines()) == 1
        return
    causes = [f for f in diagnosis.findings if f.severity == "error"]
    if diagnosis.result.verdict == "fails":
        assert causes
    if works(diagnosis.result):
        assert causes == []
    for finding in causes:
        for proposal in finding.fixes:
            if proposal.verified and not finding.after:
                again = nvsim.diagnose(with_changes(scenario, (proposal.change,)))
                left = [f for f in again.findings if not f.after]
                assert (finding.code, finding.subject) not in [(f.code, f.subject) for f in left]
    first, second = (json.dumps(nvsim.result_json(nvsim.diagnose(scenario)), sort_keys=True) for _ in range(2))
    assert first == second
    for text in (run_text(diagnosis), plan_text(diagnosis.result)):
        assert text.endswith("\n") and "\x1b" not in text
        assert all(line == line.rstrip() for line in text.splitlines() if "|" not in line)


@settings(max_examples=12, deadline=None)
@given(HOSTS, HOSTS, IMAGES, OPTIONS)
def test_a_comparison_is_the_same_from_both_sides(one: str, other: str, image: str, options: dict) -> None:
    try:
        first, second = (nvsim.new_scenario(h, image, **options) for h in (one, other))
        there, back = nvsim.compare(first, second), nvsim.compare(second, first)
    except InputError:
        return
    assert there.same == back.same
    assert [f.code for f in there.gone] == [f.code for f in back.new]
    assert {(c.what, c.first, c.second) for c in there.plan} == {(c.what, c.second, c.first) for c in back.plan}
    assert diff_text(there).startswith("SAME" if there.same else "DIFFERENT")


@settings(max_examples=12, deadline=None)
@given(HOSTS, IMAGES, OPTIONS)
def test_a_fix_makes_everything_work(host: str, image: str, options: dict) -> None:
    try:
        scenario = nvsim.new_scenario(host, image, **options)
        fix = nvsim.find_fix(scenario)
    except InputError:
        return
    assert fix_text(fix)
    if fix is not None:
        assert works(nvsim.simulate(with_changes(scenario, fix.changes)))
