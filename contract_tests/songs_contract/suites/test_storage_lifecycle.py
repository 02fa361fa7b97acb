"""Opening, preparing, closing."""

import multiprocessing
import os
import threading
from contextlib import suppress
from dataclasses import asdict

import pytest

from songs.errors import OutcomeUnknown, StorageClosed, StorageInUse, StorageUnavailable, Unavailable
from songs.model import SongIdentity
from songs.ports.coherence import CoherenceRepository
from songs.ports.maintenance import Maintenance
from songs.ports.ratings import RatingRepository
from songs.ports.sessions import Rotation, SessionRepository
from songs.ports.songs import SongRepository
from songs.ports.storage import Scope, Storage, StorageCapabilities, UnitOfWork
from songs.ports.users import UserRepository
from songs_contract.harness.driver import StorageUser, contents, fill, race
from songs_contract.harness.subject import Subject
from songs_contract.harness.timing import CHILD_S
from songs_contract.law import builds_on, clause, requires
from songs_contract.models.samples import LATER, rating, song
from songs_plugins import Port

PORT = Port.STORAGE

OPEN_S = 3.0
"""The deadline of a unit that is open while its storage is closed."""


@clause("STO-1")
def test_a_storage_begins_closed(subject: Subject) -> None:
    """Building a storage does not open it."""
    storage: Storage = subject.build()
    with pytest.raises(StorageClosed), storage.unit_of_work(Scope.READ, deadline=subject.deadline()):
        pass
    storage.close()


@clause("STO-1", "STO-2")
@builds_on("RAT-1")
def test_opening_and_preparing_again(use: StorageUser, storage: Storage) -> None:
    """Opening an open storage, and preparing a prepared one, leave its data alone."""
    use.add_songs(song())
    use.rate(rating())
    storage.open()
    storage.prepare()
    storage.prepare()
    assert use.song() == song()
    assert len(use.events()) == 1


@clause("STO-2")
@requires("shared")
def test_two_that_prepare_at_once(subject: Subject) -> None:
    """Storage objects that prepare one place at the same moment all succeed."""
    storages: list[Storage] = [subject.open() for _ in range(4)]
    assert race([storage.prepare for storage in storages]) == [None] * 4
    StorageUser(storages[0], subject).add_songs(song())
    assert StorageUser(storages[3], subject).song() == song()


@clause("STO-11", "STO-17")
@requires("durable")
def test_data_outlive_the_object(use: StorageUser, storage: Storage, subject: Subject) -> None:
    """All that was written, changed and deleted is as it was after closing and opening, in this object and another."""
    fill(use)
    kept = contents(use)
    storage.close()
    storage.open()
    storage.prepare()
    assert contents(use) == kept
    storage.close()
    other = use.on(subject.storage())
    assert contents(other) == kept
    again = rating("another", song_id="song-2", value=2, key="key-1")
    assert other.rate(again).rating_id == "rating-01", "the key is forgotten"
    assert other.rotate("hash-1", "hash-2", LATER) is Rotation.ROTATED, "the rotation is forgotten"


def close_in_a_child(storage: Storage) -> None:
    """Close a storage in a child that is forked off."""
    child = multiprocessing.get_context("fork").Process(target=storage.close)
    child.start()
    child.join(CHILD_S)
    ended = not child.is_alive()
    child.kill()
    child.join()
    assert ended, "close did not return in the child"


@clause("STO-17")
@builds_on("SNG-9")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="declared unsupported: fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_closing_in_a_forked_child(use: StorageUser, storage: Storage) -> None:
    """What a child closes that was forked off stays open for its parent."""
    use.add_songs(song())
    assert use.song() == song()
    close_in_a_child(storage)
    use.add_songs(song("song-2"))
    assert use.find() == ["song-1", "song-2"]


@clause("STO-12", "STO-17")
@requires("durable", "not shared")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="declared unsupported: fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_second_opener_when_a_forked_child_closed(storage: Storage, subject: Subject) -> None:
    """What is the parent's alone stays so."""
    close_in_a_child(storage)
    with pytest.raises(StorageInUse):
        subject.open()


