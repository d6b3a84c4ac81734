"""The releases of the CDI library that the toolkit was built with, as rules (CHANGELOG and sources of ``pkg/cdi``, 0.4 to 1.1).

Which toolkit release has which library is `nvsim.toolkit.releases.Release.cdi_library`; where nothing is said, the newest counts.
"""

from __future__ import annotations

from collections.abc import Mapping

from nvsim.frozen import frozen


@frozen
class CdiLibrary:
    """The rules of one release of the library.

    `newest`: the newest version of the specification that it knows. `checks_minimum`: a spec must declare the version that its content
    needs. `digit_names`: device names may begin with a digit. `needs_devices`: a spec without devices is invalid. `names_unresolved`: the
    error about unknown devices names only those. `fills_mode`: a node's mode is taken from the host's node. `stable_mounts`: mounts of the
    same depth keep their order, else they are sorted by destination. `dotted_classes`: class names may have dots.
    """

    newest: str = "1.1.0"
    checks_minimum: bool = True
    digit_names: bool = True
    needs_devices: bool = True
    names_unresolved: bool = True
    fills_mode: bool = True
    stable_mounts: bool = True
    dotted_classes: bool = True

    @property
    def order(self) -> tuple[int, ...]:
        """`newest` as numbers."""
        return tuple(int(n) for n in self.newest.split("."))


def _before_1_1(
    newest: str, *, names_unresolved: bool = True, first: bool = False, dotted_classes: bool = True
) -> CdiLibrary:
    return CdiLibrary(newest, not first, not first, False, names_unresolved, False, False, dotted_classes)


NEWEST_LIBRARY = CdiLibrary()
LIBRARIES: Mapping[str, CdiLibrary] = {
    "0.4": _before_1_1("0.4.0", names_unresolved=False, first=True, dotted_classes=False),
    "0.5": _before_1_1("0.5.0", names_unresolved=False, dotted_classes=False),
    "0.6.0": _before_1_1("0.6.0", names_unresolved=False),
    "0.6.2": _before_1_1("0.6.0"),
    "0.7": _before_1_1("0.7.0"),
    "0.8": _before_1_1("0.8.0"),
    "1.1": NEWEST_LIBRARY,
}
