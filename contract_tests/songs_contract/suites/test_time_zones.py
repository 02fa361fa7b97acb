"""The time zone of the machine has no part in what is stored."""

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime

import pytest

from songs.ports.storage import UnitOfWork
from songs_contract.harness.driver import StorageUser
from songs_contract.law import clause
from songs_contract.models.samples import rating, session, song, user
from songs_plugins import Port

PORT = Port.STORAGE

# As rules, so that no time zone database is needed.
ZONES = {
    "Pacific-Chatham": "<+1245>-12:45<+1345>,M9.5.0/2:45,M4.1.0/3:45",
    "America-St_Johns": "NST3:30NDT,M3.2.0,M11.1.0",
    "first": "<+14>-14",
    "last": "<-12>12",
}
DATES = [date.min, date(1582, 10, 10), date(1969, 12, 31), date(1970, 1, 1), date(2026, 9, 27), date.max]
TIMES = [
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
    datetime(2026, 4, 4, 14, 30, tzinfo=UTC),
    datetime(2026, 9, 26, 14, 15, 0, 1_000, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
]


@pytest.fixture
def stand_in() -> Iterator[Callable[[str], None]]:
    """Return a function that moves the machine to a time zone; it is back at the end."""
    before = os.environ.get("TZ")

    def move(zone: str) -> None:
        os.environ["TZ"] = zone
        time.tzset()

    yield move
    if before is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = before
    time.tzset()


@clause("SNG-1", "RAT-9", "USR-1", "SES-1")
@pytest.mark.parametrize("zone", ZONES.values(), ids=ZONES)
def test_round_trip_between_time_zones(use: StorageUser, stand_in: Callable[[str], None], zone: str) -> None:
    """What one process stores in one time zone comes back equal in it, and in any other."""
    songs = [song(f"song-{n}", released=each) for n, each in enumerate(DATES)]
    ratings = [rating(f"rating-{n}", song_id="song-0", rated_at=each) for n, each in enumerate(TIMES)]
    users = [user(f"user-{n}", created_at=each) for n, each in enumerate(TIMES)]
    sessions = [
        session(f"session-{n}", created_at=each, rotated_at=each, expires_at=each) for n, each in enumerate(TIMES)
    ]

    def check(unit: UnitOfWork) -> None:
        assert [unit.songs.get(each.id) for each in songs] == songs
        assert dict(unit.songs.identify([each.identity for each in songs])) == {each.identity: each for each in songs}
        assert list(unit.ratings.of_song("song-0", limit=10)) == ratings
        assert list(unit.users.find(limit=10)) == users
        assert [unit.sessions.get(each.id) for each in sessions] == sessions

    stand_in(zone)
    use.add_songs(*songs)
    for event in ratings:
        use.rate(event)
    use.add_users(*users)
    use.add_sessions(*sessions)
    use.read(check)
    for other in ("UTC0", *ZONES.values()):
        stand_in(other)
        use.read(check)
