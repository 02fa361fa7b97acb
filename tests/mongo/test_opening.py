"""Settings, opening and preparing."""

import json
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from songs.errors import StorageMismatch, StorageUnavailable
from songs.model import Song
from songs.ports.clock import Clock, Deadline
from songs.ports.coherence import CoherenceRecord
from songs.ports.storage import Scope
from songs.query import SongFilter
from songs.text import FOLD_VERSION
from songs_mongo import MongoSettings, MongoStorage
from songs_mongo.plugin import TEST_URL, sandbox
from songs_mongo.schema import INDEXES, META, RATINGS, SHARDED, UNIQUE


@pytest.mark.parametrize(
    "url", ["", "redis://localhost/", "mongodb://me:s3c/ret@host/", "mongodb://me:s3c@ret@host/", "mongodb://h:s3cret/"]
)
def test_a_url_that_is_none(url: str) -> None:
    """It is refused, with what it should look like and without any part of it."""
    with pytest.raises(ValidationError) as caught:
        MongoSettings(url=SecretStr(url))
    (problem,) = caught.value.errors(include_input=False, include_context=False)
    assert "mongodb://" in problem["msg"]
    assert "s3c" not in problem["msg"]


@pytest.mark.parametrize("name", ["", "a.b", "a b", "$a", "a/b", "x" * 64])
def test_a_database_name_that_is_none(name: str) -> None:
    """It is refused before a server sees it."""
    with pytest.raises(ValidationError):
        MongoSettings(database=name)


def test_data_of_a_newer_version(server_url: str, clock: Clock, storage: MongoStorage) -> None:
    """It is left alone, and whoever opens it is told what to do."""
    database: Any = storage._database
    database.meta.update_one({"_id": "schema"}, {"$set": {"version": 99}})
    settings = MongoSettings(url=SecretStr(server_url), database=database.name)
    with pytest.raises(StorageMismatch, match="version 99"):
        MongoStorage(settings, clock, connections=1).open()
    with pytest.raises(StorageMismatch):
        storage.prepare()


def test_folds_of_another_version(
    storage: MongoStorage, song: Callable[..., Song], deadline: Callable[[float], Deadline]
) -> None:
    """Preparing leaves them; repairing folds the songs anew, so that they are found again."""
    with storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline(5)) as unit:
        unit.songs.add(song("S1", title="Straße"))
    database: Any = storage._database
    database.songs.update_one({"_id": "S1"}, {"$set": {"title_fold": "x", "grams": ["x"]}})
    database.meta.update_one({"_id": "schema"}, {"$set": {"fold": "0/0"}})
    storage.prepare()
    assert database.meta.find_one({"_id": "schema"})["fold"] == "0/0"
    assert [found.mended for found in storage.examine(repair=True)] == [True]
    with storage.unit_of_work(Scope.READ, deadline=deadline(5)) as unit:
        assert [each.id for each in unit.songs.find(SongFilter(text="strasse"), limit=9)] == ["S1"]
    assert database.meta.find_one({"_id": "schema"})["fold"] == FOLD_VERSION


def test_a_coherence_record_of_an_older_release(storage: MongoStorage, deadline: Callable[[float], Deadline]) -> None:
    """It names no cache; a process of before, which knows no names and still runs, leaves them alone."""
    database: Any = storage._database
    database.meta.update_one({"_id": "coherence"}, {"$set": {"epoch": 7, "cache_on": False}, "$unset": {"cache": 1}})

    def read() -> CoherenceRecord:
        with storage.unit_of_work(Scope.READ, deadline=deadline(5)) as unit:
            return unit.coherence.read()

    assert read() == CoherenceRecord(7, cache_on=False)
    with storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline(5)) as unit:
        unit.coherence.advance(expected_epoch=7, cache_on=False, cache="redis 0 a")
    database.meta.update_one({"_id": "coherence", "epoch": 8}, {"$inc": {"epoch": 1}, "$set": {"cache_on": True}})
    assert read() == CoherenceRecord(9, cache_on=True, cache="redis 0 a")


def test_a_database_that_was_not_prepared(server_url: str, clock: Clock, deadline: Callable[[float], Deadline]) -> None:
    """It can be opened, and is not ready."""
    settings = MongoSettings(url=SecretStr(server_url), database=f"songs-{secrets.token_hex(4)}")
    storage = MongoStorage(settings, clock, connections=1)
    storage.open()
    with pytest.raises(StorageUnavailable, match="songs prepare"):
        storage.ping(deadline=deadline(5))
    storage.close()


