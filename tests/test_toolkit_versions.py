"""Versions, requirements and device names as the toolkit's own libraries read them, and what the runtime takes from its arguments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsim.toolkit.cdi_name import NamePanic, is_qualified, parse_name
from nvsim.toolkit.requirements import RequirementError, parse_requirements, unmet
from nvsim.toolkit.runtime_args import BundleError, asks_version, bundle_of, is_create, log_args, spec_path
from nvsim.toolkit.versions import Library, VersionError, compare_texts, compare_versions, parse_version

LIBRARIES: tuple[Library, ...] = ("x-mod", "masterminds")
CHARACTERS = "019.v-+ab"

libraries = st.sampled_from(LIBRARIES)
parts = st.sampled_from(["0", "1", "10", "9", "a", "B", "a-1", "18446744073709551616", "alpha"])
versions = st.builds(
    lambda numbers, pre, build: f"{'.'.join(map(str, numbers))}{pre and f'-{pre}'}{build and f'+{build}'}",
    st.lists(st.integers(0, 12), min_size=3, max_size=3),
    st.lists(parts, max_size=3).map(".".join),
    st.sampled_from(["", "7", "b.1"]),
)


def compared(a: str, b: str, library: Library) -> int:
    return compare_versions(parse_version(a, library), parse_version(b, library))


# ---- versions


@pytest.mark.parametrize("library", LIBRARIES)
def test_short_versions_and_a_leading_v_are_versions(library: Library) -> None:
    assert compared("v12", "12.0.0", library) == 0
    assert parse_version("v11.4", library).major_minor == "11.4"


def test_leading_zeros_are_versions_for_the_later_library_only() -> None:
    with pytest.raises(VersionError):
        parse_version("470.057.02", "x-mod")
    assert compared("470.057.02", "470.57.2", "masterminds") == 0


def test_the_older_library_takes_pre_releases_of_whole_versions_only() -> None:
    with pytest.raises(VersionError):
        parse_version("12.4-rc", "x-mod")
    assert compared("12.4-rc", "12.4", "masterminds") == -1


def test_numbers_compare_by_value_and_come_before_words() -> None:
    for library in LIBRARIES:
        assert compared("1.0.0-9", "1.0.0-10", library) == -1
        assert compared("1.0.0-10", "1.0.0-a", library) == -1
        assert compared("1.0.0-a", "1.0.0", library) == -1


def test_what_is_no_version_comes_before_every_version_for_the_older_library() -> None:
    assert compare_texts("", "0.0.0") == -1
    assert compare_texts("latest", "") == 0


@given(libraries, versions, versions, versions)
def test_versions_are_ordered(library: Library, a: str, b: str, c: str) -> None:
    assert compared(a, b, library) == -compared(b, a, library)
    if compared(a, b, library) <= 0 and compared(b, c, library) <= 0:
        assert compared(a, c, library) <= 0


@given(libraries, versions, versions)
def test_build_metadata_plays_no_part(library: Library, a: str, b: str) -> None:
    assert compared(a.partition("+")[0], b.partition("+")[0], library) == compared(a, b, library)


@given(st.text(CHARACTERS, max_size=12))
def test_every_version_of_the_older_library_is_one_of_the_later(text: str) -> None:
    try:
        parse_version(text, "x-mod")
    except VersionError:
        return
    parse_version(text, "masterminds")


# ---- requirements


def need(*requirements: str, library: Library = "masterminds", **properties: str) -> str | None:
    return unmet(parse_requirements(requirements, library), properties, library)


def test_commas_mean_and_while_blanks_mean_or() -> None:
    assert need("cuda>=12.0,brand=tesla cuda>=13", cuda="13.1", brand="geforce") is None
    assert need("cuda>=12.0,brand=tesla cuda>=13", cuda="12.4", brand="tesla") is None
    message = need("cuda>=12.0,brand=tesla cuda>=13", cuda="12.4", brand="geforce")
    assert message == "cuda>=12.0&&brand=tesla||cuda>=13 not met"


def test_every_requirement_must_hold_and_the_first_that_does_not_is_named() -> None:
    assert need("cuda>=11", "driver>=535", cuda="12", driver="525.1") == (
        "unsatisfied condition: driver>=535 (driver=525.1)"
    )


def test_only_what_go_takes_for_white_space_is_blank() -> None:
    assert str(parse_requirements(["\u2003", "\x85,"], "x-mod")) == "true"
    with pytest.raises(RequirementError, match="invalid constraint: \x1f"):
        parse_requirements(["\x1f"], "x-mod")


def test_a_condition_on_an_unknown_name_is_dropped() -> None:
    assert need("gpu>=9", cuda="1") is None
    assert str(parse_requirements(["gpu>=9,cuda>=1"], "masterminds")) == "cuda>=1"


def test_a_value_that_is_no_version_is_refused_by_both_libraries_in_their_own_words() -> None:
    words: dict[Library, str] = {"x-mod": "invailid value latest", "masterminds": "invalid version string"}
    for library in LIBRARIES:
        with pytest.raises(RequirementError, match=words[library]):
            parse_requirements(["cuda>=latest"], library)


def test_without_a_known_cuda_version_the_later_library_complains_of_the_property() -> None:
    assert need("cuda>=12") == "invalid value for cuda: invalid semantic version"
    assert need("cuda>=12", library="x-mod") == "unsatisfied condition: cuda>=12 (cuda=)"


@given(libraries, versions, versions)
def test_a_comparison_and_its_contrary_never_both_hold(library: Library, have: str, want: str) -> None:
    for operator, contrary in ((">=", "<"), ("<=", ">"), ("=", "!=")):
        held = [need(f"cuda{o}{want}", library=library, cuda=have) is None for o in (operator, contrary)]
        assert sorted(held) == [False, True]


# ---- CDI names


def test_a_device_name_may_begin_with_a_digit_only_in_later_libraries() -> None:
    assert is_qualified("nvidia.com/gpu=0")
    assert not is_qualified("nvidia.com/gpu=0", digits=False)


def test_a_vendor_of_one_letter_crashes_the_library() -> None:
    with pytest.raises(NamePanic):
        parse_name("a/gpu=0")


@given(st.text("ab1./=_-: ", max_size=12))
def test_a_qualified_name_is_its_three_parts(name: str) -> None:
    try:
        parsed = parse_name(name)
    except NamePanic:
        return
    if parsed.error is None:
        assert f"{parsed.vendor}/{parsed.cls}={parsed.name}" == name
        assert parsed.vendor and parsed.cls and parsed.name


# ---- arguments


def test_create_is_found_anywhere_but_as_the_value_of_a_bundle_flag() -> None:
    assert is_create(["nvidia-container-runtime", "--root", "create"])
    assert not is_create(["nvidia-container-runtime", "--bundle", "create", "start"])
    assert is_create(["nvidia-container-runtime", "-b", "-b", "create"])


def test_the_last_bundle_flag_wins_however_it_is_written() -> None:
    assert bundle_of(["--bundle", "/a", "-b=/b", "--b", "/c"]) == "/c"
    with pytest.raises(BundleError):
        bundle_of(["create", "--bundle"])


def test_without_a_bundle_the_spec_lies_in_the_working_directory() -> None:
    assert spec_path(bundle_of(["create", "x"])) == "config.json"
    assert spec_path("/b//x/../") == "/b/config.json"


def test_a_version_flag_is_seen_where_it_is_the_value_of_another_flag() -> None:
    argv = ["nvidia-container-runtime", "--log", "--version"]
    assert asks_version(argv)
    assert log_args(argv).file == "--version"
    assert not log_args(argv).version


arguments = st.lists(
    st.sampled_from(["create", "--bundle", "-b", "/b", "--bundle=/c", "--log", "-", "x", "", "--log=y"])
)


@given(arguments, st.sampled_from(["/z", "rel", ""]))
def test_a_bundle_flag_at_the_end_decides(argv: list[str], bundle: str) -> None:
    try:
        bundle_of(argv)
    except BundleError:
        return
    assert bundle_of([*argv, "--bundle", bundle]) == bundle_of([*argv, f"--bundle={bundle}"]) == bundle
