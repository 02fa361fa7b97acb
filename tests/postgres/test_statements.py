"""The statements that each operation sends: how many, how many round trips, and by which indexes."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from tests.postgres.database_user import User, deadline

from songs.ports.storage import Scope, UnitOfWork
from songs.query import SongFilter
from songs_contract.models.samples import FILLING, READS, WRITES
from songs_postgres.connection import Connection
from songs_postgres.unit import Unit

COSTS = tomllib.loads((Path(__file__).parents[1] / "costs.toml").read_text(encoding="utf-8"))["postgres"]
Work = Callable[[UnitOfWork], object]


@pytest.fixture
def filled(user: User) -> User:
    """A storage with what the operations need."""
    for work in FILLING:
        user.run(Scope.WRITE_ONE, work)
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


IDS = [f"S{n}" for n in range(100)]
BATCHES: dict[str, Callable[[Unit], object]] = {
    "songs": lambda unit: unit.batches.songs(IDS),
    "meeting": lambda unit: unit.batches.meeting([(each, SongFilter(text="song")) for each in IDS]),
    "rated": lambda unit: unit.batches.rated(IDS, limit=9),
    "users": lambda unit: unit.batches.users(IDS),
    "users_named": lambda unit: unit.batches.users_named(IDS),
}


@pytest.mark.parametrize("name", BATCHES)
def test_a_batch_is_one_statement(name: str, filled: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many records it is asked for."""
    statements, waits = _sent(filled, Scope.READ, cast("Work", BATCHES[name]), monkeypatch)
    assert (len(statements), waits) == (1 + 3, 2)


@pytest.mark.parametrize("name", READS)
def test_statements_of_a_read(name: str, filled: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read is one statement, sent together with the beginning of its transaction."""
    count = COSTS[name]
    statements, waits = _sent(filled, Scope.READ, READS[name], monkeypatch)
    assert statements[0].startswith("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    assert statements[1].startswith("SELECT set_config('statement_timeout'")
    assert statements[-1] == "COMMIT"
    assert len(statements) == count + 3
    assert waits == count + 1


@pytest.mark.parametrize("name", WRITES)
def test_statements_of_a_write(name: str, filled: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write is one statement, or two where it decides on what is stored."""
    count = COSTS[name]
    statements, waits = _sent(filled, Scope.WRITE_ONE, WRITES[name], monkeypatch)
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
