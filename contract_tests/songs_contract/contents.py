"""Some of everything that a storage keeps, and all that its ports show of it."""

from dataclasses import dataclass, replace

from songs.model import Rating, RatingStats, Role, Session, Song, User
from songs.ports.coherence import CoherenceRecord
from songs_contract.checks import LATER, StorageUser, next_version, rating, session, song, user

SESSIONS = ("session-1", "session-2", "session-3")


@dataclass(frozen=True)
class Contents:
    """What a storage holds, and what it finds and counts."""

    songs: tuple[Song, ...]
    by_title: tuple[tuple[str, ...], ...]
    ratings: tuple[tuple[Rating, ...], ...]
    stats: tuple[RatingStats | None, ...]
    totals: tuple[tuple[int, int], ...]
    users: tuple[User, ...]
    sessions: tuple[Session | None, ...]
    coherence: CoherenceRecord


def fill(use: StorageUser) -> None:
    """Write songs, ratings with and without keys, users, sessions and the coherence record; change and delete some."""
    use.add_many([song(f"song-{n}", level=n, artist="Beyoncé" if n % 2 else "Straße") for n in range(1, 6)])
    for n in range(40):
        key = f"key-{n}" if n % 3 else None
        use.rate(rating(f"rating-{n:02d}", song_id=f"song-{n % 4 + 1}", value=n % 5 + 1, key=key))
    use.replace_song(
        next_version(song("song-2", level=2, artist="Straße"), title="君が代", difficulty_milli=1, level=9)
    )
    use.delete_song("song-4")
    use.add_users(user("user-1"), user("user-2", role=Role.ADMIN), user("user-3"), user("user-4"))
    use.replace_user(replace(user("user-2", role=Role.EDITOR, disabled=True), version=2))
    for n, owner in zip((1, 2, 3), ("user-1", "user-3", "user-4"), strict=True):
        use.add_sessions(session(f"session-{n}", user_id=owner))
    use.rotate("hash-1", "hash-2", LATER)
    use.delete_user("user-3")
    use.write(lambda unit: unit.coherence.advance(expected_epoch=1, cache_on=False, cache="redis 0 a"))


def contents(use: StorageUser) -> Contents:
    """Return all that fresh units see, of the songs, ratings, users and sessions that `fill` writes and of others."""
    songs = use.page(limit=1000)
    return Contents(
        songs=songs,
        by_title=tuple(tuple(use.titled(each.title)) for each in songs),
        ratings=tuple(use.events(each.id) for each in songs),
        stats=tuple(use.stats(each.id) for each in songs),
        totals=tuple(use.totals(level) for level in (None, *range(10))),
        users=use.users(),
        sessions=tuple(use.session(each) for each in SESSIONS),
        coherence=use.read(lambda unit: unit.coherence.read()),
    )
