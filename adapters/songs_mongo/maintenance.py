"""Looking for what does not agree in a database, and mending it, one document at a time.

There is no lock and no snapshot: every change asks that its document is still what was seen. Statistics are compared in
batches: a page of songs, and the events of all of them counted by the server. A song whose numbers do not agree at once
is read by itself until nothing changes in between. Indexes that are missing are made whenever the storage is prepared.
What a deleted song leaves behind is not looked for: nothing reads it.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from pymongo.client_session import ClientSession
from pymongo.database import Database

from songs.errors import StorageDamaged
from songs.limits import is_id
from songs.model import Song, User, name_key
from songs.ports.batches import RatedSong
from songs.ports.maintenance import Finding
from songs.query import SongFilter
from songs.text import FOLD_VERSION
from songs_mongo import encoding
from songs_mongo.errors import reading
from songs_mongo.ratings import STATE, events_of
from songs_mongo.ratings import RatedSong as RatedEvents
from songs_mongo.schema import (
    LARGEST_BATCH,
    META,
    RATINGS,
    SCHEMA,
    SONGS,
    USERS,
    Bounded,
    Document,
    Transaction,
    in_one_batch,
)
from songs_mongo.songs import Selectivity, conditions
from songs_plugins.values import LARGEST_INT32, UNREADABLE, clamped, comparable, damaged

PAGE: Final = 200
PATIENCE_S: Final = 60.0
"""How long one page, or one song, may take."""
LOOKS: Final = 20
"""How often a song is read that others keep changing. Who is that busy is looked at another time."""

_COUNTED: Final = dict.fromkeys((*encoding.COUNTERS, "born", "moved", "recent"), 1)
_FOLDED: Final = dict.fromkeys(("artist", "title", "version", "artist_key", "artist_fold", "title_fold", "grams"), 1)


def versions(database: Database[Document], bounded: Bounded) -> dict[str, str]:
    """Return the versions of the schema, the folds and the server."""
    with reading(), bounded(PATIENCE_S):
        record = database[META].find_one({"_id": SCHEMA}) or {}
        server = database.client.server_info()
    return {
        "schema": str(record.get("version", "none")),
        "folds": str(record.get("fold", "none")),
        "server": str(server.get("version", "unknown")),
    }


class Examination:
    """One look at everything."""

    def __init__(self, database: Database[Document], bounded: Bounded, *, repair: bool) -> None:
        self._database = database
        self._bounded = bounded
        self._repair = repair

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong, mended where that is wanted."""
        yield from self._stats()
        yield from self._folds()

    def _stats(self) -> Iterator[Finding]:
        for song_id in self._doubtful():
            with reading(), self._bounded(PATIENCE_S):
                wrong = self._wrong_counts(song_id)
                for _ in range(LOOKS):
                    if wrong is None or not self._repair or self._recount(song_id, *wrong):
                        break
                    wrong = self._wrong_counts(song_id)
            if wrong is not None:
                song, counts = wrong
                kept = "/".join(str(song.get(name)) for name in encoding.COUNTERS)
                found = "/".join(map(str, counts))
                yield Finding(
                    what=f"the statistics of the song {song_id} are {kept}, where its ratings make {found}",
                    remedy="recount them",
                    mended=self._repair,
                )

    def _doubtful(self) -> Iterator[str]:
        """Yield the songs whose statistics have to be looked at one by one.

        Where as many events were moved as the song says, they are those, and none of them is recent too: events are
        only ever added, and are there before the song says so. The counts of such a song are exact.
        """
        for page in self._pages(_COUNTED):
            moved = self._moved_events([str(song.get("born")) for song in page])
            for song in page:
                counts = moved.get(song["_id"], Counter())
                if counts.total() == song.get("moved"):
                    counts.update(f"n{value}" for value in _recent_values(song).values())
                    if [counts[name] for name in encoding.COUNTERS] == _kept(song):
                        continue
                yield song["_id"]

    def _moved_events(self, incarnations: list[str]) -> dict[str, Counter[str]]:
        """Return how many events of each value are in ``ratings``, by song."""
        sums = {
            name: {"$sum": {"$cond": [{"$eq": ["$value", value]}, 1, 0]}}
            for value, name in enumerate(encoding.COUNTERS, start=1)
        }
        pipeline: list[Document] = [
            {"$match": {"$or": [{"_id": events_of(each)} for each in incarnations]}},
            {"$group": {"_id": "$song", **sums}},
        ]
        with reading(), self._bounded(PATIENCE_S):
            groups = list(self._database[RATINGS].aggregate(pipeline, batchSize=LARGEST_BATCH))
        return {str(group.pop("_id")): Counter(group) for group in groups}

    def _wrong_counts(self, song_id: str) -> tuple[Document, list[int]] | None:
        """Return a song whose statistics do not agree with its ratings, and these counted; None where they agree."""
        songs, ratings = self._database[SONGS], self._database[RATINGS]
        song = songs.find_one({"_id": song_id}, _COUNTED)
        for _ in range(LOOKS):
            if song is None:
                return None
            # In this order: an event that is moved in between is seen twice, never missed.
            values = _recent_values(song)
            for event in in_one_batch(ratings.find({"_id": events_of(song["born"])}, {"value": 1}), LARGEST_BATCH):
                values[event["_id"].partition("/")[2]] = encoding.rated_value(song_id, event)
            again = songs.find_one({"_id": song_id}, _COUNTED)
            # Not by comparing them: a counter that is no number (NaN) is not equal to itself.
            if repr(song) == repr(again):
                counter = Counter(values.values())
                counts = [counter[value] for value in range(1, 6)]
                return None if _kept(song) == counts else (song, counts)
            song = again
        return None

    def _recount(self, song_id: str, song: Document, counts: list[int]) -> bool:
        """Set the counters of a song, if nobody has rated it since; return whether that was so."""
        seen = {name: song.get(name) for name in encoding.COUNTERS}
        change = {"$set": dict(zip(encoding.COUNTERS, counts, strict=True))}
        condition = {"_id": song_id, "born": song["born"], **seen}
        return self._database[SONGS].update_one(condition, change).matched_count > 0

    def _folds(self) -> Iterator[Finding]:
        wrong = 0
        for page in self._pages(_FOLDED):
            for document in page:
                folds = _folds_of(document)
                if folds == {name: document.get(name) for name in folds}:
                    continue
                wrong += 1
                if self._repair:
                    # A song that is changed in the meantime is folded by that change.
                    seen = {"_id": document["_id"], "version": document["version"]}
                    with reading(), self._bounded(PATIENCE_S):
                        self._database[SONGS].update_one(seen, {"$set": folds})
        with reading(), self._bounded(PATIENCE_S):
            record = self._database[META].find_one({"_id": SCHEMA}) or {}
            if not wrong and record.get("fold") == FOLD_VERSION:
                return
            if self._repair:
                self._database[META].update_one({"_id": SCHEMA}, {"$set": {"fold": FOLD_VERSION}})
        yield Finding(
            what=f"{wrong} songs are not folded as version {FOLD_VERSION} folds them, and the data say that version "
            f"{record.get('fold')} did: searches may miss them",
            remedy="fold them again",
            mended=self._repair,
        )

    def _pages(self, members: Document) -> Iterator[list[Document]]:
        last = ""
        while True:
            with reading(), self._bounded(PATIENCE_S):
                songs = self._database[SONGS].find({"_id": {"$gt": last}}, members)
                page: list[Any] = list(in_one_batch(songs.sort("_id", 1).limit(PAGE), PAGE))
            if not page:
                return
            yield page
            last = page[-1]["_id"]


