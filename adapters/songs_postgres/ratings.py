"""The ratings and their statistics.

Ratings of songs that are gone, *orphans*, are removed a batch at a time: deleting a song takes as long as a batch. A
deletion writes down in ``deleted_songs`` under which incarnation it leaves ratings behind. Nothing reads them any more,
and a key of theirs is free for any later rating.
"""
# ruff: noqa: S608 - statements are put together from constants of this package; values are bound

from collections.abc import Sequence
from typing import Final, LiteralString

import psycopg

from songs.errors import SongNotFound, TransientConflict
from songs.model import Rating, RatingStats
from songs.ports.ratings import RatingReceipt
from songs_plugins.decisions import check_key
from songs_plugins.rows import RATING_COLUMNS, rating_of
from songs_plugins.values import clamped, comparable, milliseconds
from songs_postgres.connection import Connection, Transaction

COUNTERS: Final = "n1, n2, n3, n4, n5"
# One statement. The event comes first: who uses the same id or key waits for it there, before locking the song's
# counters. A song that is deleted meanwhile takes the counters with it: then the event is there without them.
ADD: Final = (
    "WITH stored AS (INSERT INTO ratings (song_id, id, user_id, value, rated_at_ms, key) "
    "SELECT coalesce(incarnation, song_id), %s, %s, %s::smallint, %s::bigint, %s FROM stats WHERE song_id = %s "
    "ON CONFLICT DO NOTHING RETURNING song_id AS incarnation, value), "
    "counted AS (UPDATE stats SET n1 = n1 + (value = 1)::integer, n2 = n2 + (value = 2)::integer, "
    "n3 = n3 + (value = 3)::integer, n4 = n4 + (value = 4)::integer, n5 = n5 + (value = 5)::integer "
    f"FROM stored WHERE stats.song_id = %s RETURNING {COUNTERS}) "
    f"SELECT stored.incarnation, {COUNTERS} FROM stored LEFT JOIN counted ON true"
)
TAKE_BACK: Final = "DELETE FROM ratings WHERE song_id = %s AND id = %s"
FREE_KEY: Final = (
    "DELETE FROM ratings WHERE user_id = %s AND key = %s AND song_id IN (SELECT incarnation FROM deleted_songs)"
)
WHY_NOT: Final = (
    f"SELECT {COUNTERS}, same.id, keyed.id, keyed.song_id, keyed.value, "
    "EXISTS (SELECT FROM deleted_songs WHERE incarnation = keyed.song_id) FROM stats "
    "LEFT JOIN ratings AS same ON same.song_id = coalesce(stats.incarnation, stats.song_id) AND same.id = %s "
    "LEFT JOIN ratings AS keyed ON keyed.user_id = %s AND keyed.key = %s "
    "WHERE stats.song_id = %s"
)
STATS: Final = f"SELECT {COUNTERS} FROM stats WHERE song_id = %s"
OF_SONG: Final = (
    f"SELECT {RATING_COLUMNS} FROM ratings "
    "WHERE song_id = (SELECT coalesce(incarnation, song_id) FROM stats WHERE song_id = %s) AND id > %s "
    "ORDER BY id LIMIT %s"
)

ORPHANS_REMOVED: Final = 1000
"""How many orphans are removed at once."""

REMOVE_ORPHANS: Final[LiteralString] = (
    "WITH removed AS (DELETE FROM ratings WHERE (song_id, id) IN "
    "(SELECT song_id, id FROM ratings WHERE song_id = %s LIMIT %s) RETURNING 1) SELECT count(*) FROM removed"
)
NOTE_ORPHANS: Final[LiteralString] = "INSERT INTO deleted_songs VALUES (%s)"
ORPHANS_EXIST: Final[LiteralString] = "SELECT EXISTS (SELECT FROM deleted_songs)"
# One statement, and so one transaction. Of several processes each takes another song.
COLLECT_ORPHANS: Final[LiteralString] = (
    "WITH song AS (SELECT incarnation FROM deleted_songs LIMIT 1 FOR UPDATE SKIP LOCKED), "
    "removed AS (DELETE FROM ratings WHERE (song_id, id) IN (SELECT ratings.song_id, ratings.id FROM ratings "
    "JOIN song ON ratings.song_id = song.incarnation LIMIT %(batch)s) RETURNING 1), "
    "forgotten AS (DELETE FROM deleted_songs USING song WHERE deleted_songs.incarnation = song.incarnation "
    "AND (SELECT count(*) FROM removed) < %(batch)s) SELECT count(*) FROM song"
)


class PostgresRatings:
    """The ratings, in one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def add(self, rating: Rating) -> RatingReceipt:
        self._transaction.writing()
        stats = self._added(rating)
        return self._stored_before(rating) if stats is None else RatingReceipt(stats, rating.id)

    def stats(self, song_id: str) -> RatingStats | None:
        rows = self._transaction.rows(STATS, (comparable(song_id),))
        return stats_of(rows[0]) if rows else None

    def of_song(self, song_id: str, *, limit: int, after_id: str | None = None) -> tuple[Rating, ...]:
        rows = self._transaction.rows(OF_SONG, (comparable(song_id), comparable(after_id or ""), clamped(limit)))
        return tuple(rating_of(song_id, row) for row in rows)

    def _added(self, rating: Rating) -> RatingStats | None:
        """Store and count a rating; return the statistics, or None where something is in the way."""
        event = (rating.id, rating.user_id, rating.value, milliseconds(rating.rated_at), rating.key)
        rows = self._transaction.rows(ADD, (*event, rating.song_id, rating.song_id))
        if not rows:
            return None
        incarnation, *counters = rows[0]
        if None in counters:
            self._transaction.rows(TAKE_BACK, (incarnation, rating.id))
            raise SongNotFound
        return stats_of(counters)

    def _stored_before(self, rating: Rating) -> RatingReceipt:
        """Return the receipt for a rating that was not stored, because of what is stored already."""
        rows = self._transaction.rows(WHY_NOT, (rating.id, rating.user_id, rating.key, rating.song_id))
        if not rows:
            raise SongNotFound
        *counters, same_id, keyed_id, song_id, value, gone = rows[0]
        stats = stats_of(counters)
        if same_id is not None:
            return RatingReceipt(stats, rating.id)
        if gone:
            # The key belonged to a rating of a song that is gone, which is removed a little later.
            self._transaction.rows(FREE_KEY, (rating.user_id, rating.key))
            added = self._added(rating)
            if added is not None:
                return RatingReceipt(added, rating.id)
        if keyed_id is None or gone:
            # The song of the rating that had the key has been deleted since, or this one has been added.
            raise TransientConflict
        check_key(rating, song_id=song_id.partition("/")[0], value=value)
        return RatingReceipt(stats, keyed_id)


def stats_of(counters: Sequence[int]) -> RatingStats:
    """Return the statistics of a row of `COUNTERS`."""
    n1, n2, n3, n4, n5 = counters
    return RatingStats((n1, n2, n3, n4, n5))


def orphans_exist(connection: Connection) -> bool:
    """Return whether there are orphans."""
    (found,) = connection.execute(ORPHANS_EXIST).fetchone() or (False,)
    return bool(found)


def collect_orphans(connection: Connection) -> bool:
    """Remove a batch, outside of any transaction; return whether to go on. Nothing depends on it: it never raises."""
    try:
        (found,) = connection.execute(COLLECT_ORPHANS, {"batch": ORPHANS_REMOVED}).fetchone() or (0,)
    except psycopg.Error:
        return False
    return bool(found)
