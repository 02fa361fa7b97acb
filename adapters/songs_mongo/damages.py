"""What can go wrong with the data in a database, for the contract kit: what `maintenance` mends."""

from collections.abc import Callable
from typing import Any, Final

from pymongo.database import Database

from songs_mongo.schema import META, SCHEMA, SONGS, Document

_PLAIN: Final[Document] = {"artist_fold": "Beyoncé", "artist_key": "none", "grams": ["B"]}


def _count_too_much(database: Database[Document]) -> None:
    database[SONGS].update_one({"_id": "song-1"}, {"$inc": {"n1": 1, "n5": -1}})


def _count_nothing(database: Database[Document]) -> None:
    for song in database[SONGS].find({}, {"_id": 1}):
        database[SONGS].update_one(song, {"$set": dict.fromkeys(("n1", "n2", "n3", "n4", "n5"), 0)})


def _fold_a_song(database: Database[Document]) -> None:
    database[SONGS].update_one({"_id": "song-1"}, {"$set": _PLAIN})


def _fold_otherwise(database: Database[Document]) -> None:
    _fold_a_song(database)
    database[META].update_one({"_id": SCHEMA}, {"$set": {"fold": "1/1.1.0"}})


def _damaging(damage: Callable[[Database[Document]], None]) -> Callable[[Any], None]:
    return lambda storage: damage(storage.database)


DAMAGES: Final = {
    "a song's statistics count too much": _damaging(_count_too_much),
    "all statistics are zero": _damaging(_count_nothing),
    "folds of a song": _damaging(_fold_a_song),
    "folds": _damaging(_fold_otherwise),
}
