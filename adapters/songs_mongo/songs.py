"""The songs."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from pymongo.client_session import ClientSession
from pymongo.database import Database

from songs.errors import Conflict, DuplicateSong, SongNotFound, VersionConflict
from songs.limits import MAX_LEVEL, is_id
from songs.model import DifficultyTotals, Song, SongIdentity
from songs.query import SongFilter
from songs_mongo import encoding
from songs_mongo.leftovers import remove_leftovers
from songs_mongo.rarity import Rarity
from songs_mongo.schema import SONGS, Document
from songs_mongo.search import conditions
from songs_mongo.transaction import Transaction, in_one_batch

ATTEMPTS: Final = 8


class MongoSongs:
    """The songs: one document each, its ratings' counters included."""

    __slots__ = ("_rarity", "_transaction")

    def __init__(self, transaction: Transaction, rarity: Rarity) -> None:
        self._transaction = transaction
        self._rarity = rarity

    def get(self, song_id: str) -> Song | None:
        found = self._found({"_id": song_id}, limit=1) if is_id(song_id) else []
        return encoding.song(found[0]) if found else None

    def identify(self, identities: Collection[SongIdentity]) -> Mapping[SongIdentity, Song]:
        keys = {encoding.identity_key(identity) for identity in identities if _storable(identity)}
        found = self._found({"identity": {"$in": sorted(keys)}}, limit=len(keys)) if keys else ()
        songs = map(encoding.song, found)
        return {song.identity: song for song in songs}

    def add(self, song: Song) -> None:
        if self.add_many([song]):
            raise DuplicateSong

    def add_many(self, songs: Sequence[Song]) -> frozenset[str]:
        self._transaction.writing()
        if not songs:
            return frozenset()
        for _ in range(ATTEMPTS):
            new, refused = self._sorted_out(songs)
            documents = [encoding.new_song(song, secrets.token_urlsafe(encoding.BORN_BYTES)) for song in new]
            if not documents:
                return refused
            try:
                self._insert(documents)
            except Conflict:
                continue
            self._transaction.confirm()
            return refused
        raise self._transaction.given_up()

    def replace(self, song: Song, *, if_version: int) -> None:
        self._transaction.writing()
        change = {"$set": encoding.song_members(song)}
        seen = {"_id": song.id, "version": if_version}
        if self._transaction.transactional:
            self._refuse_taken(song, if_version)
        try:
            changed = self._transaction.write(
                lambda db, session: db[SONGS].update_one(seen, change, session=session).matched_count
            )
        except Conflict as conflict:
            raise DuplicateSong from conflict.__cause__
        if changed:
            return
        stored = self.get(song.id)
        if stored is None:
            raise SongNotFound
        if stored != song:
            raise VersionConflict

    def delete(self, song_id: str, *, if_version: int | None = None) -> bool:
        self._transaction.writing()
        if not is_id(song_id):
            return False
        seen: Document = {"_id": song_id} if if_version is None else {"_id": song_id, "version": if_version}
        deleted = self._transaction.write(
            lambda db, session: db[SONGS].find_one_and_delete(seen, {"born": 1}, session=session)
        )
        if deleted is not None:
            born = deleted["born"]
            self._transaction.afterwards(lambda: remove_leftovers(self._transaction, born))
        elif if_version is not None and self.get(song_id) is not None:
            raise VersionConflict
        else:
            self._transaction.confirm()
        return deleted is not None

    def find(
        self, song_filter: SongFilter, *, limit: int, after_id: str | None = None, offset: int = 0
    ) -> tuple[Song, ...]:
        conditions = self._conditions(song_filter)
        most = encoding.bounded(limit)
        if conditions is None or most == 0:
            return ()
        wanted = {"$and": [{"_id": {"$gt": encoding.sought(after_id or "")}}, *conditions]}
        return tuple(map(encoding.song, self._found(wanted, limit=most, offset=encoding.bounded(offset))))

    def count(self, song_filter: SongFilter) -> int:
        conditions = self._conditions(song_filter)
        if conditions is None:
            return 0
        # Without a condition the server would look through the documents, not through an index.
        wanted = {"$and": conditions or [{"_id": {"$gt": ""}}]}
        return self._transaction.read(lambda db, session: db[SONGS].count_documents(wanted, session=session))

    def difficulty_totals(self, level: int | None = None) -> DifficultyTotals:
        if level is not None and not 0 <= level <= MAX_LEVEL:
            return DifficultyTotals(0, 0)
        # The index of levels holds all that this reads; the documents are not looked at.
        pipeline: list[Document] = [
            {"$match": {"level": {"$gte": 0} if level is None else level}},
            {"$group": {"_id": None, "count": {"$sum": 1}, "sum_milli": {"$sum": "$milli"}}},
        ]
        groups = self._transaction.read(lambda db, session: list(db[SONGS].aggregate(pipeline, session=session)))
        count, sum_milli = (groups[0]["count"], groups[0]["sum_milli"]) if groups else (0, 0)
        return DifficultyTotals(int(count), int(sum_milli))

    def _conditions(self, song_filter: SongFilter) -> list[Document] | None:
        if song_filter.text is not None and len(song_filter.text) > encoding.GRAM + 1:
            self._rarity.renew(self._sample)
        return conditions(song_filter, self._rarity)

    def _sample(self, size: int) -> list[list[str]] | None:
        pipeline: list[Document] = [{"$sample": {"size": size}}, {"$project": {"grams": 1}}]
        sampled = self._transaction.try_to_read(
            lambda db, session: list(db[SONGS].aggregate(pipeline, session=session, batchSize=size + 1))
        )
        return None if sampled is None else [document.get("grams", []) for document in sampled]

    def _found(self, wanted: Document, *, limit: int, offset: int = 0) -> list[Document]:
        def commands(db: Database[Document], session: ClientSession | None) -> list[Document]:
            cursor = db[SONGS].find(wanted, encoding.SONG_MEMBERS, session=session)
            return list(in_one_batch(cursor.sort("_id", 1).skip(offset).limit(limit), limit))

        return self._transaction.read(commands)

    def _insert(self, documents: list[Document]) -> None:
        # Unordered: a song whose identity somebody took in the meantime does not keep the others out.
        self._transaction.write(lambda db, session: db[SONGS].insert_many(documents, ordered=False, session=session))

    def _sorted_out(self, songs: Sequence[Song]) -> tuple[list[Song], frozenset[str]]:
        """Return the songs that are to be inserted, and the ids of those that are refused, as if one after another."""
        keys = [encoding.identity_key(song.identity) for song in songs]
        taken = {"$or": [{"_id": {"$in": [song.id for song in songs]}}, {"identity": {"$in": keys}}]}
        most = 2 * len(songs)
        found = self._transaction.read(
            lambda db, session: list(in_one_batch(db[SONGS].find(taken, {"identity": 1}, session=session), most))
        )
        identity_of = {document["_id"]: document["identity"] for document in found}
        identities = set(identity_of.values())
        new: list[Song] = []
        refused: set[str] = set()
        for song, key in zip(songs, keys, strict=True):
            if identity_of.get(song.id) == key:
                continue
            if song.id in identity_of or key in identities:
                refused.add(song.id)
                continue
            identity_of[song.id] = key
            identities.add(key)
            new.append(song)
        return new, frozenset(refused)

    def _refuse_taken(self, song: Song, if_version: int) -> None:
        """Look before a write that would end the transaction."""
        stored = self.get(song.id)
        if stored is None or stored.version != if_version:
            return
        taken = {"identity": encoding.identity_key(song.identity), "_id": {"$ne": song.id}}
        if self._found(taken, limit=1):
            raise DuplicateSong


def _storable(identity: SongIdentity) -> bool:
    return encoding.storable(identity.artist) and encoding.storable(identity.title)
