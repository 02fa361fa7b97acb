"""Sessions and the rotation of their tokens."""

from datetime import UTC, datetime, timedelta

import pytest

from songs.model import Session
from songs.ports.sessions import Rotation
from songs_contract.harness.driver import StorageUser
from songs_contract.law import clause
from songs_contract.models.samples import LATER, NOW, session
from songs_plugins import Port

PORT = Port.STORAGE


@pytest.fixture
def signed_in(use: StorageUser) -> StorageUser:
    """One session whose current hash is "hash-1"."""
    use.add_sessions(session())
    return use


@clause("SES-1")
@pytest.mark.parametrize(
    "stored",
    [
        session(),
        session(previous_hash="hash-0", rotated_at=LATER),
        session("S" * 64, current_hash="f" * 64, previous_hash="0" * 64),
        session(expires_at=datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)),
    ],
    ids=range(4),
)
def test_round_trip(use: StorageUser, stored: Session) -> None:
    """A session comes back equal, and adding it again changes nothing."""
    for _ in range(2):
        use.add_sessions(stored)
    assert use.session(stored.id) == stored


@clause("SES-1")
def test_adding_again_after_a_rotation(signed_in: StorageUser) -> None:
    """Repeating an addition does not bring a used token back."""
    signed_in.rotate("hash-1", "hash-2")
    signed_in.add_sessions(session())
    found = signed_in.session()
    assert found is not None
    assert found.current_hash == "hash-2"


@clause("SES-2")
def test_rotating(signed_in: StorageUser) -> None:
    """The next token becomes current, the presented one previous; nothing else changes."""
    assert signed_in.rotate("hash-1", "hash-2") is Rotation.ROTATED
    assert signed_in.session() == session(current_hash="hash-2", previous_hash="hash-1", rotated_at=LATER)
    assert signed_in.rotate("hash-2", "hash-3", LATER + timedelta(days=1)) is Rotation.ROTATED
    assert signed_in.session() == session(
        current_hash="hash-3", previous_hash="hash-2", rotated_at=LATER + timedelta(days=1)
    )


@clause("SES-3", "SES-4")
@pytest.mark.parametrize(
    ("after_s", "expected"), [(0, Rotation.RETRIED), (10, Rotation.RETRIED), (11, Rotation.REUSED)]
)
def test_the_grace_time(signed_in: StorageUser, after_s: int, expected: Rotation) -> None:
    """The token before may be shown again for a short while, its last second included, without any consequence."""
    signed_in.rotate("hash-1", "hash-2")
    before = signed_in.session()
    assert signed_in.rotate("hash-1", "hash-x", LATER + timedelta(seconds=after_s)) is expected
    assert signed_in.session() == (before if expected is Rotation.RETRIED else None)


@clause("SES-3", "SES-4")
@pytest.mark.parametrize(
    ("ahead", "expected"),
    [
        (timedelta(seconds=1), Rotation.RETRIED),
        (timedelta(seconds=10), Rotation.RETRIED),
        (timedelta(seconds=10, milliseconds=1), Rotation.REUSED),
        (timedelta(minutes=5), Rotation.REUSED),
        (timedelta(days=400), Rotation.REUSED),
    ],
)
def test_a_rotation_by_a_clock_that_is_ahead(signed_in: StorageUser, ahead: timedelta, expected: Rotation) -> None:
    """That the rotation lies in the future, by another process's clock, makes the grace time no longer."""
    far = session().expires_at + ahead + timedelta(days=1)
    signed_in.add_sessions(session("session-2", current_hash="hash-1", expires_at=far))
    signed_in.rotate("hash-1", "hash-2", LATER + ahead, session_id="session-2")
    before = signed_in.session("session-2")
    assert signed_in.rotate("hash-1", "hash-x", LATER, session_id="session-2") is expected
    assert signed_in.session("session-2") == (before if expected is Rotation.RETRIED else None)


