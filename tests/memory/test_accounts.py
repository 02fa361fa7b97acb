"""Sessions that expire, and users that go."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta

from songs.model import Session, User
from songs.ports.storage import Scope, UnitOfWork

Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]

START = datetime(2026, 1, 1, tzinfo=UTC)


def _session(session_id: str, user_id: str, *, hours: int) -> Session:
    return Session(
        id=session_id,
        user_id=user_id,
        current_hash="a",
        created_at=START,
        rotated_at=START,
        expires_at=START + timedelta(hours=hours),
    )


def test_expired_sessions_go_first_expired_first(units: Units) -> None:
    """At most `limit` at a time, by time and not by id, and those that expire at this very moment too."""
    with units(Scope.WRITE_MANY) as unit:
        for number, hours in enumerate([30, 2, 1, 3, 2]):
            unit.sessions.add(_session(f"s{number}", "u", hours=hours))
        at = START + timedelta(hours=2)
        assert unit.sessions.delete_expired(at=at, limit=1) == 1
        assert unit.sessions.get("s2") is None
        assert unit.sessions.delete_expired(at=at, limit=10) == 2
        assert unit.sessions.delete_expired(at=at, limit=10) == 0
        assert [n for n in range(5) if unit.sessions.get(f"s{n}")] == [0, 3]


def test_a_removed_user_leaves_nothing_behind(units: Units) -> None:
    """Its name is free and its sessions are gone from every index; another user's stay."""
    with units(Scope.WRITE_MANY) as unit:
        for user_id in ("1", "2"):
            unit.users.add(User(id=user_id, name=f"Name{user_id}", password_hash="x", created_at=START))
            unit.sessions.add(_session(f"s{user_id}a", user_id, hours=1))
            unit.sessions.add(_session(f"s{user_id}b", user_id, hours=2))
        assert unit.users.delete("1")
        assert not unit.users.delete("1")
        unit.users.add(User(id="3", name="nAME1", password_hash="x", created_at=START))
        unit.sessions.delete_of_user("2", limit=9, keep_id="s2b")
        assert [user.id for user in unit.users.find(limit=10)] == ["2", "3"]
        assert unit.sessions.delete_expired(at=START + timedelta(hours=9), limit=10) == 1
        assert unit.sessions.get("s2b") is None
