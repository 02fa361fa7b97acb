"""Sessions and the rotation of their tokens."""

from datetime import UTC, datetime, timedelta

import pytest

from songs.model import Session
from songs.ports.sessions import Rotation
from songs_contract.checks import NOW, StorageUser, session
from songs_contract.clauses import clause
from songs_plugins import Port

PORT = Port.STORAGE

LATER = NOW + timedelta(minutes=5)


def get(use: StorageUser, session_id: str = "session-1") -> Session | None:
    """Return a session, as a fresh unit sees it."""
    return use.read(lambda unit: unit.sessions.get(session_id))


def rotate(
    use: StorageUser, presented: str, following: str, at: datetime = LATER, session_id: str = "session-1"
) -> Rotation:
    """Rotate a session's token with ten seconds of grace."""
    return use.write(
        lambda unit: unit.sessions.rotate(
            session_id, presented_hash=presented, next_hash=following, at=at, grace_s=10.0
        )
    )


@pytest.fixture
def signed_in(use: StorageUser) -> StorageUser:
    """One session whose current hash is "hash-1"."""
    use.write(lambda unit: unit.sessions.add(session()))
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
        use.write(lambda unit: unit.sessions.add(stored))
    assert get(use, stored.id) == stored


@clause("SES-1")
def test_adding_again_after_a_rotation(signed_in: StorageUser) -> None:
    """Repeating an addition does not bring a used token back."""
    rotate(signed_in, "hash-1", "hash-2")
    signed_in.write(lambda unit: unit.sessions.add(session()))
    found = get(signed_in)
    assert found is not None
    assert found.current_hash == "hash-2"


@clause("SES-2")
def test_rotating(signed_in: StorageUser) -> None:
    """The next token becomes current, the presented one previous; nothing else changes."""
    assert rotate(signed_in, "hash-1", "hash-2") is Rotation.ROTATED
    assert get(signed_in) == session(current_hash="hash-2", previous_hash="hash-1", rotated_at=LATER)
    assert rotate(signed_in, "hash-2", "hash-3", LATER + timedelta(days=1)) is Rotation.ROTATED
    assert get(signed_in) == session(
        current_hash="hash-3", previous_hash="hash-2", rotated_at=LATER + timedelta(days=1)
    )


@clause("SES-3")
@pytest.mark.parametrize(
    ("after_s", "expected"), [(0, Rotation.RETRIED), (10, Rotation.RETRIED), (11, Rotation.REUSED)]
)
def test_the_grace_time(signed_in: StorageUser, after_s: int, expected: Rotation) -> None:
    """The token before may be shown again for a short while, its last second included, without any consequence."""
    rotate(signed_in, "hash-1", "hash-2")
    before = get(signed_in)
    assert rotate(signed_in, "hash-1", "hash-x", LATER + timedelta(seconds=after_s)) is expected
    assert get(signed_in) == (before if expected is Rotation.RETRIED else None)


@clause("SES-4")
@pytest.mark.parametrize("presented", ["hash-1", "hash-0", "HASH-3", ""])
def test_reuse_revokes(signed_in: StorageUser, presented: str) -> None:
    """A token that was used up ends the session for whoever holds any of its tokens, and that is kept."""
    rotate(signed_in, "hash-1", "hash-2")
    rotate(signed_in, "hash-2", "hash-3", LATER + timedelta(minutes=1))
    assert rotate(signed_in, presented, "hash-x", LATER + timedelta(minutes=2)) is Rotation.REUSED
    assert get(signed_in) is None
    assert rotate(signed_in, "hash-3", "hash-4", LATER + timedelta(minutes=3)) is Rotation.UNKNOWN


@clause("SES-5")
def test_unknown_sessions(signed_in: StorageUser) -> None:
    """A session that is not there, or whose time is over, is unknown; nothing changes."""
    assert rotate(signed_in, "hash-1", "hash-2", session_id="nobody") is Rotation.UNKNOWN
    for presented in ("hash-1", "other"):
        assert rotate(signed_in, presented, "hash-2", session().expires_at) is Rotation.UNKNOWN
    assert get(signed_in) == session()
    assert rotate(signed_in, "hash-1", "hash-2", session().expires_at - timedelta(milliseconds=1)) is Rotation.ROTATED


@clause("SES-6")
def test_rotating_again(signed_in: StorageUser) -> None:
    """Repeating a rotation with the same next token says the same, also after the grace time, and changes nothing."""
    rotate(signed_in, "hash-1", "hash-2")
    before = get(signed_in)
    assert rotate(signed_in, "hash-1", "hash-2", LATER + timedelta(hours=1)) is Rotation.ROTATED
    assert get(signed_in) == before


@clause("SES-7")
def test_deleting(use: StorageUser) -> None:
    """One session, or those of a user but one, and never anybody else's; what is not there is no error."""
    for n, user_id in enumerate(["u", "u", "u", "v"], start=1):
        use.write(lambda unit, n=n, user_id=user_id: unit.sessions.add(session(f"session-{n}", user_id=user_id)))

    def left() -> list[int]:
        return [n for n in range(1, 5) if get(use, f"session-{n}") is not None]

    use.write(lambda unit: unit.sessions.delete("session-1"))
    use.write(lambda unit: unit.sessions.delete("session-1"))
    assert left() == [2, 3, 4]
    use.write(lambda unit: unit.sessions.delete_of_user("u", keep_id="session-3"))
    assert left() == [3, 4]
    use.write(lambda unit: unit.sessions.delete_of_user("v", keep_id="session-3"))
    assert left() == [3]
    use.write(lambda unit: unit.sessions.delete_of_user("u"))
    use.write(lambda unit: unit.sessions.delete_of_user("nobody"))
    assert left() == []


@clause("SES-8")
def test_deleting_expired_ones(use: StorageUser) -> None:
    """As many as asked for, only those whose time is over, and it says how many."""
    for n in range(1, 6):
        each = session(f"session-{n}", expires_at=NOW + timedelta(seconds=n))
        use.write(lambda unit, each=each: unit.sessions.add(each))
    at = NOW + timedelta(seconds=3)
    assert use.write(lambda unit: unit.sessions.delete_expired(at=at, limit=2)) == 2
    assert use.write(lambda unit: unit.sessions.delete_expired(at=at, limit=2)) == 1
    assert use.write(lambda unit: unit.sessions.delete_expired(at=at, limit=2)) == 0
    assert [n for n in range(1, 6) if get(use, f"session-{n}") is not None] == [4, 5]
