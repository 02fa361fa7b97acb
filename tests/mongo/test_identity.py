"""Data that are dropped under an open storage, or have others in their place."""

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from songs.errors import DuplicateSong, NotFound, OutcomeUnknown, SongsError, StorageUnavailable
from songs.model import Role, Session, Song, User
from songs.ports.clock import Clock, Deadline
from songs.ports.sessions import Rotation
from songs.ports.storage import Scope, UnitOfWork
from songs_contract.models.samples import next_version
from songs_mongo import MongoSettings, MongoStorage
from songs_mongo.testing import LOSSES, dropped

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]


def user(user_id: str) -> User:
    """Return a user."""
    return User(
        id=user_id,
        name=f"name-{user_id}",
        password_hash="x" * 60,
        role=Role.USER,
        created_at=NOW,
    )


def session(session_id: str) -> Session:
    """Return a session of U1."""
    return Session(
        id=session_id,
        user_id="U1",
        current_hash="a" * 64,
        created_at=NOW,
        rotated_at=NOW,
        expires_at=NOW + timedelta(days=1),
    )


@pytest.fixture
def unit(storage: MongoStorage, deadline: Callable[[float], Deadline]) -> Units:
    """Begins a unit of work of `storage` that has 5 seconds."""
    return lambda scope: storage.unit_of_work(scope, deadline=deadline(5))


@pytest.fixture
def another(storage: MongoStorage, server_url: str, clock: Clock) -> Iterator[Callable[[], MongoStorage]]:
    """Makes further storage objects for the database of `storage`, as processes have them."""
    made: list[MongoStorage] = []

    def make() -> MongoStorage:
        settings = MongoSettings(url=SecretStr(server_url), database=storage.database.name)
        made.append(MongoStorage(settings, clock, connections=2))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def writes(song: Callable[..., Song], rating: Any) -> dict[str, Callable[[UnitOfWork], object]]:
    """Each write of the ports, by name, with what would be acknowledged; each of something new."""

    def new() -> str:
        return f"N{secrets.token_hex(8)}"

    def rotate(unit: UnitOfWork) -> object:
        rotation = unit.sessions.rotate("SE1", presented_hash="a" * 64, next_hash="b" * 64, at=NOW, grace_s=10.0)
        return None if rotation is Rotation.ROTATED else pytest.fail("no rotation") if rotation is None else refuse()

    def refuse() -> object:
        raise NotFound

    return {
        "songs.add": lambda unit: unit.songs.add(song(new())),
        "songs.add_many": lambda unit: unit.songs.add_many([song(new()), song(new())]),
        "songs.replace": lambda unit: unit.songs.replace(next_version(song(), title="Other"), if_version=1),
        "songs.delete": lambda unit: unit.songs.delete("S1"),
        "ratings.add": lambda unit: unit.ratings.add(rating(new())),
        "ratings.add with a key": lambda unit: unit.ratings.add(rating(new(), key=new())),
        "users.add": lambda unit: unit.users.add(user(new())),
        "users.delete": lambda unit: unit.users.delete("U1"),
        "sessions.add": lambda unit: unit.sessions.add(session(new())),
        "sessions.rotate": rotate,
        "sessions.delete": lambda unit: unit.sessions.delete("SE1"),
        "sessions.delete_of_user": lambda unit: unit.sessions.delete_of_user("U1", limit=9),
        "coherence.advance": lambda unit: unit.coherence.advance(expected_epoch=1, cache_on=False),
    }


WRITES = (
    *("songs.add", "songs.add_many", "songs.replace", "songs.delete", "ratings.add", "ratings.add with a key"),
    *("users.add", "users.delete", "sessions.add", "sessions.rotate", "sessions.delete"),
    *("sessions.delete_of_user", "coherence.advance"),
)


@pytest.mark.parametrize("name", WRITES)
def test_no_write_to_a_dropped_database_is_acknowledged(
    name: str, storage: MongoStorage, unit: Units, writes: Any, song: Callable[..., Song]
) -> None:
    """Whichever comes first; once that is noticed, no other changes anything, and reads fail too. Then all is back."""
    with unit(Scope.WRITE_ONE) as opened:
        opened.songs.add(song())
    for collection, document in (("users", user("U1")), ("sessions", session("SE1"))):
        with unit(Scope.WRITE_ONE) as opened:
            getattr(opened, collection).add(document)
    client: Any = storage._client
    with dropped(client, storage.database.name) as database:
        with pytest.raises(SongsError), unit(Scope.WRITE_ONE) as opened:
            writes[name](opened)
        with pytest.raises((StorageUnavailable, OutcomeUnknown)), unit(Scope.WRITE_ONE) as opened:
            opened.users.add(user("U2"))
        written = {
            each: database[each].count_documents({"_id": {"$gt": ""}}) for each in database.list_collection_names()
        }
        for each in writes.values():
            with pytest.raises(StorageUnavailable), unit(Scope.WRITE_ONE) as opened:
                each(opened)
        with pytest.raises(StorageUnavailable), unit(Scope.READ) as opened:
            opened.songs.get("S1")
        assert written == {
            each: database[each].count_documents({"_id": {"$gt": ""}}) for each in database.list_collection_names()
        }
    with unit(Scope.WRITE_ONE) as opened:
        writes[name](opened)


