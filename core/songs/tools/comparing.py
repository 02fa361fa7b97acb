"""Reading whole storages in pages, and comparing two of them: used by a copy, before and after."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Final, Protocol, TypeVar

from songs.application.runner import UnitRunner
from songs.errors import StorageUnavailable, Unavailable
from songs.model import DifficultyTotals, Rating, RatingStats, Song, User
from songs.one_by_one import batches_of
from songs.ports.clock import Clock, Deadline
from songs.ports.coherence import CoherenceRecord
from songs.ports.storage import UnitOfWork
from songs.query import SongFilter

PAGE: Final = 500
"""The number of songs or users that are read at a time."""
RATINGS_PAGE: Final = 200
"""The number of ratings of one song that are read at a time."""
SONGS_AT_ONCE: Final = 100
"""Of how many songs the ratings are read in one unit."""
UNIT_DEADLINE_S: Final = 60.0

T = TypeVar("T")


class HasId(Protocol):
    """A record that has an id."""

    @property
    def id(self) -> str:
        """The id."""
        ...


A = TypeVar("A", bound=HasId)


@dataclass(slots=True)
class Tally:
    """Numbers of records, by kind."""

    songs: int = 0
    ratings: int = 0
    users: int = 0

    def __str__(self) -> str:
        return f"{self.songs} songs, {self.ratings} ratings, {self.users} users"


def beside(these: Iterable[A], those: Iterable[A]) -> Iterator[tuple[A, A | None]]:
    """Yield each of `these` with the one of `those` that has its id, or None. Both are ordered by id."""
    others = iter(those)
    other = next(others, None)
    for this in these:
        while other is not None and other.id < this.id:
            other = next(others, None)
        yield this, other if other is not None and other.id == this.id else None


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of `size`, the last one shorter."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


@contextmanager
def naming(storage: str) -> Iterator[None]:
    """Turn what says that a storage does not answer into a `StorageUnavailable` that says which."""
    try:
        yield
    except Unavailable as error:
        raise StorageUnavailable(f"The storage {storage!r} gave up: {error.detail}") from error


class StorageReader:
    """Reads all records of a storage, ordered by id, page by page, each page in a unit of its own.

    A record that exists during the whole walk is returned exactly once; concurrent writes may or may not be seen.
    Every method raises `songs.errors.StorageUnavailable`, with the name, when the storage does not respond.

    Args:
        name: The storage's name in messages.
        runner: Runs the units.
        clock: For the deadline of each unit.
    """

    def __init__(self, name: str, runner: UnitRunner, clock: Clock) -> None:
        self.name: Final = name
        self._runner = runner
        self._clock = clock

    def songs(self) -> Iterator[Song]:
        """Yield all songs."""
        return self._walk(
            lambda after_id: lambda unit: unit.songs.find(SongFilter(), limit=PAGE, after_id=after_id), size=PAGE
        )

    def users(self) -> Iterator[User]:
        """Yield all users."""
        return self._walk(lambda after_id: lambda unit: unit.users.find(limit=PAGE, after_id=after_id), size=PAGE)

    def ratings(self, song_ids: Collection[str]) -> Mapping[str, Iterator[Rating]]:
        """Return the ratings of each of these songs; those beyond the first page are read as they are asked for."""

        def page(song_id: str, after_id: str | None) -> Callable[[UnitOfWork], tuple[Rating, ...]]:
            return lambda unit: unit.ratings.of_song(song_id, limit=RATINGS_PAGE, after_id=after_id)

        first = self._read(lambda unit: batches_of(unit).rated(song_ids, limit=RATINGS_PAGE))
        return {
            song_id: self._walk(partial(page, song_id), size=RATINGS_PAGE, first=first[song_id].ratings)
            if song_id in first
            else iter(())
            for song_id in song_ids
        }

    def stats(self, song_ids: Collection[str]) -> Mapping[str, RatingStats | None]:
        """Return the statistics of each of these songs."""
        found = self._read(lambda unit: batches_of(unit).rated(song_ids, limit=0))
        return {song_id: found[song_id].stats if song_id in found else None for song_id in song_ids}

    def count(self) -> int:
        """Return how many songs there are."""
        return self._read(lambda unit: unit.songs.count(SongFilter()))

    def totals(self, levels: Collection[int | None]) -> Mapping[int | None, DifficultyTotals]:
        """Return the difficulty totals of each of these levels; None stands for all songs."""
        return self._read(lambda unit: {level: unit.songs.difficulty_totals(level) for level in levels})

    def coherence(self) -> CoherenceRecord:
        """Return the coherence record."""
        return self._read(lambda unit: unit.coherence.read())

    def _read(self, work: Callable[[UnitOfWork], T]) -> T:
        with naming(self.name):
            return self._runner.read(work, deadline=Deadline.after(self._clock, UNIT_DEADLINE_S))

    def _walk(
        self,
        page_after: Callable[[str | None], Callable[[UnitOfWork], tuple[A, ...]]],
        *,
        size: int,
        first: tuple[A, ...] | None = None,
    ) -> Iterator[A]:
        page = self._read(page_after(None)) if first is None else first
        yield from page
        while len(page) == size:
            page = self._read(page_after(page[-1].id))
            yield from page


@dataclass(slots=True)
class Comparison:
    """The result of comparing two storages.

    Attributes:
        equal: The numbers of records that are equal in both. Ratings are compared by the statistics of their song.
        levels: The number of levels whose difficulty totals were compared with the songs.
        missing: Records that are in the source only, one line each. Running the copy again adds them.
        different: Records that differ or are in the target only, one line each. A copy does not change them.
    """

    equal: Tally = field(default_factory=Tally)
    levels: int = 0
    missing: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether source and target are equal."""
        return not self.missing and not self.different


