"""The record by which all processes agree whether the cache may be believed."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class CoherenceRecord:
    """`epoch` grows by 1 with every change of `cache_on`. A storage that was just prepared holds (1, True)."""

    epoch: int
    cache_on: bool


@runtime_checkable
class CoherenceRepository(Protocol):
    """The coherence record of one storage: a single record, moved by compare-and-set.

    COH-1: `read` returns the record; (1, True) where it was never advanced.
    COH-2: `advance(expected_epoch=e, ...)` moves the record to (e + 1, cache_on) if its epoch is e, atomically, and
        changes nothing otherwise. Of several concurrent calls with one `expected_epoch`, exactly one moves it.
    COH-3: `advance` returns the record as it is afterwards, whoever moved it.
    """

    def read(self) -> CoherenceRecord:
        """Return the record."""
        ...

    def advance(self, *, expected_epoch: int, cache_on: bool) -> CoherenceRecord:
        """Move the record on by one epoch, if it is still at `expected_epoch`; return the record as it is now."""
        ...
