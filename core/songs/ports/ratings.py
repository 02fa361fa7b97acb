"""The ratings of a storage."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from songs.model import Rating, RatingStats


@dataclass(frozen=True, slots=True)
class RatingReceipt:
    """The result of `add`: the song's statistics now, and the id of the event that is stored for the call.

    `rating_id` is the id of the given rating, or that of an earlier one to which its idempotency key belongs.
    """

    stats: RatingStats
    rating_id: str


@runtime_checkable
class RatingRepository(Protocol):
    """The rating events and their statistics, within one unit of work.

    RAT-1: `add` stores the event and counts it in the song's statistics, both or neither, also without a transaction
        and when the process is killed at any instruction; the receipt's statistics include it.
    RAT-2: `add` of a rating to a song that does not exist raises `SongNotFound`, stores nothing and brings nothing
        back: a rating never outlives its deleted song, however the two race.
    RAT-3: `add` is safe to repeat: an event id that is stored already changes nothing, and the receipt holds the
        current statistics and that id. Event ids are unique over all songs and users: callers never use one for two
        events.
    RAT-4: A rating with a key: where (user_id, key) belongs to a stored rating of the same song and value, nothing
        changes, and the receipt holds that rating's id and the current statistics of the song; where it belongs to
        a rating of another song or value, `KeyReused` is raised and nothing changes. Of concurrent calls with one key,
        exactly one stores its rating and the others answer as if they came after it.
    RAT-5: A key belongs to one user: another user's equal key is another key. Keys are compared exactly. A key
        whose song was deleted is free again.
    RAT-6: A song that does not exist comes first: `SongNotFound`, whatever the key. A key that raised (`SongNotFound`
        or any other error) belongs to nothing.
    RAT-7: No concurrent ratings are lost, on one song or on many, from threads and (where shared) from processes.
    RAT-8: `stats` returns the current statistics, all five counters of one moment: none where the song was never rated;
        None where there is no such song.
    RAT-9: `of_song` returns the song's events equal to what was stored, ordered by id as ASCII strings: those with an
        id greater than `after_id` if given, at most `limit`; none where there is no such song. Together they
        give exactly `stats`.
    """

    def add(self, rating: Rating) -> RatingReceipt:
        """Store one rating event and count it.

        Raises:
            SongNotFound: The song does not exist.
            KeyReused: The key belongs to a rating of another song or value.
        """
        ...

    def stats(self, song_id: str) -> RatingStats | None:
        """Return the song's statistics, or None where there is no such song."""
        ...

    def of_song(self, song_id: str, *, limit: int, after_id: str | None = None) -> tuple[Rating, ...]:
        """Return rating events of a song, ordered by id."""
        ...
