"""Answers of more documents than a server puts into one batch by itself."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from songs.model import User
from songs.ports.clock import Clock, Deadline
from songs.ports.storage import Scope, UnitOfWork
from songs.query import SongFilter
from songs_contract.models.samples import song
from songs_mongo import MongoSettings, MongoStorage, encoding

Document = dict[str, Any]
Work = Callable[[UnitOfWork], object]
BY_ITSELF = 101
"""How many documents MongoDB's first answer to a find or an aggregate holds where no size is asked for."""
NOW = datetime(2026, 1, 1, tzinfo=UTC)
COUNT = 1000
SONG = song("S1")
DOCUMENTS: dict[str, Document] = {
    "songs": encoding.new_song(SONG, "b"),
    "ratings": {"song": "S1", "seq": 0, "user": "U1", "value": 3, "at": 0, "key": None},
    "users": encoding.user_document(User(id="U1", name="someone", password_hash="x", created_at=NOW)),
    "sessions": {},
}
IDS = {"songs": "S", "ratings": "b/R", "users": "U", "sessions": "T"}
READS: dict[str, Work] = {
    "songs.find": lambda unit: unit.songs.find(SongFilter(), limit=COUNT),
    "songs.find, a later page": lambda unit: unit.songs.find(SongFilter(), limit=COUNT, offset=7),
    "songs.find by text": lambda unit: unit.songs.find(SongFilter(text="queen"), limit=COUNT),
    "songs.identify": lambda unit: unit.songs.identify([song(f"S{n:04d}").identity for n in range(COUNT)]),
    "ratings.of_song": lambda unit: unit.ratings.of_song("S1", limit=COUNT),
    "users.find": lambda unit: unit.users.find(limit=COUNT),
}
WRITES: dict[str, Work] = {
    "songs.add_many": lambda unit: unit.songs.add_many([song(f"S{n:04d}") for n in range(COUNT)]),
    "sessions.delete_expired": lambda unit: unit.sessions.delete_expired(at=NOW, limit=COUNT),
}


def batched(command: Document) -> Document:
    """Return the first batch of `COUNT` documents as MongoDB does."""
    of = command[next(iter(command))]
    asked = command.get("cursor", command)
    count = min(command.get("limit") or command.get("pipeline", [{}])[0].get("$sample", {}).get("size") or COUNT, COUNT)
    size = asked.get("batchSize", BY_ITSELF)
    ids = (f"{IDS[of]}{n:04d}" for n in range(min(size, count)))
    documents = [{**DOCUMENTS[of], "_id": each} for each in ids]
    ended = count < size or len(documents) == command.get("limit")
    return {"ok": 1, "cursor": {"id": 0 if ended else 77, "ns": f"songs.{of}", "firstBatch": documents}}


def rest(command: Document) -> Document:
    """Return the rest, none of them."""
    return {"ok": 1, "cursor": {"id": 0, "ns": f"songs.{command['collection']}", "nextBatch": []}}


@pytest.fixture
def run(scripted: Any, clock: Clock, deadline: Callable[[float], Deadline]) -> Iterator[Any]:
    """Runs a unit on such a server; returns the commands that it took."""
    server = scripted(replicated=False)
    storage = MongoStorage(MongoSettings(url=SecretStr(server.url)), clock, connections=2)
    storage.open()
    server.answers |= {"find": batched, "aggregate": batched, "getMore": rest}

    def one(work: Work, scope: Scope) -> list[str]:
        server.seen.clear()
        with storage.unit_of_work(scope, deadline=deadline(20)) as unit:
            work(unit)
        seen: list[str] = server.seen
        return seen

    yield one
    storage.close()


@pytest.mark.parametrize("name", READS)
def test_a_long_answer_is_one_round_trip(name: str, run: Callable[[Work, Scope], list[str]]) -> None:
    """However many documents a read returns."""
    sent = run(READS[name], Scope.READ)
    assert "find" in sent
    assert "getMore" not in sent


@pytest.mark.parametrize("name", WRITES)
def test_a_write_that_reads_much_first(name: str, run: Callable[[Work, Scope], list[str]]) -> None:
    """It reads in one round trip too."""
    assert "getMore" not in run(WRITES[name], Scope.WRITE_ONE)