def compare(source: StorageReader, target: StorageReader, progress: Callable[[Tally], None]) -> Comparison:
    """Compare users, songs, the statistics of every song, and the difficulty totals of every level.

    Raises:
        StorageUnavailable: One of them does not answer.
    """
    found = Comparison()
    progress(found.equal)
    _compare_users(source, target, found)
    for chunk in chunks(beside(source.songs(), target.songs()), SONGS_AT_ONCE):
        _compare_songs(chunk, source, target, found)
        progress(found.equal)
    _compare_totals(source, target, found)
    return found


def difference(kind: str, ours: A | None, theirs: A | None, target: str) -> str | None:
    """Return what is the matter with the target's record and the source's one of the same id; None: they are equal.

    Names ids and versions only: users have secrets.
    """
    if ours == theirs:
        return None
    if ours is None or theirs is None:
        where = f"in the source and not in the storage {target!r}"
        if theirs is not None:
            where = f"in the storage {target!r} and not in the source"
        return f"the {kind} {(ours or theirs).id} is {where}"  # type: ignore[union-attr]
    versions = ""
    if isinstance(ours, Song | User) and isinstance(theirs, Song | User):
        versions = f" (version {theirs.version} there, version {ours.version} in the source)"
    return f"the {kind} {ours.id} of the storage {target!r} is not equal to the source's{versions}"


def _compare_users(source: StorageReader, target: StorageReader, found: Comparison) -> None:
    for ours, theirs in beside(source.users(), target.users()):
        found.equal.users += ours == theirs
        _note(found, difference("user", ours, theirs, target.name), missing=theirs is None)
    for copied, original in beside(target.users(), source.users()):
        if original is None:
            _note(found, difference("user", None, copied, target.name), missing=False)


def _compare_songs(
    chunk: Sequence[tuple[Song, Song | None]], source: StorageReader, target: StorageReader, found: Comparison
) -> None:
    for ours, theirs in chunk:
        found.equal.songs += ours == theirs
        _note(found, difference("song", ours, theirs, target.name), missing=theirs is None)
    both = [ours.id for ours, theirs in chunk if theirs is not None]
    our_stats, their_stats = source.stats(both), target.stats(both)
    for song_id in both:
        before, after = our_stats[song_id], their_stats[song_id]
        if before is not None and before == after:
            found.equal.ratings += before.count
            continue
        line = (
            f"the song {song_id} has {_shown(before)} in the source, and {_shown(after)} in the storage {target.name!r}"
        )
        _note(found, line, missing=_lacks_some(before, after))


def _compare_totals(source: StorageReader, target: StorageReader, found: Comparison) -> None:
    """Compare the target's totals with its songs; no song may be in the target only."""
    counts: Counter[int | None] = Counter()
    sums: Counter[int | None] = Counter()
    for copied, original in beside(target.songs(), source.songs()):
        if original is None:
            _note(found, difference("song", None, copied, target.name), missing=False)
        for level in (None, copied.level):
            counts[level] += 1
            sums[level] += copied.difficulty_milli
    totals = target.totals([None, *sorted(level for level in counts if level is not None)])
    for each, total in totals.items():
        counted = DifficultyTotals(counts[each], sums[each])
        if total != counted:
            where = "all levels" if each is None else f"level {each}"
            found.different.append(
                f"the storage {target.name!r} totals {total.count} songs of {where}, {total.sum_milli} thousandths of "
                f"difficulty, where its songs make {counted.count} and {counted.sum_milli}"
            )
    count = target.count()
    if count != counts[None]:
        found.different.append(f"the storage {target.name!r} counts {count} songs, and holds {counts[None]}")
    found.levels = len(totals) - 1


def _note(found: Comparison, line: str | None, *, missing: bool) -> None:
    if line is not None:
        (found.missing if missing else found.different).append(line)


def _lacks_some(before: RatingStats | None, after: RatingStats | None) -> bool:
    """Return whether the target has some of the source's ratings, and no others."""
    if before is None or after is None:
        return False
    return all(there <= here for here, there in zip(before.distribution, after.distribution, strict=True))


def _shown(stats: RatingStats | None) -> str:
    return "no ratings" if stats is None else "/".join(map(str, stats.distribution)) + " ratings of 1/2/3/4/5"