@pytest.mark.parametrize("name", ["songs.add", "songs.add_many", "users.add", "sessions.add"])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_that_nobody_has_noticed(
    loss: str, name: str, storage: MongoStorage, unit: Units, writes: Any, another: Callable[[], MongoStorage]
) -> None:
    """Other data are not taken for these by an insertion, `ping`, or a worker that begins in the meantime."""
    identity = storage.identity()
    with LOSSES[loss](storage._settings):
        with pytest.raises((StorageUnavailable, OutcomeUnknown)), unit(Scope.WRITE_ONE) as opened:
            writes[name](opened)
        with pytest.raises(StorageUnavailable):
            another().open_existing(identity)
    another().open_existing(identity)
    with unit(Scope.WRITE_ONE) as opened:
        writes[name](opened)


def test_who_is_asked_first_notices(storage: MongoStorage, unit: Units, deadline: Callable[[float], Deadline]) -> None:
    """A readiness check that found other data keeps ratings of songs of the same ids from being acknowledged."""
    with LOSSES["the database, for another one"](storage._settings):
        with pytest.raises(StorageUnavailable, match="other data"):
            storage.ping(deadline=deadline(5))
        with pytest.raises(StorageUnavailable, match="other data"), unit(Scope.WRITE_ONE) as opened:
            opened.songs.delete("S1")
    storage.ping(deadline=deadline(5))


def test_a_refusal_creates_nothing(server_url: str, clock: Clock, storage: MongoStorage) -> None:
    """A database that is not there is not there afterwards."""
    name = f"songs-{secrets.token_hex(4)}"
    refused = MongoStorage(MongoSettings(url=SecretStr(server_url), database=name), clock, connections=1)
    for identity in (None, storage.identity()):
        with pytest.raises(StorageUnavailable, match=r"songs prepare|are gone"):
            refused.open_existing(identity)
    client: Any = storage._client
    assert client[name].list_collection_names() == []


def test_two_who_prepare_at_once(storage: MongoStorage, another: Callable[[], MongoStorage]) -> None:
    """They agree on the identity."""
    client: Any = storage._client
    for _ in range(5):
        client.drop_database(storage.database.name)
        both = [another() for _ in range(4)]
        for each in both:
            each.open()
        together = threading.Barrier(len(both))

        def prepare(each: MongoStorage, together: threading.Barrier = together) -> None:
            together.wait()
            each.prepare()

        threads = [threading.Thread(target=prepare, args=(each,)) for each in both]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({each.identity() for each in both}) == 1


def test_a_database_of_an_older_release(
    storage: MongoStorage, unit: Units, another: Callable[[], MongoStorage], song: Callable[..., Song]
) -> None:
    """It has no identity yet: workers wait until it was prepared, which gives it one and keeps all data."""
    with unit(Scope.WRITE_ONE) as opened:
        opened.songs.add(song())
    storage.database.meta.update_one({"_id": "schema"}, {"$unset": {"identity": ""}})
    worker = another()
    with pytest.raises(StorageUnavailable, match="songs prepare"):
        worker.open_existing()
    storage.prepare()
    identity = storage.identity()
    storage.prepare()
    worker.open_existing(identity)
    assert worker.identity() == storage.identity() == identity
    with unit(Scope.READ) as opened:
        assert opened.songs.get("S1") is not None


def test_data_begun_anew_on_purpose(storage: MongoStorage, unit: Units, song: Callable[..., Song]) -> None:
    """A storage that prepares a dropped database goes on with the new data, which have their unique indexes."""
    before = storage.identity()
    client: Any = storage._client
    client.drop_database(storage.database.name)
    with suppress(SongsError), unit(Scope.WRITE_ONE) as opened:
        opened.songs.add(song())
    storage.prepare()
    assert storage.identity() != before
    with unit(Scope.WRITE_ONE) as opened:
        opened.songs.add(song("S2"))
    with pytest.raises(DuplicateSong), unit(Scope.WRITE_ONE) as opened:
        opened.songs.add(song("S3", title="Song S2"))
