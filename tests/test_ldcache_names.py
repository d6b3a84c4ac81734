"""Finding cache entries by name: what compares equal for the loader is one name, however it is spelt."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nvsim.ldcache import CacheEntry, LdCache, libcmp

NAMES = st.lists(
    st.sampled_from(
        ["lib", "x", ".so.", "0", "00", "1", "01", "10", "4294967297", "2147483648", "9" * 5000, "-", "é", "\udcff"]
    ),
    max_size=5,
).map("".join)


@given(st.lists(NAMES, max_size=6), NAMES)
def test_entries_are_found_as_the_loader_compares_names(names: list[str], wanted: str) -> None:
    cache = LdCache(tuple(CacheEntry(name, f"/lib/{number}") for number, name in enumerate(names)))
    assert list(cache.named(wanted)) == [e for e in cache.entries if libcmp(e.name, wanted) == 0]
