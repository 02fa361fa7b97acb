"""Data that are the same for everybody, that nobody but `prepare` begins, and that may be taken away."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from songs.errors import OutcomeUnknown, StorageClosed, StorageUnavailable
from songs.ports.storage import IdentifiedStorage, Scope, Storage
from songs_contract.harness.driver import StorageUser
from songs_contract.harness.subject import Subject, place
from songs_contract.law import builds_on, clause
from songs_contract.models.samples import song
from songs_plugins import Port

PORT = Port.STORAGE


def identified(storage: Storage) -> IdentifiedStorage:
    """Return the storage as what it is besides; skip the test where it is no such thing."""
    if not isinstance(storage, IdentifiedStorage):
        pytest.skip("declared unsupported: IdentifiedStorage")
    return storage


def refuse(subject: Subject, identity: str | None) -> None:
    """Assert that data of this identity are not found, and that the storage is closed then."""
    storage: Storage = subject.build()
    with pytest.raises(StorageUnavailable):
        identified(storage).open_existing(identity)
    with pytest.raises(StorageClosed), storage.unit_of_work(Scope.READ, deadline=subject.deadline()):
        pass
    storage.close()


@clause("STO-19", "STO-20")
def test_only_prepare_begins_data(subject: Subject) -> None:
    """However a place is opened that was never prepared, there is nothing in it to be found afterwards."""
    for identity in (None, "another"):
        refuse(subject, identity)
    opened: Storage = subject.open()
    opened.close()
    refuse(subject, None)
    prepared = subject.storage()
    identity = identified(prepared).identity()
    prepared.close()
    found: Storage = subject.build()
    identified(found).open_existing(identity)
    assert StorageUser(found, subject).find() == []


@clause("STO-19", "STO-20")
@builds_on("SNG-9")
def test_the_same_data_are_found(use: StorageUser, storage: Storage, subject: Subject) -> None:
    """The identity stays, through every object and another `prepare`, and by it the data are found."""
    identity = identified(storage).identity()
    assert identity
    use.add_songs(song())
    storage.prepare()
    assert identified(storage).identity() == identity
    storage.close()
    for wanted in (identity, None):
        other: Storage = subject.build()
        identified(other).open_existing(wanted)
        assert identified(other).identity() == identity
        assert use.on(other).find() == ["song-1"]
        other.close()
    again = subject.storage()
    assert identified(again).identity() == identity


@clause("STO-20")
def test_other_data_are_refused(storage: Storage, subject: Subject) -> None:
    """Data of another identity are not taken for those that are looked for."""
    identified(storage)
    storage.close()
    refuse(subject, "another")
    refuse(subject, "")


@clause("STO-19")
def test_other_data_are_told_apart(storage: Storage, subject: Subject, tmp_path: Path) -> None:
    """What was created elsewhere has another identity."""
    identity = identified(storage).identity()
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    with place(subject.target, subject.spec, folder) as other:
        assert identified(other.storage()).identity() != identity


@clause("STO-21")
@builds_on("SNG-9")
def test_data_that_are_taken_away(use: StorageUser, storage: Storage, subject: Subject) -> None:
    """While they are away nothing is acknowledged and `ping` raises; then they are back as they were, and taken up."""
    if not subject.spec.losses:
        pytest.skip("declared unsupported: AdapterSpec.losses")
    kept: list[str] = []
    for number, (name, losing) in enumerate(subject.spec.losses.items()):
        use.add_songs(song(f"song-{number}"))
        kept.append(f"song-{number}")
        with losing(subject.settings):
            for attempt in range(3):
                assert fails(partial(use.add_songs, song(f"unheard-of-{number}-{attempt}"))), f"{name}: acknowledged"
            assert fails(partial(storage.ping, deadline=subject.deadline())), f"{name}: it says that it answers"
        storage.ping(deadline=subject.deadline())
        assert use.find() == kept, f"{name}: the data are not those that were there before"


def fails(call: Callable[[], object]) -> bool:
    """Return whether a call raises that the storage is out of reach."""
    try:
        call()
    except (StorageUnavailable, OutcomeUnknown):
        return True
    return False
