"""The ratings and their statistics."""
# ruff: noqa: S608 - statements are put together from constants of this module; values are bound

from typing import Final

from songs.errors import SongNotFound
from songs.model import Rating, RatingStats
from songs.ports.ratings import RatingReceipt
from songs_plugins.decisions import check_key
from songs_plugins.rows import RATING_COLUMNS, rating_of
from songs_plugins.values import clamped, comparable, milliseconds
from songs_sqlite.connection import Transaction

ADD: Final = (
    "INSERT INTO ratings (song_id, id, user_id, value, rated_at_ms, key) "
    "SELECT coalesce(incarnation, song_id), ?2, ?3, ?4, ?5, ?6 FROM stats WHERE song_id = ?1 ON CONFLICT DO NOTHING"
)
COUNT: Final = (
    "UPDATE stats SET n1 = n1 + (?2 = 1), n2 = n2 + (?2 = 2), n3 = n3 + (?2 = 3), n4 = n4 + (?2 = 4), "
    "n5 = n5 + (?2 = 5) WHERE song_id = ?1 RETURNING n1, n2, n3, n4, n5"
)
STATS: Final = "SELECT n1, n2, n3, n4, n5 FROM stats WHERE song_id = ?"
_INCARNATION: Final = "(SELECT coalesce(incarnation, song_id) FROM stats WHERE song_id = ?)"
IS_STORED: Final = f"SELECT 1 FROM ratings WHERE song_id = {_INCARNATION} AND id = ?"
BY_KEY: Final = (
    "SELECT id, song_id, value, EXISTS (SELECT 1 FROM deleted_songs WHERE incarnation = ratings.song_id) "
    "FROM ratings WHERE user_id = ? AND key = ?"
)
FREE_KEY: Final = "DELETE FROM ratings WHERE user_id = ? AND key = ?"
OF_SONG: Final = f"SELECT {RATING_COLUMNS} FROM ratings WHERE song_id = {_INCARNATION} AND id > ? ORDER BY id LIMIT ?"


class SqliteRatings:
    """The ratings, in one transaction."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def add(self, rating: Rating) -> RatingReceipt:
        self._transaction.writing()
        song_id = rating.song_id
        rated_at_ms = milliseconds(rating.rated_at)
        row = (song_id, rating.id, rating.user_id, rating.value, rated_at_ms, rating.key)
        if not self._transaction.change(ADD, row):
            stats = self.stats(song_id)
            if stats is None:
                raise SongNotFound
            stored_id = self._stored_id(rating)
            if stored_id is not None:
                return RatingReceipt(stats, stored_id)
            self._transaction.change(FREE_KEY, (rating.user_id, rating.key))
            self._transaction.change(ADD, row)
        (counts,) = self._transaction.rows(COUNT, (song_id, rating.value))
        return RatingReceipt(RatingStats(counts), rating.id)

    def stats(self, song_id: str) -> RatingStats | None:
        rows = self._transaction.rows(STATS, (comparable(song_id),))
        return RatingStats(rows[0]) if rows else None

    def of_song(self, song_id: str, *, limit: int, after_id: str | None = None) -> tuple[Rating, ...]:
        rows = self._transaction.rows(OF_SONG, (comparable(song_id), comparable(after_id or ""), clamped(limit)))
        return tuple(rating_of(song_id, row) for row in rows)

    def _stored_id(self, rating: Rating) -> str | None:
        """Return the id of the stored event that kept `rating` out; None where its song is gone.

        Raises:
            KeyReused: It is of another song or value.
        """
        if self._transaction.rows(IS_STORED, (rating.song_id, rating.id)):
            return rating.id
        rating_id, incarnation, value, gone = self._transaction.rows(BY_KEY, (rating.user_id, rating.key))[0]
        if gone:
            return None
        check_key(rating, song_id=incarnation.partition("/")[0], value=value)
        return str(rating_id)
