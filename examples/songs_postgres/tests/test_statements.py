"""The statements that each operation sends: how many, how many round trips, and by which indexes."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from database_user import User, deadline, rating, song
from songs_postgres.connection import Connection
from songs_postgres.unit import Unit

from songs.model import Session, SongIdentity
from songs.model import User as Account
from songs.ports.storage import Scope, UnitOfWork
from songs.query import SongFilter

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2027, 1, 1, tzinfo=UTC)
ACCOUNT = Account(id="u", name="someone", password_hash="x", created_at=NOW)
CHANGED = Account(id="u", name="someone", password_hash="y", created_at=NOW, version=2)
SESSION = Session(id="t", user_id="u", current_hash="a", created_at=NOW, rotated_at=NOW, expires_at=LATER)
Work = Callable[[UnitOfWork], object]

READS: dict[str, tuple[Work, int]] = {
    "songs.get": (lambda unit: unit.songs.get("s1"), 1),
    "songs.identify": (lambda unit: unit.songs.identify([song().identity, SongIdentity("a", "b", NOW.date())]), 1),
    "songs.find": (lambda unit: unit.songs.find(SongFilter(text="s"), limit=9), 1),
    "songs.count": (lambda unit: unit.songs.count(SongFilter()), 1),
    "songs.count text": (lambda unit: unit.songs.count(SongFilter(text="abc")), 1),
    "songs.difficulty_totals": (lambda unit: unit.songs.difficulty_totals(1), 1),
    "ratings.stats": (lambda unit: unit.ratings.stats("s1"), 1),
    "ratings.of_song": (lambda unit: unit.ratings.of_song("s1", limit=9), 1),
    "users.by_name": (lambda unit: unit.users.by_name("SOMEONE"), 1),
    "users.find": (lambda unit: unit.users.find(limit=9), 1),
    "sessions.get": (lambda unit: unit.sessions.get("t"), 1),
    "coherence.read": (lambda unit: unit.coherence.read(), 1),
}
WRITES: dict[str, tuple[Work, int]] = {
    "songs.add": (lambda unit: unit.songs.add(song("s2")), 1),
    "songs.add again": (lambda unit: unit.songs.add(song()), 2),
    "songs.add_many": (lambda unit: unit.songs.add_many([song(f"n{n}") for n in range(1000)]), 1),
    "songs.replace": (lambda unit: unit.songs.replace(song(level=2, version=2), if_version=1), 2),
    "songs.delete": (lambda unit: unit.songs.delete("s1"), 2),
    "ratings.add": (lambda unit: unit.ratings.add(rating("r2")), 1),
    "ratings.add keyed": (lambda unit: unit.ratings.add(rating("r2", key="other")), 1),
    "ratings.add replayed": (lambda unit: unit.ratings.add(rating("r9", key="key")), 2),
    "users.add": (
        lambda unit: unit.users.add(Account(id="v", name="other", password_hash="x", created_at=NOW)),
        1,
    ),
    "users.replace": (lambda unit: unit.users.replace(CHANGED, if_version=1), 2),
    "users.delete": (lambda unit: unit.users.delete("u"), 1),
    "sessions.rotate": (
        lambda unit: unit.sessions.rotate("t", presented_hash="a", next_hash="b", at=NOW, grace_s=1),
        2,
    ),
    "sessions.delete": (lambda unit: unit.sessions.delete("t"), 1),
    "sessions.delete_of_user": (lambda unit: unit.sessions.delete_of_user("u"), 1),
    "sessions.delete_expired": (lambda unit: unit.sessions.delete_expired(at=LATER, limit=9), 1),
    "coherence.advance": (lambda unit: unit.coherence.advance(expected_epoch=1, cache_on=False), 1),
}


@pytest.fixture
def filled(user: User) -> User:
    """A rating with a key, an account and a session besides the song."""
    user.rate("r1", key="key")
    user.run(Scope.WRITE_ONE, lambda unit: unit.users.add(ACCOUNT))
    user.run(Scope.WRITE_ONE, lambda unit: unit.sessions.add(SESSION))
    return user


def _sent(user: User, scope: Scope, work: Work, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], int]:
    """Return the statements that a unit sends, and how often it waits for the server."""
    statements: list[str] = []
    waits = 0
    execute, wait = Connection.execute, Connection.wait

    def noted(self: Connection, statement: str, *arguments: object, **options: object) -> object:
        statements.append(statement)
        return execute(self, statement, *arguments, **options)  # type: ignore[call-overload]

    def counted(self: Connection, generator: object, *arguments: object) -> object:
        nonlocal waits
        # Within a pipeline psycopg only queues, except at its end.
        waits += self._pipeline is None or generator.__name__ in {"_sync_gen", "_exit_gen"}  # type: ignore[attr-defined]
        return wait(self, generator, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "execute", noted)
        patch.setattr(Connection, "wait", counted)
        user.run(scope, work)
    return statements, waits


@pytest.mark.parametrize("name", READS)
def test_statements_of_a_read(name: str, filled: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read is one statement, sent together with the beginning of its transaction."""
    work, count = READS[name]
    statements, waits = _sent(filled, Scope.READ, work, monkeypatch)
    assert statements[0].startswith("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    assert statements[1].startswith("SELECT set_config('statement_timeout'")
    assert statements[-1] == "COMMIT"
    assert len(statements) == count + 3
    assert waits == count + 1


@pytest.mark.parametrize("name", WRITES)
def test_statements_of_a_write(name: str, filled: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write is one statement, or two where it decides on what is stored."""
    work, count = WRITES[name]
    statements, waits = _sent(filled, Scope.WRITE_ONE, work, monkeypatch)
    assert statements[0].startswith("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
    assert statements[-1] == "COMMIT"
    assert len(statements) == count + 3
    assert waits == count + 1


def test_a_unit_that_asks_nothing_takes_nothing(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entering and leaving a unit sends nothing."""
    assert _sent(user, Scope.READ, lambda _unit: None, monkeypatch) == ([], 0)


def test_the_limits_of_a_transaction(user: User) -> None:
    """The server gives up by itself at the deadline, and soon after it rolls back what a vanished client left."""
    with user.storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline(5.0)) as unit:
        assert isinstance(unit, Unit)
        names = ("statement_timeout", "idle_in_transaction_session_timeout", "synchronous_commit")
        shown = {name: unit.rows("SELECT current_setting(%s)", (name,))[0][0] for name in names}
    assert 1 < int(shown["statement_timeout"].removesuffix("ms").replace("5s", "5000")) <= 5000
    assert 1000 < int(shown["idle_in_transaction_session_timeout"].removesuffix("ms").replace("6s", "6000")) <= 6000
    assert shown["synchronous_commit"] == "on"
