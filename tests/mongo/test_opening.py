"""Settings, opening and preparing."""

import secrets
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from songs.deadline import Deadline
from songs.errors import StorageMismatch
from songs.model import Song
from songs.ports.clock import Clock
from songs.ports.coherence import CoherenceRecord
from songs.ports.storage import Scope
from songs.query import SongFilter
from songs.text import FOLD_VERSION
from songs_mongo import MongoSettings, MongoStorage


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
    with pytest.raises(StorageMismatch, match="songs prepare"):
        storage.ping(deadline=deadline(5))
    storage.close()
