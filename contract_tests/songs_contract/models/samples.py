"""Samples of what a storage keeps and a token says, and one call of every method of its repositories.

The calls are for tests that count what each costs the backend. They are made for a storage that holds what `FILLING`
puts there, each in a unit of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from songs.model import Rating, Role, Session, Song, SongDetails, SongIdentity, User
from songs.ports.storage import UnitOfWork
from songs.ports.tokens import AccessClaims
from songs.query import SongFilter

NOW = datetime(2026, 2, 28, 23, 59, 59, 999_000, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
EVERYTHING = SongFilter()
MORE_THAN_THERE_IS = 1000

DETAILS: Final = SongDetails(artist="Trad.", title="Title", difficulty_milli=5_250, level=5, released=date(1850, 6, 15))
OTHER_DETAILS: Final = SongDetails(artist="New", title="Newer", difficulty_milli=1, level=2, released=date(2001, 2, 3))
"""In which every member is another one than in `DETAILS`."""


def claims_at(at: datetime, **changes: object) -> AccessClaims:
    """Return claims that are good from a moment on, with changes."""
    claims = AccessClaims(
        token_id="t" * 32,
        user_id="user-1",
        name="Ada.Lovelace",
        role=Role.USER,
        token_version=1,
        issued_at=at,
        expires_at=at + timedelta(minutes=10),
    )
    return replace(claims, **changes)  # type: ignore[arg-type]


def song(song_id: str = "song-1", *, version: int = 1, **changes: Any) -> Song:  # noqa: ANN401 - any member
    """Return a song whose title ends with its id, with changes of its version and details."""
    return Song(id=song_id, version=version, details=replace(DETAILS, **({"title": f"Title {song_id}"} | changes)))


def rating(rating_id: str = "rating-1", **changes: Any) -> Rating:  # noqa: ANN401 - any member
    """Return a rating of song-1, with changes."""
    members: dict[str, Any] = {"song_id": "song-1", "user_id": "user-1", "value": 4, "rated_at": NOW}
    return Rating(id=rating_id, **(members | changes))


def user(user_id: str = "user-1", **changes: Any) -> User:  # noqa: ANN401 - any member
    """Return a user whose name is its id, with changes."""
    members: dict[str, Any] = {"name": user_id, "password_hash": "a-hash", "role": Role.USER, "created_at": NOW}
    return User(id=user_id, **(members | changes))


def session(session_id: str = "session-1", **changes: Any) -> Session:  # noqa: ANN401 - any member
    """Return a session of user-1 whose current hash is "hash-1", with changes."""
    members: dict[str, Any] = {
        "user_id": "user-1",
        "current_hash": "hash-1",
        "created_at": NOW,
        "rotated_at": NOW,
        "expires_at": NOW + timedelta(days=30),
    }
    return Session(id=session_id, **(members | changes))


def next_version(before: Song, **changes: Any) -> Song:  # noqa: ANN401 - any member
    """Return the next version of a song, with changes of its details."""
    return Song(id=before.id, version=before.version + 1, details=replace(before.details, **changes))


Work = Callable[[UnitOfWork], object]

BEGAN: Final = datetime(2026, 1, 1, tzinfo=UTC)
ENDED: Final = datetime(2027, 1, 1, tzinfo=UTC)
UNKNOWN: Final = SongIdentity("A", "B", BEGAN.date())


def _song(number: int, *, title: str = "Song", version: int = 1) -> Song:
    details = replace(DETAILS, artist="Queen", title=f"{title} {number}", difficulty_milli=number, level=number)
    return Song(id=f"S{number}", details=details, version=version)


def _rating(rating_id: str, *, key: str | None = None) -> Rating:
    return Rating(id=rating_id, song_id="S1", user_id="U1", value=3, rated_at=BEGAN, key=key)


def _user(number: int, *, disabled: bool = False, version: int = 1) -> User:
    name = f"someone{number}"
    return User(id=f"U{number}", name=name, password_hash="x", disabled=disabled, created_at=BEGAN, version=version)


def _session(number: int) -> Session:
    return Session(
        id=f"T{number}", user_id="U1", current_hash="a", created_at=BEGAN, rotated_at=BEGAN, expires_at=ENDED
    )


def _find(song_filter: SongFilter) -> Work:
    return lambda unit: unit.songs.find(song_filter, limit=9)


def _go_on(song_filter: SongFilter) -> Work:
    return lambda unit: unit.songs.find(song_filter, limit=9, after_id="S0", offset=1)


def _count(song_filter: SongFilter) -> Work:
    return lambda unit: unit.songs.count(song_filter)


def _rotate(presented: str) -> Work:
    return lambda unit: unit.sessions.rotate("T1", presented_hash=presented, next_hash="b", at=BEGAN, grace_s=1)


FILLING: Final[Sequence[Work]] = (
    lambda unit: unit.songs.add_many([_song(number) for number in range(3)]),
    lambda unit: unit.users.add(_user(1)),
    lambda unit: unit.sessions.add(_session(1)),
    lambda unit: unit.ratings.add(_rating("R3", key="k")),
)

_FILTERS: Final[Mapping[str, SongFilter]] = {
    "": SongFilter(),
    " by level": SongFilter(level=1),
    " by artist": SongFilter(artist="queen"),
    " by artist and level": SongFilter(artist="queen", level=1),
    " by text": SongFilter(text="song 1"),
    " by text of two characters": SongFilter(text="so"),
    " by text and level": SongFilter(text="song 1", level=1),
    " by text and artist": SongFilter(text="song 1", artist="queen"),
}

READS: Final[Mapping[str, Work]] = {
    "songs.get": lambda unit: unit.songs.get("S1"),
    "songs.identify": lambda unit: unit.songs.identify([_song(0).identity, UNKNOWN]),
    **{f"songs.find{name}": _find(each) for name, each in _FILTERS.items()},
    **{f"songs.find{name}, a later page": _go_on(each) for name, each in _FILTERS.items()},
    **{f"songs.count{name}": _count(each) for name, each in _FILTERS.items()},
    "songs.difficulty_totals": lambda unit: unit.songs.difficulty_totals(),
    "songs.difficulty_totals of a level": lambda unit: unit.songs.difficulty_totals(1),
    "ratings.stats": lambda unit: unit.ratings.stats("S1"),
    "ratings.of_song": lambda unit: unit.ratings.of_song("S1", limit=9, after_id="R1"),
    "users.get": lambda unit: unit.users.get("U1"),
    "users.by_name": lambda unit: unit.users.by_name("Someone1"),
    "users.find": lambda unit: unit.users.find(limit=9, after_id="U0"),
    "sessions.get": lambda unit: unit.sessions.get("T1"),
    "coherence.read": lambda unit: unit.coherence.read(),
}
"""Every method that reads, for a READ unit."""

WRITES: Final[Mapping[str, Work]] = {
    "songs.add": lambda unit: unit.songs.add(_song(9)),
    "songs.add, stored already": lambda unit: unit.songs.add(_song(1)),
    "songs.add_many, one of two stored already": lambda unit: unit.songs.add_many([_song(9), _song(1)]),
    "songs.replace": lambda unit: unit.songs.replace(_song(1, title="Other", version=2), if_version=1),
    "songs.delete": lambda unit: unit.songs.delete("S1", if_version=1),
    "ratings.add without a key": lambda unit: unit.ratings.add(_rating("R4")),
    "ratings.add without a key, sent again": lambda unit: unit.ratings.add(_rating("R3")),
    "ratings.add with a key": lambda unit: unit.ratings.add(_rating("R4", key="other")),
    "ratings.add with a key, sent again": lambda unit: unit.ratings.add(_rating("R3", key="k")),
    "ratings.add with a key, repeated by the client": lambda unit: unit.ratings.add(_rating("R4", key="k")),
    "users.add": lambda unit: unit.users.add(_user(2)),
    "users.replace": lambda unit: unit.users.replace(_user(1, disabled=True, version=2), if_version=1),
    "users.delete": lambda unit: unit.users.delete("U1"),
    "sessions.add": lambda unit: unit.sessions.add(_session(2)),
    "sessions.rotate": _rotate("a"),
    "sessions.rotate, a used token": _rotate("z"),
    "sessions.delete": lambda unit: unit.sessions.delete("T1"),
    "sessions.delete_of_user": lambda unit: unit.sessions.delete_of_user("U1", limit=9, keep_id="T2"),
    "sessions.delete_expired": lambda unit: unit.sessions.delete_expired(at=ENDED, limit=9),
    "coherence.advance": lambda unit: unit.coherence.advance(expected_epoch=1, cache_on=False),
}
"""Every method that writes, for a WRITE_ONE unit."""
