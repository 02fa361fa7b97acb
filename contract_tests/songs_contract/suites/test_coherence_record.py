"""The coherence record."""

from functools import partial

from songs.ports.coherence import CoherenceRecord
from songs_contract.checks import StorageUser, race, until_no_conflict
from songs_contract.clauses import clause
from songs_plugins import Port

PORT = Port.STORAGE


def advance(use: StorageUser, expected_epoch: int, *, cache_on: bool) -> CoherenceRecord:
    """Try to advance the record."""
    return use.write(lambda unit: unit.coherence.advance(expected_epoch=expected_epoch, cache_on=cache_on))


def read(use: StorageUser) -> CoherenceRecord:
    """Return the record, as a fresh unit sees it."""
    return use.read(lambda unit: unit.coherence.read())


@clause("COH-1")
def test_the_first_record(use: StorageUser) -> None:
    """A storage begins with epoch 1 and the cache on."""
    assert read(use) == CoherenceRecord(1, cache_on=True)


@clause("COH-2", "COH-3")
def test_advancing(use: StorageUser) -> None:
    """Only who knows the current epoch moves it, by one; everybody learns what the record is now."""
    assert advance(use, 1, cache_on=False) == read(use) == CoherenceRecord(2, cache_on=False)
    for wrong in (0, 1, 3, 100):
        assert advance(use, wrong, cache_on=True) == CoherenceRecord(2, cache_on=False)
    assert advance(use, 2, cache_on=True) == read(use) == CoherenceRecord(3, cache_on=True)


@clause("COH-2", "COH-3")
def test_advancing_at_once(use: StorageUser, rounds: int) -> None:
    """Of many that advance from one epoch to different records, one moves it, and all learn the same record."""
    for epoch in range(1, 4 * rounds):
        advances = [partial(advance, use, epoch, cache_on=on) for on in (True, False)]
        outcomes = race([partial(until_no_conflict, each) for each in advances * 4])
        assert outcomes == [read(use)] * 8
        assert read(use).epoch == epoch + 1
