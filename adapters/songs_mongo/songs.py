"""The song repository, and how searches are put."""

import secrets
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from pymongo.client_session import ClientSession
from pymongo.database import Database

from songs.errors import Conflict, DuplicateSong, SongNotFound, VersionConflict
from songs.limits import MAX_DIFFICULTY_MILLI, MAX_LEVEL, is_id
from songs.model import DifficultyTotals, Song, SongIdentity
from songs.ports.clock import Clock
from songs.query import SongFilter
from songs_mongo import encoding
from songs_mongo.ratings import remove_orphans
from songs_mongo.schema import SONGS, Document, Transaction, in_one_batch
from songs_plugins.decisions import sort_out
from songs_plugins.values import LARGEST_INT32, UNREADABLE, clamped, comparable, damaged, encodable

SAMPLE: Final = 500
KEPT_S: Final = 600.0


class Selectivity:
    """How often grams occur in a sample that is renewed from time to time. Thread-safe.

    It decides how fast a search is, never what it finds: a sample that is old, empty or of other songs does no harm.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._due_s: float | None = None

    def renew(self, sample: Callable[[int], Iterable[Iterable[str]] | None]) -> None:
        """Count the grams of about so many songs as `sample` is asked for, if that is due and there is one."""
        with self._lock:
            now_s = self._clock.monotonic_s()
            if self._due_s is not None and now_s < self._due_s:
                return
            # Due later from now on, also when sampling fails: nobody else needs to try at the same time.
            self._due_s = now_s + KEPT_S
        counts: Counter[str] = Counter()
        sampled = sample(SAMPLE)
        if sampled is None:
            return
        for grams in sampled:
            counts.update(gram for gram in grams if isinstance(gram, str))
        self._counts = counts

    def rarest_first(self, grams: Iterable[str]) -> list[str]:
        """Return grams in the order of how often they occur, equally rare ones in their own order."""
        counts = self._counts
        return sorted(grams, key=lambda gram: (counts[gram], gram))


MOST_GRAMS: Final = 12
"""More would narrow the candidates no further, and each of them costs."""


def conditions(song_filter: SongFilter, selectivity: Selectivity) -> list[Document] | None:
    """Return the conditions that songs which meet the filter meet together; None where no song can.

    A text of up to three characters is a gram itself, and found in the index alone. Of a longer text the index finds
    candidates, in which the text is then looked for: it decides where the grams occur, in other places or another
    order. The rarest gram stands first, as the server looks up the first one of ``$all``.
    """
    found: list[Document] = []
    if song_filter.level is not None:
        if not 0 <= song_filter.level <= MAX_LEVEL:
            return None
        found.append({"level": song_filter.level})
    if song_filter.artist is not None:
        if not encodable(song_filter.artist):
            return None
        found.append({"artist_key": encoding.digest(song_filter.artist)})
    if song_filter.text is not None:
        if not encodable(song_filter.text):
            return None
        found += _contains(song_filter.text, selectivity)
    return found


def _contains(text: str, selectivity: Selectivity) -> list[Document]:
    if len(text) <= encoding.GRAM:
        return [{"grams": {"$all": [text]}}]
    grams = sorted({text[i : i + encoding.GRAM] for i in range(len(text) - encoding.GRAM + 1)})
    # A literal: a text that begins with a dollar sign would be taken for the name of a member.
    places = [{"$indexOfCP": [member, {"$literal": text}]} for member in ("$artist_fold", "$title_fold")]
    return [
        {"grams": {"$all": selectivity.rarest_first(grams)[:MOST_GRAMS]}},
        {"$expr": {"$or": [{"$gte": [place, 0]} for place in places]}},
    ]


_ANY: Final = {"$ne": ""}
"""All levels, those that are damaged too."""
_IN_RANGE: Final = [
    {compare: [member, bound]}
    for member, largest in (("$milli", MAX_DIFFICULTY_MILLI), ("$level", MAX_LEVEL))
    for compare, bound in (("$gte", 0), ("$lte", largest))
]
_SOUND: Final = {"$cond": [{"$and": _IN_RANGE}, 1, 0]}
"""1 for a song whose difficulty can be added up: values of other types, and NaN, are less or greater than all numbers
in range."""
ATTEMPTS: Final = 8


class MongoSongs:
    """The songs: one document each, its ratings' counters included."""

    __slots__ = ("_selectivity", "_transaction")

    def __init__(self, transaction: Transaction, selectivity: Selectivity) -> None:
        self._transaction = transaction
        self._selectivity = selectivity

    def get(self, song_id: str) -> Song | None:
        found = self._found({"_id": song_id}, limit=1) if is_id(song_id) else []
        return encoding.song(found[0]) if found else None

    def identify(self, identities: Collection[SongIdentity]) -> Mapping[SongIdentity, Song]:
        keys = {encoding.identity_key(identity) for identity in identities if _encodable(identity)}
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
            incarnation = deleted.get("born")
            if isinstance(incarnation, str):
                self._transaction.afterwards(lambda: remove_orphans(self._transaction, incarnation))
        elif if_version is not None and self.get(song_id) is not None:
            raise VersionConflict
        else:
            self._transaction.confirm()
        return deleted is not None

    def find(
        self, song_filter: SongFilter, *, limit: int, after_id: str | None = None, offset: int = 0
    ) -> tuple[Song, ...]:
        conditions = self._conditions(song_filter)
        most = clamped(limit, LARGEST_INT32)
        if conditions is None or most == 0:
            return ()
        wanted = {"$and": [{"_id": {"$gt": comparable(after_id or "")}}, *conditions]}
        return tuple(map(encoding.song, self._found(wanted, limit=most, offset=clamped(offset, LARGEST_INT32))))

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
            {"$match": {"level": _ANY if level is None else level}},
            {"$group": {"_id": None, "count": {"$sum": 1}, "sum_milli": {"$sum": "$milli"}, "sound": {"$sum": _SOUND}}},
        ]
        groups = self._transaction.read(lambda db, session: list(db[SONGS].aggregate(pipeline, session=session)))
        return _totals_of(groups[0]) if groups else DifficultyTotals(0, 0)

    def _conditions(self, song_filter: SongFilter) -> list[Document] | None:
        if song_filter.text is not None and len(song_filter.text) > encoding.GRAM + 1:
            self._selectivity.renew(self._sample)
        return conditions(song_filter, self._selectivity)

    def _sample(self, size: int) -> list[list[str]] | None:
        pipeline: list[Document] = [{"$sample": {"size": size}}, {"$project": {"grams": 1}}]
        sampled = self._transaction.try_to_read(
            lambda db, session: list(db[SONGS].aggregate(pipeline, session=session, batchSize=size + 1))
        )
        return None if sampled is None else [_listed(document.get("grams")) for document in sampled]

    def _found(self, wanted: Document, *, limit: int, offset: int = 0) -> list[Document]:
        def commands(db: Database[Document], session: ClientSession | None) -> list[Document]:
            cursor = db[SONGS].find(wanted, encoding.SONG_MEMBERS, session=session)
            return list(in_one_batch(cursor.sort("_id", 1).skip(offset).limit(limit), limit))

        return self._transaction.read(commands)

    def _insert(self, documents: list[Document]) -> None:
        # Unordered: a song whose identity somebody took in the meantime does not keep the others out.
        self._transaction.write(
            lambda db, session: db[SONGS].insert_many(documents, ordered=False, session=session), many=True
        )

    def _sorted_out(self, songs: Sequence[Song]) -> tuple[list[Song], frozenset[str]]:
        """Return the songs that are to be inserted, and the ids of those that are refused, as if one after another."""
        keys = [encoding.identity_key(song.identity) for song in songs]
        taken = {"$or": [{"_id": {"$in": [song.id for song in songs]}}, {"identity": {"$in": keys}}]}
        most = 2 * len(songs)
        found = self._transaction.read(
            lambda db, session: list(in_one_batch(db[SONGS].find(taken, {"identity": 1}, session=session), most))
        )
        stored = {document["_id"]: _identity_of(document) for document in found}
        return sort_out(zip(songs, keys, strict=True), stored=stored, taken=set(stored.values()))

    def _refuse_taken(self, song: Song, if_version: int) -> None:
        """Look before a write that would end the transaction."""
        stored = self.get(song.id)
        if stored is None or stored.version != if_version:
            return
        taken = {"identity": encoding.identity_key(song.identity), "_id": {"$ne": song.id}}
        if self._found(taken, limit=1):
            raise DuplicateSong


def _identity_of(document: Document) -> str:
    try:
        return encoding.text(document["identity"])
    except UNREADABLE as error:
        raise damaged("song", document["_id"], error) from error


def _totals_of(group: Document) -> DifficultyTotals:
    try:
        count, sum_milli = encoding.whole(group["count"]), encoding.whole(group["sum_milli"])
        if group["sound"] != count:
            raise ValueError("not a difficulty")
    except UNREADABLE as error:
        raise damaged("difficulty", None, error) from error
    return DifficultyTotals(count, sum_milli)


def _listed(grams: object) -> list[str]:
    return grams if isinstance(grams, list) else []


def _encodable(identity: SongIdentity) -> bool:
    return encodable(identity.artist) and encodable(identity.title)
