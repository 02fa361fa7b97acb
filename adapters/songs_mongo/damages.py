"""What can go wrong with the data in a database, for the contract kit: what `maintenance` mends, and their loss."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

from pymongo.database import Database

from songs_mongo.client import Client, connect
from songs_mongo.preparing import bring_up_to_date, create_indexes, shard
from songs_mongo.schema import META, SCHEMA, SONGS, Document
from songs_mongo.settings import MongoSettings

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


@contextmanager
def dropped(client: Client, name: str) -> Iterator[Database[Document]]:
    """Have a database dropped for the length of the block; then it is as it was, whatever was written to it."""
    database: Database[Document] = client.get_database(name)
    contents = {each: list(database[each].find()) for each in database.list_collection_names()}
    client.drop_database(name)
    try:
        yield database
    finally:
        client.drop_database(name)
        shard(client, name)
        create_indexes(database)
        # The record of the identity last: whoever finds it relies on everything else.
        for each in sorted(contents, key=lambda name: name == META):
            if contents[each]:
                database[each].insert_many(contents[each])


def losses(
    make_client: Callable[[MongoSettings], AbstractContextManager[Client]],
) -> dict[str, Callable[[Any], AbstractContextManager[None]]]:
    """Return ways to take the data away, with clients made by `make_client`."""

    @contextmanager
    def gone(settings: MongoSettings) -> Iterator[None]:
        with make_client(settings) as client, dropped(client, settings.database):
            yield

    @contextmanager
    def replaced(settings: MongoSettings) -> Iterator[None]:
        with make_client(settings) as client, dropped(client, settings.database) as database:
            bring_up_to_date(database)
            yield

    return {"the database": gone, "the database, for another one": replaced}


LOSSES: Final = losses(lambda settings: connect(settings, 1))
