"""The coherence record."""

from functools import partial

import pytest

from songs.ports.coherence import MAX_CACHE_CHARS, CoherenceRecord
from songs_contract.harness.driver import StorageUser, race, until_no_conflict
from songs_contract.law import clause
from songs_plugins import Port

PORT = Port.STORAGE


def advance(use: StorageUser, expected_epoch: int, *, cache_on: bool, cache: str = "") -> CoherenceRecord:
    """Try to advance the record."""
    return use.write(lambda unit: unit.coherence.advance(expected_epoch=expected_epoch, cache_on=cache_on, cache=cache))


def read(use: StorageUser) -> CoherenceRecord:
    """Return the record, as a fresh unit sees it."""
    return use.read(lambda unit: unit.coherence.read())


@clause("COH-1")
def test_the_first_record(use: StorageUser) -> None:
    """A storage begins with epoch 1, the cache on, and none named."""
    assert read(use) == CoherenceRecord(1, cache_on=True)


@clause("COH-2", "COH-3")
def test_advancing(use: StorageUser) -> None:
    """Only who knows the current epoch moves it, by one; everybody learns what the record is now."""
    assert advance(use, 1, cache_on=False) == read(use) == CoherenceRecord(2, cache_on=False)
    for wrong in (0, 1, 3, 100):
        assert advance(use, wrong, cache_on=True) == CoherenceRecord(2, cache_on=False)
    assert advance(use, 2, cache_on=True) == read(use) == CoherenceRecord(3, cache_on=True)


VISIBLE = "".join(map(chr, range(0x21, 0x7F)))


@clause("COH-4")
@pytest.mark.parametrize("on", [True, False], ids=["on", "off"])
def test_the_cache_is_named(use: StorageUser, on: bool) -> None:  # noqa: FBT001 - a parameter
    """Its identity comes back to the character, whether it is on or not."""
    names = [
        "a",
        "A",
        "redis 0 songs 8371b4fb",
        "two  spaces",
        VISIBLE,
        "x" * MAX_CACHE_CHARS,
        "'; DROP--",
        "null",
        "0",
    ]
    for epoch, name in enumerate(names, start=1):
        assert advance(use, epoch, cache_on=on, cache=name) == read(use) == CoherenceRecord(epoch + 1, on, name)


@clause("COH-2", "COH-3", "COH-4")
def test_another_cache_is_named(use: StorageUser) -> None:
    """Each advance names the cache anew, or none; one that moves nothing names none either."""
    advance(use, 1, cache_on=True, cache="first")
    assert advance(use, 1, cache_on=True, cache="late") == read(use) == CoherenceRecord(2, cache_on=True, cache="first")
    assert (
        advance(use, 2, cache_on=True, cache="second") == read(use) == CoherenceRecord(3, cache_on=True, cache="second")
    )
    assert advance(use, 3, cache_on=False) == read(use) == CoherenceRecord(4, cache_on=False, cache="")
    assert (
        advance(use, 4, cache_on=False, cache="first") == read(use) == CoherenceRecord(5, cache_on=False, cache="first")
    )


@clause("COH-2", "COH-3")
def test_advancing_at_once(use: StorageUser, rounds: int) -> None:
    """Of many that advance from one epoch to different records, one moves it, and all learn the same record."""
    for epoch in range(1, 4 * rounds):
        wishes = [(on, name) for on in (True, False) for name in ("", "one", "two", "three")]
        advances = [partial(advance, use, epoch, cache_on=on, cache=name) for on, name in wishes]
        outcomes = race([partial(until_no_conflict, each) for each in advances])
        assert outcomes == [read(use)] * 8
        assert read(use).epoch == epoch + 1
