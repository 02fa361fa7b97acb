"""Reads of many records at once, each in one statement."""
# ruff: noqa: S608 - statements are put together from constants of this package; values are bound

from collections.abc import Collection, Mapping
from typing import Final

from songs.model import Rating, RatingStats, Song, User, name_key
from songs.ports.batches import RatedSong
from songs.query import SongFilter
from songs_plugins.rows import RATING_COLUMNS, SONG_COLUMNS, USER_COLUMNS, rating_of, song_of, user_of
from songs_plugins.values import clamped, comparable, comparable_level, encodable
from songs_postgres.connection import Transaction
from songs_postgres.ratings import COUNTERS, stats_of
from songs_postgres.songs import pattern

SONGS: Final = f"SELECT {SONG_COLUMNS} FROM songs WHERE id = ANY (%s)"
# Each song is looked up by its id, and only then compared with what is asked of it.
MEETING: Final = (
    "SELECT asked.number FROM unnest(%s::integer[], %s::text[], %s::text[], %s::text[], %s::integer[]) "
    "AS asked (number, id, text, artist, level) JOIN songs ON songs.id = asked.id "
    "WHERE (asked.text IS NULL OR artist_fold LIKE asked.text OR title_fold LIKE asked.text) "
    "AND (asked.artist IS NULL OR artist_fold = asked.artist) AND (asked.level IS NULL OR songs.level = asked.level)"
)
RATED: Final = (
    f"SELECT stats.song_id, {COUNTERS}, {RATING_COLUMNS} FROM stats LEFT JOIN LATERAL ("
    f"SELECT {RATING_COLUMNS} FROM ratings WHERE ratings.song_id = coalesce(stats.incarnation, stats.song_id) "
    "ORDER BY id LIMIT %s) AS first ON true WHERE stats.song_id = ANY (%s) ORDER BY stats.song_id, first.id"
)
USERS: Final = f"SELECT {USER_COLUMNS} FROM users WHERE id = ANY (%s)"
NAMED: Final = f"SELECT {USER_COLUMNS} FROM users WHERE name_key = ANY (%s)"
COUNTER_COLUMNS: Final = 5


class PostgresBatches:
    """Reads of many records, in one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def songs(self, song_ids: Collection[str]) -> Mapping[str, Song]:
        found = map(song_of, self._transaction.rows(SONGS, (list(map(comparable, song_ids)),)))
        return {each.id: each for each in found}

    def meeting(self, pairs: Collection[tuple[str, SongFilter]]) -> frozenset[tuple[str, SongFilter]]:
        asked = [pair for pair in pairs if encodable(pair[1].text or "") and encodable(pair[1].artist or "")]
        rows = self._transaction.rows(
            MEETING,
            (
                list(range(len(asked))),
                [comparable(song_id) for song_id, _ in asked],
                [None if each.text is None else pattern(each.text) for _, each in asked],
                [each.artist for _, each in asked],
                [None if each.level is None else comparable_level(each.level) for _, each in asked],
            ),
        )
        return frozenset(asked[number] for (number,) in rows)

    def rated(self, song_ids: Collection[str], *, limit: int) -> Mapping[str, RatedSong]:
        counted: dict[str, RatingStats] = {}
        ratings: dict[str, list[Rating]] = {}
        for song_id, *members in self._transaction.rows(RATED, (clamped(limit), list(map(comparable, song_ids)))):
            counters, event = members[:COUNTER_COLUMNS], members[COUNTER_COLUMNS:]
            counted[song_id] = stats_of(counters)
            found = ratings.setdefault(song_id, [])
            if event[0] is not None:
                found.append(rating_of(song_id, event))
        return {song_id: RatedSong(each, tuple(ratings[song_id])) for song_id, each in counted.items()}

    def users(self, user_ids: Collection[str]) -> Mapping[str, User]:
        found = map(user_of, self._transaction.rows(USERS, (list(map(comparable, user_ids)),)))
        return {each.id: each for each in found}

    def users_named(self, names: Collection[str]) -> Mapping[str, User]:
        keys = {name: comparable(name_key(name)) for name in names}
        found = map(user_of, self._transaction.rows(NAMED, (list(keys.values()),)))
        by_key = {each.name_key: each for each in found}
        return {name: by_key[key] for name, key in keys.items() if key in by_key}
