"""The record by which all processes agree which cache may be believed."""

from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

MAX_CACHE_CHARS: Final = 200
"""The longest identity of a cache that a record holds."""


@dataclass(frozen=True, slots=True)
class CoherenceRecord:
    """Whether a cache may be believed, and which.

    Attributes:
        epoch: Grows by 1 with every change of the record.
        cache_on: Whether hits of the cache count.
        cache: The identity of the cache that this is about (`songs.ports.cache`); empty: no cache at all.
    """

    epoch: int
    cache_on: bool
    cache: str = ""


@runtime_checkable
class CoherenceRepository(Protocol):
    """The coherence record of one storage: a single record, moved by compare-and-set.

    COH-1: `read` returns the record; (1, True, "") where it was never advanced.
    COH-2: `advance(expected_epoch=e, ...)` moves the record to (e + 1, cache_on, cache) if its epoch is e, atomically,
        and changes nothing otherwise. Of several concurrent calls with one `expected_epoch`, exactly one moves it.
    COH-3: `advance` returns the record as it is afterwards, whoever moved it.
    COH-4: `cache` is stored and returned to the character: up to 200 visible ASCII characters and spaces, or none.
        Every advance sets all of the record: where no cache is named, it names none afterwards, whatever it did before.
    """

    def read(self) -> CoherenceRecord:
        """Return the record."""
        ...

    def advance(self, *, expected_epoch: int, cache_on: bool, cache: str = "") -> CoherenceRecord:
        """Move the record on by one epoch, if it is still at `expected_epoch`; return the record as it is now."""
        ...
