"""Looking for what is wrong, and repairing it."""

import logging
import threading
from functools import partial
from itertools import islice
from typing import cast

import pytest

from songs.errors import StorageClosed
from songs.model import RatingStats
from songs.ports.maintenance import Finding, Maintenance
from songs.ports.storage import Storage
from songs.text import FOLD_VERSION
from songs_contract.harness.driver import StorageUser, contents, each_of, fill, race, returned
from songs_contract.harness.subject import Subject
from songs_contract.law import clause, requires
from songs_contract.models.samples import next_version, rating, song
from songs_plugins import Port

PORT = Port.STORAGE


def examined(storage: Storage, *, repair: bool = False) -> list[Finding]:
    """Return what an examination finds."""
    assert isinstance(storage, Maintenance)
    return list(storage.examine(repair=repair))


@clause("MNT-1", "MNT-3")
@requires("maintenance")
@pytest.mark.parametrize("repair", [False, True], ids=["looking", "repairing"])
def test_nothing_is_wrong(use: StorageUser, storage: Storage, repair: bool) -> None:  # noqa: FBT001 - a parameter
    """In an empty storage, and in one that was written through the ports alone, nothing is found or changed."""
    assert examined(storage, repair=repair) == []
    fill(use)
    before = contents(use)
    assert examined(storage, repair=repair) == []
    assert contents(use) == before


@clause("MNT-1", "MNT-2", "MNT-3")
@requires("maintenance")
def test_damages_are_found_and_mended(use: StorageUser, storage: Storage, subject: Subject) -> None:
    """What the adapter names as damages is found and told; repairing brings back what the ports showed before."""
    if not subject.spec.damages:
        pytest.skip("declared unsupported: nothing that could be damaged")
    fill(use)
    before = contents(use)
    for name, damage in subject.spec.damages.items():
        damage(storage)
        found = examined(storage)
        assert any(each.remedy for each in found), f"{name}: not found"
        assert not any(each.mended for each in found), f"{name}: mended, while it was only looked for"
        storage.prepare()
        assert [each.what for each in examined(storage)] == [each.what for each in found], f"{name}: looking changed it"
        repaired = examined(storage, repair=True)
        assert all(each.mended for each in repaired if each.remedy), f"{name}: not mended"
        assert repaired, f"{name}: not told when it was mended"
        assert examined(storage) == [], f"{name}: still there"
        assert contents(use) == before, f"{name}: repairing it changed something else"


@clause("MNT-5")
@requires("maintenance")
def test_folds_of_another_unicode(
    use: StorageUser, storage: Storage, subject: Subject, caplog: pytest.LogCaptureFixture
) -> None:
    """Folds of another version are one line in the log, no reason to refuse, and made anew by repairing alone."""
    if "folds" not in cast("Maintenance", storage).versions():
        pytest.skip("declared unsupported: folds are not kept")
    fill(use)
    subject.spec.damages["folds"](storage)
    before = use.page(limit=1000)
    storage.close()
    caplog.clear()
    reopened = subject.storage()
    assert [each.levelname for each in _about_folds(caplog)] == ["WARNING"], "not told in one line"
    assert cast("Maintenance", reopened).versions()["folds"] != FOLD_VERSION
    assert use.on(reopened).page(limit=1000) == before
    assert all(each.mended for each in examined(reopened, repair=True))
    assert cast("Maintenance", reopened).versions()["folds"] == FOLD_VERSION
    assert use.on(reopened).titled("Title song-1") == ["song-1"]
    caplog.clear()
    subject.storage()
    assert _about_folds(caplog) == []


def _about_folds(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [each for each in caplog.records if FOLD_VERSION in each.getMessage()]


@clause("MNT-2")
@requires("maintenance")
def test_stopping_in_between(use: StorageUser, storage: Storage, subject: Subject) -> None:
    """Whoever takes the first finding only leaves a storage that can be written to, and repaired again."""
    if not subject.spec.damages:
        pytest.skip("declared unsupported: nothing that could be damaged")
    fill(use)
    before = contents(use)
    for damage in subject.spec.damages.values():
        damage(storage)
    repairing = cast("Maintenance", storage).examine(repair=True)
    assert all(each.mended for each in islice(repairing, 1))
    use.add_songs(song("song-6"))
    assert use.delete_song("song-6")
    del repairing
    examined(storage, repair=True)
    assert examined(storage) == []
    assert contents(use) == before


@clause("MNT-1", "MNT-4")
@requires("maintenance")
def test_repairing_beside_writers(use: StorageUser, storage: Storage, rounds: int) -> None:
    """While others rate, add, change and delete songs, repairing finds nothing wrong, and loses and repeats nothing."""
    hot = [f"song-{n}" for n in range(4)]
    use.add_many([song(each) for each in hot])
    ended = threading.Event()
    findings: list[Finding] = []

    def repair() -> None:
        while not ended.is_set():
            findings.extend(examined(storage, repair=True))

    def write(who: int) -> list[str]:
        written = []
        for n in range(10 * rounds):
            each = rating(f"rating-{who}-{n:04d}", song_id=hot[(who + n) % 4], value=n % 5 + 1, key=f"{who}/{n}")
            written += [each.id for work in each_of(use.rate, [each]) if work().rating_id == each.id]
            other = song(f"song-{who}-{n}", title=f"{who} {n}")
            for step in (
                partial(use.add_songs, other),
                partial(use.replace_song, next_version(other, title=f"again {who} {n}", level=n % 10)),
                partial(use.delete_song, other.id),
            )[: n % 4]:
                for work in each_of(lambda do: do(), [step]):
                    work()
        return written

    repairing = threading.Thread(target=repair)
    repairing.start()
    try:
        written = [each for ids in returned(race([partial(write, who) for who in range(6)])) for each in ids]
    finally:
        ended.set()
        repairing.join()
    assert findings == []
    stored = [event for each in hot for event in use.events(each)]
    assert sorted(event.id for event in stored) == sorted(written)
    for each in hot:
        assert use.stats(each) == RatingStats.of(event.value for event in use.events(each))
    assert examined(storage) == []


@clause("MNT-6")
@requires("maintenance")
def test_versions(storage: Storage) -> None:
    """There are versions to tell, and neither names nor versions are empty."""
    told = cast("Maintenance", storage).versions()
    assert told
    assert all(name and version for name, version in told.items())


@clause("MNT-6")
@requires("maintenance")
def test_maintenance_of_a_closed_storage(storage: Storage) -> None:
    """A closed storage is neither examined nor repaired."""
    storage.close()
    with pytest.raises(StorageClosed):
        cast("Maintenance", storage).versions()
    for repair in (False, True):
        with pytest.raises(StorageClosed):
            examined(storage, repair=repair)
