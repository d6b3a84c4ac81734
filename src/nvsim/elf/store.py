"""Where ELF facts of real files are kept. `FactsStore` keeps them for one process, by file identity."""

from __future__ import annotations

from collections.abc import Callable

from nvsim.elf.facts import ElfFacts

Identity = tuple[int, int, int, int, int]


class FactsStore:
    """Facts by (device, inode, size, mtime, ctime in ns)."""

    def __init__(self) -> None:
        self._facts: dict[Identity, ElfFacts | None] = {}

    def get(self, identity: Identity, read: Callable[[], ElfFacts | None]) -> ElfFacts | None:
        """The facts of the file with this identity, read now if they are not known."""
        if identity not in self._facts:
            self._facts[identity] = read()
        return self._facts[identity]