def test_an_index_that_takes_long(scripted: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Preparing waits for it, longer than for any other answer."""
    monkeypatch.setattr("songs_mongo.client.LONGEST_CALL_S", 0.2)
    server = scripted()
    storage = MongoStorage(MongoSettings(url=SecretStr(server.url)), clock, connections=2)
    storage.open()

    def build(_: dict[str, Any]) -> dict[str, Any]:
        server.ending.wait(0.6)
        return {"ok": 1}

    server.answers["createIndexes"] = build
    storage.prepare()
    storage.close()
    assert server.seen.count("createIndexes") == len(UNIQUE) + len(INDEXES)


def test_an_index_on_a_server_that_hangs(scripted: Any, clock: Clock, silence: type[Exception]) -> None:
    """Preparing ends with an error where the server answers nothing else either."""
    server = scripted()
    url = f"{server.url}&heartbeatFrequencyMS=500"
    storage = MongoStorage(MongoSettings(url=SecretStr(url)), clock, connections=2)
    storage.open()

    def hang(_: dict[str, Any]) -> dict[str, Any]:
        server.hello = nothing
        return nothing()

    def nothing() -> dict[str, Any]:
        raise silence

    server.answers["createIndexes"] = hang
    started_s = clock.monotonic_s()
    with pytest.raises(StorageUnavailable):
        storage.prepare()
    storage.close()
    assert clock.monotonic_s() - started_s < 25


def test_closing_on_a_server_that_hangs(
    scripted: Any, clock: Clock, silence: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing waits for no server: the driver says goodbye to it, and that is nobody's loss."""
    monkeypatch.setattr("songs_mongo.storage.CLOSING_S", 0.2)
    server = scripted()

    def hang(_: dict[str, Any]) -> dict[str, Any]:
        raise silence

    server.answers["endSessions"] = hang
    storage = MongoStorage(MongoSettings(url=SecretStr(server.url)), clock, connections=1)
    storage.open()
    closing = threading.Thread(target=storage.close, daemon=True)
    closing.start()
    closing.join(15)
    assert not closing.is_alive()


def test_preparing_creates_every_collection(storage: MongoStorage) -> None:
    """One that has no index but the server's own as well; a transaction need not create it."""
    assert {collection for collection, _ in (*UNIQUE, *INDEXES)} | {RATINGS, META} <= set(
        storage.database.list_collection_names()
    )
    storage.prepare()


@pytest.fixture
def sharding(scripted: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A server that takes itself for a router, for sandboxes, and the commands about shards that it was sent."""
    server = scripted(replicated=False)
    hello = server.hello()
    server.hello = lambda: {**hello, "msg": "isdbgrid"}
    server.sharded = []

    def take(command: dict[str, Any]) -> dict[str, Any]:
        server.sharded.append({name: command[name] for name in command if name in {"shardCollection", "key"}})
        return {"ok": 1}

    server.answers["shardCollection"] = take
    monkeypatch.setenv(TEST_URL, server.url)
    return server


def test_a_sandbox_in_a_sharded_cluster(sharding: Any, tmp_path: Path) -> None:
    """Its collections are sharded before anything is in them, as the document says, and dropped at the end."""
    with sandbox(tmp_path) as settings:
        assert sharding.sharded == [
            {"shardCollection": f"{settings.database}.{name}", "key": key} for name, key in SHARDED.items()
        ]
        assert sharding.seen[0] == "enableSharding"
    assert sharding.seen[-1] == "dropDatabase"


def test_a_sandbox_where_there_are_no_shards(sharding: Any, tmp_path: Path) -> None:
    """What takes itself for a router and knows no such command is used as it is."""
    sharding.answers["enableSharding"] = lambda _: {"ok": 0, "code": 59, "errmsg": "no such command"}
    with sandbox(tmp_path):
        assert "shardCollection" not in sharding.seen


def test_the_commands_that_shard_are_told() -> None:
    """For each collection, by the key that the storage needs."""
    told = (Path(__file__).parents[2] / "docs" / "operations" / "mongodb.md").read_text(encoding="utf-8")
    for name, key in SHARDED.items():
        ((member, way),) = key.items()
        assert f'sh.shardCollection("songs.{name}", {{{member}: {json.dumps(way)}}})' in told
