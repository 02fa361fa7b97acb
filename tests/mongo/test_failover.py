"""Reads of a new primary, which does not know yet what the majority has."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bson import ObjectId
from pydantic import SecretStr

from songs.errors import StorageUnavailable
from songs.model import Song
from songs.ports.clock import Clock, Deadline
from songs.ports.storage import Scope
from songs_mongo import MongoSettings, MongoStorage, encoding

Document = dict[str, Any]
Read = Callable[[], str | None]


class Primary:
    """What a server says in one term: a song as it was before the failover, until it was read linearizably."""

    def __init__(self, server: Any, song: Song) -> None:
        self._server = server
        self._song = song
        self._hello: Callable[[], Document] = server.hello
        self.url = f"{server.url}&heartbeatFrequencyMS=500"
        self.knows = True
        self.levels: list[str | None] = []

    def find(self, command: Document) -> Document:
        """Answer a read of the song, or of the record that is read linearizably."""
        level = command.get("readConcern", {}).get("level")
        self.levels.append(level)
        if level == "linearizable":
            self.knows = True
        title = "after" if self.knows else "before"
        song = encoding.new_song(self._song, "b")
        return {"ok": 1, "cursor": {"id": 0, "ns": "songs.x", "firstBatch": [{**song, "title": title}]}}

    def elect(self) -> None:
        """Begin a new term, which knows nothing."""
        self.knows = False
        elected = {"electionId": ObjectId(), "setVersion": 2}
        self._server.hello = lambda: {**self._hello(), **elected}


@pytest.fixture
def primary(scripted: Any, song: Callable[..., Song]) -> Primary:
    """A server that can be elected anew."""
    server = scripted()
    primary = Primary(server, song())
    primary.elect()
    primary.knows = True
    server.answers["find"] = primary.find
    return primary


@pytest.fixture
def storage(primary: Any, clock: Clock) -> Iterator[MongoStorage]:
    """A storage on it."""
    storage = MongoStorage(MongoSettings(url=SecretStr(primary.url)), clock, connections=2)
    storage.open()
    yield storage
    storage.close()


@pytest.fixture
def read(storage: MongoStorage, deadline: Callable[[float], Deadline]) -> Read:
    """Reads the song's title."""

    def look() -> str | None:
        with storage.unit_of_work(Scope.READ, deadline=deadline(5)) as unit:
            song = unit.songs.get("S1")
        return song.title if song else None

    return look


def known(storage: MongoStorage, clock: Clock, before: object) -> None:
    """Wait until the driver knows of the election."""
    assert storage._primaries is not None
    ends_at_s = clock.monotonic_s() + 20
    while storage._primaries.current == before and clock.monotonic_s() < ends_at_s:
        clock.sleep(0.01)


def test_a_read_of_a_new_primary(primary: Any, storage: MongoStorage, read: Read, clock: Clock) -> None:
    """The first one after an election follows a linearizable one, and shows what was acknowledged."""
    assert storage._primaries is not None
    for _ in range(3):
        before = storage._primaries.current
        primary.elect()
        known(storage, clock, before)
        primary.levels.clear()
        assert [read() for _ in range(3)] == ["after"] * 3
        assert primary.levels == ["linearizable", "majority", "majority", "majority"]


def test_an_election_during_a_read(primary: Any, storage: MongoStorage, read: Read, clock: Clock) -> None:
    """A read that was answered by one primary and begun with another is made again."""
    assert storage._primaries is not None
    plain, before = primary.find, storage._primaries.current

    def find(command: Document) -> Document:
        primary._server.answers["find"] = plain
        primary.elect()
        known(storage, clock, before)
        found: Document = plain(command)
        return found

    primary._server.answers["find"] = find
    primary.levels.clear()
    assert read() == "after"
    assert primary.levels == ["majority", "linearizable", "majority"]


@pytest.mark.parametrize(("code", "expected"), [(72, "before"), (9, "before"), (13, None)])
def test_a_primary_that_cannot_be_asked(
    code: int, expected: str | None, primary: Any, storage: MongoStorage, read: Read, clock: Clock
) -> None:
    """One that does not know linearizable reads is believed; whatever else is wrong is told."""
    assert storage._primaries is not None
    plain = primary.find

    def find(command: Document) -> Document:
        if command.get("readConcern", {}).get("level") == "linearizable":
            return {"ok": 0, "code": code, "codeName": "X", "errmsg": "no"}
        found: Document = plain(command)
        return found

    primary._server.answers["find"] = find
    before = storage._primaries.current
    primary.elect()
    known(storage, clock, before)
    if expected is None:
        with pytest.raises(StorageUnavailable):
            read()
    else:
        assert read() == expected
