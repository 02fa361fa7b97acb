"""The ratings and their statistics."""

from typing import Final

from songs.errors import KeyReused, SongNotFound
from songs.model import Rating, RatingStats
from songs.ports.ratings import RatingReceipt
from songs_sqlite import encoding
from songs_sqlite.transaction import Transaction

ADD: Final = (
    "INSERT INTO ratings (song_id, id, user_id, value, rated_at_ms, key) "
    "SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE EXISTS (SELECT 1 FROM stats WHERE song_id = ?1) ON CONFLICT DO NOTHING"
)
COUNT: Final = (
    "UPDATE stats SET n1 = n1 + (?2 = 1), n2 = n2 + (?2 = 2), n3 = n3 + (?2 = 3), n4 = n4 + (?2 = 4), "
    "n5 = n5 + (?2 = 5) WHERE song_id = ?1 RETURNING n1, n2, n3, n4, n5"
)
STATS: Final = "SELECT n1, n2, n3, n4, n5 FROM stats WHERE song_id = ?"
IS_STORED: Final = "SELECT 1 FROM ratings WHERE song_id = ? AND id = ?"
BY_KEY: Final = "SELECT id, song_id, value FROM ratings WHERE user_id = ? AND key = ?"
OF_SONG: Final = (
    "SELECT id, user_id, value, rated_at_ms, key FROM ratings WHERE song_id = ? AND id > ? ORDER BY id LIMIT ?"
)


class SqliteRatings:
    """The ratings, in one transaction."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def add(self, rating: Rating) -> RatingReceipt:
        self._transaction.writing()
        song_id = rating.song_id
        rated_at_ms = encoding.milliseconds(rating.rated_at)
        row = (song_id, rating.id, rating.user_id, rating.value, rated_at_ms, rating.key)
        if self._transaction.change(ADD, row):
            (counts,) = self._transaction.rows(COUNT, (song_id, rating.value))
            return RatingReceipt(RatingStats(counts), rating.id)
        stats = self.stats(song_id)
        if stats is None:
            raise SongNotFound
        return RatingReceipt(stats, self._stored_id(rating))

    def stats(self, song_id: str) -> RatingStats | None:
        rows = self._transaction.rows(STATS, (encoding.sought(song_id),))
        return RatingStats(rows[0]) if rows else None

    def of_song(self, song_id: str, *, limit: int, after_id: str | None = None) -> tuple[Rating, ...]:
        rows = self._transaction.rows(
            OF_SONG, (encoding.sought(song_id), encoding.sought(after_id or ""), encoding.bounded(limit))
        )
        return tuple(
            Rating(
                id=rating_id,
                song_id=song_id,
                user_id=user_id,
                value=value,
                rated_at=encoding.moment(rated_at_ms),
                key=key,
            )
            for rating_id, user_id, value, rated_at_ms, key in rows
        )

    def _stored_id(self, rating: Rating) -> str:
        """Return the id of the stored event because of which `rating` was not stored."""
        if self._transaction.rows(IS_STORED, (rating.song_id, rating.id)):
            return rating.id
        rating_id, song_id, value = self._transaction.rows(BY_KEY, (rating.user_id, rating.key))[0]
        if (song_id, value) != (rating.song_id, rating.value):
            raise KeyReused
        return str(rating_id)