def _recent_values(song: Document) -> dict[str, int]:
    """Return the values of the recent events of a song, by id; raise `StorageDamaged` where they cannot be read."""
    # The counters are compared with these, and mended whatever they are.
    recent = RatedEvents.of({**song, **dict.fromkeys(encoding.COUNTERS, 0), "high": ""}).recent
    return {each: encoding.rated_value(song["_id"], event) for each, event in recent.items()}


def _kept(song: Document) -> list[int] | None:
    """Return the counters of a song; None where one is damaged, which is mended like a wrong one."""
    try:
        return list(encoding.stats(song).distribution)
    except StorageDamaged:
        return None


def _folds_of(song: Document) -> Document:
    try:
        return encoding.folds(encoding.text(song["artist"]), encoding.text(song["title"]))
    except UNREADABLE as error:
        raise damaged("song", song["_id"], error) from error


_COUNTERS: Final = dict.fromkeys(encoding.COUNTERS, 1)

Pair = tuple[str, SongFilter]


class MongoBatches:
    """Reads of many records at once."""

    __slots__ = ("_selectivity", "_transaction")

    def __init__(self, transaction: Transaction, selectivity: Selectivity) -> None:
        self._transaction = transaction
        self._selectivity = selectivity

    def songs(self, song_ids: Collection[str]) -> Mapping[str, Song]:
        found = self._found(SONGS, _one_of("_id", filter(is_id, song_ids)), encoding.SONG_MEMBERS)
        return {song.id: song for song in map(encoding.song, found)}

    def meeting(self, pairs: Collection[Pair]) -> frozenset[Pair]:
        met: list[Pair] = []
        for asked in _one_for_each_song(pairs):
            wanted = {song_id: conditions(song_filter, self._selectivity) for song_id, song_filter in asked.items()}
            # With its id in each of the alternatives a song is looked at once, whatever the others ask.
            alternatives = [{"$and": [{"_id": song_id}, *each]} for song_id, each in wanted.items() if each is not None]
            found = self._found(SONGS, {"$or": alternatives} if alternatives else None, {"_id": 1})
            met += [(song["_id"], asked[song["_id"]]) for song in found]
        return frozenset(met)

    def rated(self, song_ids: Collection[str], *, limit: int) -> Mapping[str, RatedSong]:
        most = clamped(limit, LARGEST_INT32)
        found = self._found(SONGS, _one_of("_id", filter(is_id, song_ids)), STATE if most else _COUNTERS)
        if not most:
            return {song["_id"]: RatedSong(encoding.stats(song), ()) for song in found}
        songs = list(map(RatedEvents.of, found))
        moved = self._moved(songs, most)
        rated: dict[str, RatedSong] = {}
        for song in songs:
            events = {**moved.get(song.incarnation, {}), **song.recent}
            ratings = tuple(encoding.rating(song.id, each, events[each]) for each in sorted(events)[:most])
            rated[song.id] = RatedSong(song.stats, ratings)
        return rated

    def users(self, user_ids: Collection[str]) -> Mapping[str, User]:
        found = map(encoding.user, self._found(USERS, _one_of("_id", map(comparable, user_ids))))
        return {user.id: user for user in found}

    def users_named(self, names: Collection[str]) -> Mapping[str, User]:
        keys = {name: comparable(name_key(name)) for name in names}
        found = map(encoding.user, self._found(USERS, _one_of("name_key", keys.values())))
        by_key = {user.name_key: user for user in found}
        return {name: by_key[key] for name, key in keys.items() if key in by_key}

    def _moved(self, songs: list[RatedEvents], most: int) -> dict[str, dict[str, Document]]:
        """Return, by their song's incarnation and their id, the events in ``ratings`` of when the songs were read.

        Those that were moved since are among the recent ones of these songs, or came later: their `seq` says which.
        """
        few = [song for song in songs if 0 < song.moved <= most]
        moved: dict[str, dict[str, Document]] = {}
        wanted = {"$or": [_moved_before(song) for song in few]} if few else None
        found = self._found(RATINGS, wanted)
        for song in songs:
            if song.moved > most:
                found += self._found(RATINGS, _moved_before(song), first=most)
        for event in found:
            encoding.moved_when(event)
            incarnation, _, rating_id = event["_id"].partition("/")
            moved.setdefault(incarnation, {})[rating_id] = event
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
    """Yield the pairs in parts in which each song occurs once: an answer does not say which alternative was met."""
    left = [pair for pair in dict.fromkeys(pairs) if is_id(pair[0])]
    while left:
        part: dict[str, SongFilter] = {}
        left = [pair for pair in left if part.setdefault(*pair) is not pair[1]]
        yield part


def _moved_before(song: RatedEvents) -> Document:
    return {"_id": events_of(song.incarnation), "$nor": [{"seq": {"$gte": song.moved}}]}
