"""Short ways to use one storage."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TypeVar

from songs_jsonfile.storage import JsonFileStorage

from songs.model import Rating, RatingStats
from songs.ports.clock import Deadline
from songs.ports.storage import Scope, UnitOfWork
from songs_contract.models.samples import song

T = TypeVar("T")


class MachineClock:
    """The machine's time, for deadlines."""

    def now(self) -> datetime:
        """Return the time of day."""
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic_s(self) -> float:
        """Return the monotonic time."""
        return time.monotonic()

    def sleep(self, duration_s: float) -> None:
        """Wait."""
        time.sleep(duration_s)


@dataclass
class User:
    """Uses one storage, in units of one call each."""

    path: Path
    storage: JsonFileStorage

    def open(self) -> None:
        """Open and prepare the storage."""
        self.storage.open()
        self.storage.prepare()

    def reopen(self) -> None:
        """Close the storage, open and prepare it again."""
        self.storage.close()
        self.open()

    def run(self, scope: Scope, work: Callable[[UnitOfWork], T]) -> T:
        """Run `work` in a unit."""
        with self.storage.unit_of_work(scope, deadline=Deadline.after(MachineClock(), 5.0)) as unit:
            return work(unit)

    def add(self, n: int) -> None:
        """Add the song number n."""
        added = song(f"s{n}", artist="Beyoncé\u0301x", released=date(1, 1, 1))
        self.run(Scope.WRITE_ONE, lambda unit: unit.songs.add(added))

    def rate(self, n: int, song_id: str = "s1") -> None:
        """Store the rating number n."""
        rating = Rating(
            id=f"r{n}",
            song_id=song_id,
            user_id="u",
            value=n % 5 + 1,
            rated_at=datetime(1, 1, 1, tzinfo=UTC),
            key=f"k{n}",
        )
        self.run(Scope.WRITE_ONE, lambda unit: unit.ratings.add(rating))

    def rated(self, song_id: str = "s1") -> list[str]:
        """Return the ids of a song's ratings, which agree with its statistics."""
        events = self.run(Scope.READ, lambda unit: unit.ratings.of_song(song_id, limit=100_000))
        stats = self.run(Scope.READ, lambda unit: unit.ratings.stats(song_id))
        assert stats == (RatingStats.of(event.value for event in events) if stats else None)
        return [event.id for event in events]