@clause("STO-17")
@builds_on("SNG-4")
def test_closing_while_units_are_open(use: StorageUser, storage: Storage, subject: Subject) -> None:
    """It returns though they are open; what they write is kept where that was acknowledged, and else refused."""
    wrote, closed = threading.Event(), threading.Event()

    def write() -> bool:
        try:
            with storage.unit_of_work(Scope.WRITE_ONE, deadline=subject.deadline(OPEN_S)) as unit:
                unit.songs.add(song("song-2"))
                wrote.set()
                in_time = closed.wait(OPEN_S + CHILD_S)
        finally:
            wrote.set()
        assert in_time, "close waits for a unit beyond its deadline"
        return True

    def close() -> bool:
        wrote.wait(CHILD_S)
        storage.close()
        closed.set()
        return True

    use.add_songs(song())
    outcomes: list[bool | Exception] = []
    with suppress(Unavailable), storage.unit_of_work(Scope.READ, deadline=subject.deadline(OPEN_S)) as reading:
        assert reading.songs.get("song-1") == song()
        outcomes += race([write, close])
        reading.songs.get("song-1")
    assert outcomes, "the unit that reads was refused"
    assert outcomes[1] is True, outcomes[1]
    assert outcomes[0] is True or isinstance(outcomes[0], Unavailable), repr(outcomes[0])
    storage.open()
    storage.prepare()
    kept = use.song("song-2") is not None
    if subject.declares("durable") and not isinstance(outcomes[0], OutcomeUnknown):
        assert kept is (outcomes[0] is True)
    use.add_songs(song("song-3"))
    assert use.song("song-3") == song("song-3")


@clause("STO-18")
def test_the_capabilities_are_declared(storage: Storage, subject: Subject) -> None:
    """Descriptor and open storage declare what they can do, the storage nothing that the descriptor does not."""
    hoped, found = subject.spec.capabilities, storage.capabilities
    assert isinstance(hoped, StorageCapabilities)
    assert isinstance(found, StorageCapabilities)
    assert {name for name, has in asdict(found).items() if has and not getattr(hoped, name)} == set()
    assert found.maintenance is isinstance(storage, Maintenance)


@clause("STO-16")
@builds_on("SNG-9")
def test_ping(use: StorageUser, storage: Storage, subject: Subject) -> None:
    """An open storage answers, and nothing changes."""
    storage.ping(deadline=subject.deadline())
    assert use.find() == []


@clause("STO-16")
def test_ping_of_a_closed_storage(storage: Storage, subject: Subject) -> None:
    """A storage that is not open does not claim to answer."""
    storage.close()
    with pytest.raises(StorageClosed):
        storage.ping(deadline=subject.deadline())


@clause("STO-3")
def test_the_repositories_are_complete(use: StorageUser) -> None:
    """Each repository of a unit has every method of its port."""

    def check(unit: UnitOfWork) -> None:
        assert isinstance(unit, UnitOfWork)
        assert isinstance(unit.songs, SongRepository)
        assert isinstance(unit.ratings, RatingRepository)
        assert isinstance(unit.users, UserRepository)
        assert isinstance(unit.sessions, SessionRepository)
        assert isinstance(unit.coherence, CoherenceRepository)
        assert unit.songs.identify([SongIdentity("a", "b", song().released)]) == {}

    use.read(check)


@clause("STO-2")
@builds_on("SNG-9")
def test_before_preparing(subject: Subject) -> None:
    """What comes too early works or is refused as an outage, and preparing succeeds all the same."""
    storage: Storage = subject.open()
    use = StorageUser(storage, subject)
    kept = []
    try:
        storage.ping(deadline=subject.deadline())
        assert use.find() == []
        use.add_songs(song())
        kept = ["song-1"]
    except StorageUnavailable:
        pass
    storage.prepare()
    use.add_songs(song("song-2"))
    assert use.find() == [*kept, "song-2"]
