"""Short ways to use one storage, and to look behind it."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from songs.errors import OutcomeUnknown, StorageUnavailable, TransientConflict
from songs.model import Rating, RatingStats, Song
from songs.ports.clock import Deadline
from songs.ports.storage import Scope, UnitOfWork
from songs.text import fold
from songs_contract.models import samples
from songs_postgres import PostgresSettings, PostgresStorage
from songs_postgres.plugin import TEST_URL
from songs_postgres.testing import EphemeralServerError, programs
from songs_system.system import SystemClock

T = TypeVar("T")


def no_programs() -> str:
    """Return why a test can start no PostgreSQL here; nothing where it can, as it must in CI."""
    try:
        programs()
    except EphemeralServerError as error:
        if os.environ.get("CI") == "true":
            raise
        return str(error)
    return ""


def no_server() -> str:
    """Return why there is no PostgreSQL for a test here; nothing where one is named, or can be started."""
    return "" if os.environ.get(TEST_URL) else no_programs()


def song(song_id: str = "s1", **changes: Any) -> Song:
    """Return a song whose title is its id, with changes."""
    members: dict[str, Any] = {"title": song_id, "level": 1}
    return samples.song(song_id, **(members | changes))


def rating(rating_id: str, song_id: str = "s1", *, key: str | None = None) -> Rating:
    """Return a rating."""
    at = datetime(1, 1, 1, tzinfo=UTC)
    return Rating(id=rating_id, song_id=song_id, user_id="u", value=len(rating_id) % 5 + 1, rated_at=at, key=key)


@dataclass
class User:
    """Uses one storage, in units of one call each."""

    settings: PostgresSettings
    storage: PostgresStorage

    def run(self, scope: Scope, work: Callable[[UnitOfWork], T], deadline_s: float = 20.0) -> T:
        """Run `work` in a unit."""
        with self.storage.unit_of_work(scope, deadline=deadline(deadline_s)) as unit:
            return work(unit)

    def add(self, *songs: Song) -> None:
        """Add songs."""
        self.run(Scope.WRITE_ONE, lambda unit: unit.songs.add_many(songs))

    def rate(self, rating_id: str, *, key: str | None = None, deadline_s: float = 20.0) -> None:
        """Store a rating of s1."""
        self.run(Scope.WRITE_ONE, lambda unit: unit.ratings.add(rating(rating_id, key=key)), deadline_s)

    def insist(self, rating_id: str, *, key: str | None = None) -> None:
        """Store a rating of s1, however often it takes."""
        give_up_at_s = time.monotonic() + 60
        while True:
            try:
                return self.rate(rating_id, key=key)
            except (OutcomeUnknown, TransientConflict, StorageUnavailable):
                if time.monotonic() > give_up_at_s:
                    raise

    def rated(self, song_id: str = "s1") -> list[str]:
        """Return the ids of a song's ratings, which agree with its statistics."""
        stats, events = self.run(
            Scope.READ, lambda unit: (unit.ratings.stats(song_id), unit.ratings.of_song(song_id, limit=100_000))
        )
        assert stats == (RatingStats.of(event.value for event in events) if stats else None)
        return [event.id for event in events]

    def sql(self, statement: Any, parameters: Sequence[object] = ()) -> list[Any]:
        """Run a statement on a connection of its own, in the storage's schema."""
        with self.connection() as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """Lend out a connection of its own, in the storage's schema."""
        options = f"-c search_path={self.settings.schema_name}"
        with psycopg.connect(self.settings.url.get_secret_value(), autocommit=True, options=options) as connection:
            yield connection


def deadline(deadline_s: float) -> Deadline:
    """Return a deadline by the machine's clock."""
    return Deadline.after(SystemClock(), deadline_s)


def folded(text: str) -> str:
    """Return the fold of a text."""
    return fold(text)


def server_processes(pid: int) -> list[int]:
    """Return the ids of a server's processes."""
    found = [pid]
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(path.parent.name))
    return found


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a server's processes for the length of the block: it neither answers nor refuses.

    A process that was on its way out (that of a connection just closed) may be gone before it is stopped or woken.
    """
    stopped = server_processes(pid)
    try:
        for each in stopped:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGSTOP)
        yield
    finally:
        for each in stopped:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGCONT)