@clause("SES-4")
@pytest.mark.parametrize("presented", ["hash-1", "hash-0", "HASH-3", ""])
def test_reuse_revokes(signed_in: StorageUser, presented: str) -> None:
    """A token that was used up ends the session for whoever holds any of its tokens, and that is kept."""
    signed_in.rotate("hash-1", "hash-2")
    signed_in.rotate("hash-2", "hash-3", LATER + timedelta(minutes=1))
    assert signed_in.rotate(presented, "hash-x", LATER + timedelta(minutes=2)) is Rotation.REUSED
    assert signed_in.session() is None
    assert signed_in.rotate("hash-3", "hash-4", LATER + timedelta(minutes=3)) is Rotation.UNKNOWN


@clause("SES-5")
def test_unknown_sessions(signed_in: StorageUser) -> None:
    """A session that is not there, or whose time is over, is unknown; nothing changes."""
    assert signed_in.rotate("hash-1", "hash-2", session_id="nobody") is Rotation.UNKNOWN
    for presented in ("hash-1", "other"):
        assert signed_in.rotate(presented, "hash-2", session().expires_at) is Rotation.UNKNOWN
    assert signed_in.session() == session()
    assert signed_in.rotate("hash-1", "hash-2", session().expires_at - timedelta(milliseconds=1)) is Rotation.ROTATED


@clause("SES-6")
def test_rotating_again(signed_in: StorageUser) -> None:
    """Repeating a rotation with the same next token says the same, also after the grace time, and changes nothing."""
    signed_in.rotate("hash-1", "hash-2")
    before = signed_in.session()
    assert signed_in.rotate("hash-1", "hash-2", LATER + timedelta(hours=1)) is Rotation.ROTATED
    assert signed_in.session() == before


@clause("SES-7")
def test_deleting(use: StorageUser) -> None:
    """One session, or those of a user but one, and never anybody else's; what is not there is no error."""
    for n, user_id in enumerate(["u", "u", "u", "v"], start=1):
        use.add_sessions(session(f"session-{n}", user_id=user_id))

    def left() -> list[int]:
        return [n for n in range(1, 5) if use.session(f"session-{n}") is not None]

    use.write(lambda unit: unit.sessions.delete("session-1"))
    use.write(lambda unit: unit.sessions.delete("session-1"))
    assert left() == [2, 3, 4]
    use.write(lambda unit: unit.sessions.delete_of_user("u", limit=9, keep_id="session-3"))
    assert left() == [3, 4]
    use.write(lambda unit: unit.sessions.delete_of_user("v", limit=9, keep_id="session-3"))
    assert left() == [3]
    use.write(lambda unit: unit.sessions.delete_of_user("u", limit=9))
    use.write(lambda unit: unit.sessions.delete_of_user("nobody", limit=9))
    assert left() == []


@clause("SES-7")
def test_deleting_in_pieces(use: StorageUser) -> None:
    """As many as asked for, never the one to keep, and it says how many: fewer than asked for are the last."""
    for n in range(1, 7):
        use.add_sessions(session(f"session-{n}", user_id="v" if n == 6 else "u"))

    def left() -> list[int]:
        return [n for n in range(1, 7) if use.session(f"session-{n}") is not None]

    def delete(limit: int, keep_id: str | None = None) -> int:
        return use.write(lambda unit: unit.sessions.delete_of_user("u", limit=limit, keep_id=keep_id))

    assert (delete(0), len(left())) == (0, 6)
    assert (delete(2, "session-2"), len(left())) == (2, 4)
    assert (delete(2, "session-2"), left()) == (2, [2, 6])
    assert (delete(2, "session-2"), left()) == (0, [2, 6])
    assert (delete(2), left()) == (1, [6])


@clause("SES-8")
def test_deleting_expired_ones(use: StorageUser) -> None:
    """As many as asked for, only those whose time is over, and it says how many."""
    for n in range(1, 6):
        each = session(f"session-{n}", expires_at=NOW + timedelta(seconds=n))
        use.add_sessions(each)
    at = NOW + timedelta(seconds=3)
    assert use.write(lambda unit: unit.sessions.delete_expired(at=at, limit=2)) == 2
    assert use.write(lambda unit: unit.sessions.delete_expired(at=at, limit=2)) == 1
    assert use.write(lambda unit: unit.sessions.delete_expired(at=at, limit=2)) == 0
    assert [n for n in range(1, 6) if use.session(f"session-{n}") is not None] == [4, 5]
