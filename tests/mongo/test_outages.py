"""A server that goes away at any command of any write, one that stands still, and several who prepare at once."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from pydantic import SecretStr
from pymongo.errors import AutoReconnect

from songs.application.runner import UnitRunner
from songs.errors import OutcomeUnknown, SongsError, StorageUnavailable, TransientConflict
from songs.model import Song
from songs.ports.clock import Clock, Deadline
from songs.ports.coherence import CoherenceRecord
from songs.ports.storage import Scope, UnitOfWork
from songs.query import SongFilter
from songs_contract.models.samples import FILLING, WRITES
from songs_mongo import MongoSettings, MongoStorage
from songs_mongo.schema import INDEXES, SONGS, UNIQUE
from songs_mongo.testing import EphemeralServer
from songs_mongo.unit import Unit

Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]
MOST = 20
"""More commands than any of these writes takes."""


def everything(unit: UnitOfWork) -> list[object]:
    """Return all that the storage holds, by its ports."""
    songs = unit.songs.find(SongFilter(), limit=99)
    return [
        songs,
        [(unit.ratings.stats(song.id), unit.ratings.of_song(song.id, limit=99)) for song in songs],
        unit.users.find(limit=99),
        [unit.sessions.get(session_id) for session_id in ("T1", "T2")],
        unit.coherence.read(),
    ]


@pytest.fixture
def unit(storage: MongoStorage, deadline: Callable[[float], Deadline]) -> Units:
    """Begins a unit of work of `storage` that has 10 seconds."""
    return lambda scope: storage.unit_of_work(scope, deadline=deadline(10))


@pytest.fixture
def refill(storage: MongoStorage, unit: Units) -> Callable[[], list[object]]:
    """Puts there what the operations need, and nothing else; returns all that is there."""

    def fill() -> list[object]:
        database: Any = storage._database
        for name in ("songs", "ratings", "claims", "users", "sessions"):
            database[name].delete_many({})
        database.meta.update_one({"_id": "coherence"}, {"$set": {"epoch": 1, "cache_on": True}})
        for work in FILLING:
            with unit(Scope.WRITE_ONE) as opened:
                work(opened)
        with unit(Scope.READ) as opened:
            return everything(opened)

    return fill


@pytest.fixture
def gone_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, bool], AbstractContextManager[list[int]]]:
    """Has the server gone from the n-th command on, just before or just after it carries that one out."""

    class Gone(AbstractContextManager[list[int]]):
        def __init__(self, at: int, sent: bool) -> None:
            self._at, self._sent, self._count = at, sent, [0]

        def __enter__(self) -> list[int]:
            original, count, at, sent = Unit._run, self._count, self._at, self._sent

            def run(unit: Unit, commands: Any, **how: bool) -> Any:
                def carry_out(database: Any, session: Any) -> Any:
                    count[0] += 1
                    result = commands(database, session) if count[0] < at or (count[0] == at and sent) else None
                    if count[0] >= at:
                        raise AutoReconnect("gone")
                    return result

                return original(unit, carry_out, **how)

            monkeypatch.setattr(Unit, "_run", run)
            return count

        def __exit__(self, *_: object) -> None:
            monkeypatch.undo()

    return Gone


@pytest.mark.parametrize("sent", [False, True])
@pytest.mark.parametrize("name", WRITES)
def test_a_server_that_goes_away_at_any_command(
    name: str, sent: bool, unit: Units, refill: Callable[[], list[object]], gone_at: Any
) -> None:
    """An error that is no unknown outcome means that nothing was kept; the same write again completes it, once."""
    refill()
    with unit(Scope.WRITE_ONE) as opened:
        WRITES[name](opened)
    with unit(Scope.READ) as opened:
        expected = everything(opened)
    for at in range(1, MOST):
        before = refill()
        error: SongsError | None = None
        with gone_at(at, sent) as count:
            try:
                with unit(Scope.WRITE_ONE) as opened:
                    WRITES[name](opened)
            except SongsError as raised:
                error = raised
        with unit(Scope.READ) as opened:
            after = everything(opened)
        assert after in (before, expected) or name == "users.delete"
        if error is None:
            assert after == expected
        elif not isinstance(error, OutcomeUnknown | TransientConflict):
            assert after == before
        with unit(Scope.WRITE_ONE) as opened:
            WRITES[name](opened)
        with unit(Scope.READ) as opened:
            assert everything(opened) == expected
        if count[0] < at:
            break
    assert at < MOST - 1


@pytest.fixture
def standing() -> Iterator[EphemeralServer]:
    """A server of its own, for a test that stops it."""
    server = EphemeralServer()
    yield server
    with contextlib.suppress(ProcessLookupError):
        os.kill(server.pid, signal.SIGCONT)
    server.stop()


def test_a_server_that_stands_still(
    standing: EphemeralServer,
    clock: Clock,
    song: Callable[..., Song],
    rating: Any,
    deadline: Callable[[float], Deadline],
) -> None:
    """Reads and writes end with an error, and nothing hangs; when it goes on, all works and nothing counts twice."""
    storage = MongoStorage(MongoSettings(url=SecretStr(standing.url)), clock, connections=4)
    storage.open()
    storage.prepare()
    runner = UnitRunner(storage, clock, max_calls=4)
    runner.write(lambda unit: unit.songs.add(song()), deadline=deadline(10))
    os.kill(standing.pid, signal.SIGSTOP)
    with pytest.raises(SongsError) as read:
        runner.read(lambda unit: unit.ratings.stats("S1"), deadline=deadline(0.6))
    with pytest.raises(OutcomeUnknown):
        runner.write(lambda unit: unit.ratings.add(rating("R1")), deadline=deadline(0.6))
    os.kill(standing.pid, signal.SIGCONT)
    receipt = runner.write(lambda unit: unit.ratings.add(rating("R1")), deadline=deadline(30))
    assert receipt.stats.count == 1
    assert not isinstance(read.value, OutcomeUnknown)
    standing.stop()
    with pytest.raises(StorageUnavailable):
        runner.read(lambda unit: unit.ratings.stats("S1"), deadline=deadline(0.6))
    storage.close()


def test_several_prepare_at_once(server_url: str, clock: Clock, storage: MongoStorage) -> None:
    """Each succeeds, and what they make is made once."""
    database: Any = storage._database
    for name in database.list_collection_names():
        database.drop_collection(name)
    settings = MongoSettings(url=SecretStr(server_url), database=database.name)
    start = threading.Barrier(4)
    failed: list[Exception] = []

    def prepare() -> None:
        other = MongoStorage(settings, clock, connections=2)
        other.open()
        start.wait(30)
        try:
            other.prepare()
        except SongsError as error:
            failed.append(error)
        other.close()

    threads = [threading.Thread(target=prepare) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert database.meta.count_documents({"_id": "coherence"}) == 1
    wanted = {members[0] for (collection, _), members in {**UNIQUE, **INDEXES}.items() if collection == SONGS}
    assert wanted <= {index["key"][0][0] for index in database[SONGS].index_information().values()}
    with storage.unit_of_work(Scope.READ, deadline=Deadline.after(clock, 10)) as unit:
        assert unit.coherence.read() == CoherenceRecord(1, cache_on=True)
