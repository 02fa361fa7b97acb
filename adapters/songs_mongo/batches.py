"""Reads of many records at once, in a few commands however many they are."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from pymongo.client_session import ClientSession
from pymongo.database import Database

from songs.limits import is_id
from songs.model import Song, User, name_key
from songs.ports.batches import RatedSong
from songs.query import SongFilter
from songs_mongo import encoding
from songs_mongo.leftovers import events_of
from songs_mongo.rarity import Rarity
from songs_mongo.rated_song import STATE
from songs_mongo.schema import RATINGS, SONGS, USERS, Document
from songs_mongo.search import conditions
from songs_mongo.transaction import LARGEST_BATCH, Transaction, in_one_batch

_COUNTERS: Final = dict.fromkeys(encoding.COUNTERS, 1)

Pair = tuple[str, SongFilter]


class MongoBatches:
    """Reads of many records at once."""

    __slots__ = ("_rarity", "_transaction")

    def __init__(self, transaction: Transaction, rarity: Rarity) -> None:
        self._transaction = transaction
        self._rarity = rarity

    def songs(self, song_ids: Collection[str]) -> Mapping[str, Song]:
        found = self._found(SONGS, _one_of("_id", filter(is_id, song_ids)), encoding.SONG_MEMBERS)
        return {song.id: song for song in map(encoding.song, found)}

    def meeting(self, pairs: Collection[Pair]) -> frozenset[Pair]:
        met: list[Pair] = []
        for asked in _one_for_each_song(pairs):
            wanted = {song_id: conditions(song_filter, self._rarity) for song_id, song_filter in asked.items()}
            # With its id in each of the alternatives a song is looked at once, whatever the others ask.
            alternatives = [{"$and": [{"_id": song_id}, *each]} for song_id, each in wanted.items() if each is not None]
            found = self._found(SONGS, {"$or": alternatives} if alternatives else None, {"_id": 1})
            met += [(song["_id"], asked[song["_id"]]) for song in found]
        return frozenset(met)

    def rated(self, song_ids: Collection[str], *, limit: int) -> Mapping[str, RatedSong]:
        most = encoding.bounded(limit)
        songs = self._found(SONGS, _one_of("_id", filter(is_id, song_ids)), STATE if most else _COUNTERS)
        moved = self._moved(songs, most) if most else {}
        rated: dict[str, RatedSong] = {}
        for song in songs:
            song_id = song["_id"]
            events = {**moved.get(song_id, {}), **song.get("recent", {})} if most else {}
            ratings = tuple(encoding.rating(song_id, each, events[each]) for each in sorted(events)[:most])
            rated[song_id] = RatedSong(encoding.stats(song), ratings)
        return rated

    def users(self, user_ids: Collection[str]) -> Mapping[str, User]:
        found = map(encoding.user, self._found(USERS, _one_of("_id", map(encoding.sought, user_ids))))
        return {user.id: user for user in found}

    def users_named(self, names: Collection[str]) -> Mapping[str, User]:
        keys = {name: encoding.sought(name_key(name)) for name in names}
        found = map(encoding.user, self._found(USERS, _one_of("name_key", keys.values())))
        by_key = {user.name_key: user for user in found}
        return {name: by_key[key] for name, key in keys.items() if key in by_key}

    def _moved(self, songs: list[Document], most: int) -> dict[str, dict[str, Document]]:
        """Return, by song and id, the events in ``ratings`` that were there when the songs were read.

        Those that were moved since are among the recent ones of these songs, or came later: their `seq` tells.
        """
        few = [song for song in songs if 0 < song["moved"] <= most]
        moved: dict[str, dict[str, Document]] = {}
        wanted = {"$or": [_moved_before(song) for song in few]} if few else None
        found = self._found(RATINGS, wanted)
        for song in songs:
            if song["moved"] > most:
                found += self._found(RATINGS, _moved_before(song), first=most)
        for event in found:
            moved.setdefault(event["song"], {})[event["_id"].partition("/")[2]] = event
        return moved

    def _found(
        self, collection: str, wanted: Document | None, members: Document | None = None, *, first: int = 0
    ) -> list[Document]:
        """Return what meets a condition, in one round trip; with `first` so many by id. None asks for nothing."""
        if wanted is None:
            return []

        def commands(db: Database[Document], session: ClientSession | None) -> list[Document]:
            cursor = db[collection].find(wanted, members, session=session)
            if first:
                cursor = cursor.sort("_id", 1).limit(first)
            return list(in_one_batch(cursor, LARGEST_BATCH))

        return self._transaction.read(commands)


def _one_of(member: str, values: Iterable[str]) -> Document | None:
    wanted = sorted(set(values))
    return {member: {"$in": wanted}} if wanted else None


def _one_for_each_song(pairs: Collection[Pair]) -> Iterable[dict[str, SongFilter]]:
    """Yield the pairs in parts in which each song occurs once: an answer does not tell which alternative was met."""
    left = [pair for pair in dict.fromkeys(pairs) if is_id(pair[0])]
    while left:
        part: dict[str, SongFilter] = {}
        left = [pair for pair in left if part.setdefault(*pair) is not pair[1]]
        yield part


def _moved_before(song: Document) -> Document:
    return {"_id": events_of(song["born"]), "seq": {"$lt": song["moved"]}}
