"""The table of releases: one source for the rules, their types and the page in docs."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from nvsim.errors import InputError
from nvsim.toolkit.generation import GenerationRules
from nvsim.toolkit.generation_table import GENERATION
from nvsim.toolkit.releases import Release, release_of, version_key
from nvsim.toolkit.releases_page import releases_page
from nvsim.toolkit.releases_table import BEHAVIOURS

ROOT = Path(__file__).parent.parent


def test_the_page_in_docs_is_what_the_tables_say() -> None:
    page = (ROOT / "docs" / "toolkit-releases.md").read_text()
    assert page == releases_page(), "write nvsim.toolkit.releases_page.releases_page() to docs/toolkit-releases.md"


def test_every_behaviour_is_a_field_of_a_release_and_every_field_a_behaviour() -> None:
    fields = {f.name for f in attrs.fields(Release)} - {"version", "assumptions"}
    assert {b.name for b in BEHAVIOURS} == fields
    assert len(BEHAVIOURS) == len(fields)


def test_every_row_about_generated_specs_is_a_field_of_the_rules_and_every_field_a_row() -> None:
    fields = {f.name for f in attrs.fields(GenerationRules)} - {"release", "generates"}
    assert {b.name for b in GENERATION} == fields
    assert len(GENERATION) == len(fields)


@pytest.mark.parametrize("behaviour", (*BEHAVIOURS, *GENERATION), ids=lambda b: b.name)
def test_the_steps_of_a_behaviour_are_changes_in_the_order_of_releases(behaviour) -> None:
    assert behaviour.steps[0].since == ""
    since = [version_key(s.since) for s in behaviour.steps[1:]]
    assert since == sorted(set(since))
    assert all(a.value != b.value for a, b in zip(behaviour.steps, behaviour.steps[1:], strict=False))


def test_a_release_between_two_named_ones_has_the_rules_of_the_older() -> None:
    assert release_of("1.17.6").compat_flag == "no-cntlibs"
    assert release_of("1.17.7").compat_flag == "mode"
    assert release_of("1.17.10").compat_flag == "mode"


def test_commits_after_a_release_count_and_package_suffixes_do_not() -> None:
    assert release_of("1.20.0").semver == "x-mod"
    assert release_of("1.20.0+27").semver == "masterminds"
    assert release_of("v1.17.8-1").version == release_of("1.17.8").version
    assert release_of("1.18.0-rc.2") == release_of("1.18.0")


def test_releases_that_are_not_modelled_say_what_they_are_taken_for() -> None:
    old = release_of("1.3")
    assert old.default_capabilities == ("utility",)
    assert "modelled as 1.10" in old.assumptions[0]
    assert "newer than 1.20.0+27" in release_of("1.21.0").assumptions[0]
    assert release_of("1.10.0").assumptions == release_of("1.20.0+27").assumptions == ()


@pytest.mark.parametrize("text", ["", "newest", "1.x", "1.2.3.4", "1.17.8 ", "१.१", "1..2", "-1", "9" * 400])
def test_what_is_no_version_is_one_clear_line(text: str) -> None:
    with pytest.raises(InputError) as caught:
        release_of(text)
    assert "no toolkit version" in str(caught.value) and "\n" not in str(caught.value)
