"""Checking a storage through its ports for inconsistencies.

Safe while the storage is served: a record that looks wrong is read again, since others may write between two reads.
A storage checks for itself what no port shows (indexes, orphaned records): `songs.ports.maintenance`. Records are
read in batches, so that a storage behind a network is asked a few times for a hundred of them.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Self, TypeVar

from songs.application.runner import UnitRunner, Work
from songs.limits import MAX_LEVEL
from songs.model import DifficultyTotals, Rating, RatingStats, Song
from songs.one_by_one import batches_of
from songs.ports.batches import RatedSong
from songs.ports.clock import Clock, Deadline
from songs.ports.storage import Storage, UnitOfWork
from songs.query import SongFilter
from songs.text import fold
from songs.tools.comparing import HasId, Tally, naming

LOOKS: Final = 3
"""The number of times that a record must look wrong before it is reported."""
AT_ONCE: Final = 100
"""The number of songs or users that one unit checks."""
RATINGS_PAGE: Final = 200
PING_DEADLINE_S: Final = 3.0
UNIT_DEADLINE_S: Final = 60.0

T = TypeVar("T")


@dataclass(slots=True)
class Examination:
    """The result of checking a storage.

    Attributes:
        seen: The number of records checked.
        totals: Whether the difficulty totals could be recounted, because no write changed them meanwhile.
        wrong: The inconsistencies, one line each.
    """

    seen: Tally = field(default_factory=Tally)
    totals: bool = False
    wrong: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Look:
    """The findings of one unit: numbers of records, ratings and difficulties by level, and inconsistent records."""

    count: int
    last_id: str | None
    wrong: list[tuple[str, str]]
    ratings: int = 0
    counts: Counter[int | None] = field(default_factory=Counter)
    sums: Counter[int | None] = field(default_factory=Counter)

    @classmethod
    def at(cls, kind: str, records: Sequence[HasId], after_id: str | None) -> Self:
        """Return the look at a page of records, whose ids must ascend."""
        ids = [after_id or "", *(record.id for record in records)]
        wrong = [(one, f"the {kind} {one} is listed before {other}") for one, other in pairwise(ids) if one >= other]
        return cls(len(records), max(ids), wrong)


class Examiner:
    """Checks a storage.

    Args:
        name: The storage's name in messages.
        storage: The storage, open and prepared.
        runner: Runs its units.
        clock: For deadlines.
    """

    def __init__(self, name: str, storage: Storage, runner: UnitRunner, clock: Clock) -> None:
        self._name = name
        self._storage = storage
        self._runner = runner
        self._clock = clock

    def run(
        self, progress: Callable[[Tally], None] = lambda _tally: None, *, found: Examination | None = None
    ) -> Examination:
        """Look at every user, song and rating, at what finds them, and at the totals.

        Args:
            progress: Called with the numbers of records so far.
            found: Takes the result, and what was found until then if this raises.

        Raises:
            StorageUnavailable: It does not answer, or a record is damaged so that it cannot be read.
        """
        found = Examination() if found is None else found
        with naming(self._name):
            self._storage.ping(deadline=Deadline.after(self._clock, PING_DEADLINE_S))
            for look in self._looks(_look_at_users):
                found.seen.users += look.count
                found.wrong += [line for _, line in look.wrong]
            before = self._read(_totals)
            counts: Counter[int | None] = Counter()
            sums: Counter[int | None] = Counter()
            for look in self._looks(_look_at_songs):
                found.seen.songs += look.count
                found.seen.ratings += look.ratings
                found.wrong += [line for _, line in look.wrong]
                counts.update(look.counts)
                sums.update(look.sums)
                progress(found.seen)
            found.totals = self._read(_totals) == before
        if found.totals:
            found.wrong += _wrong_totals(before, counts, sums)
        return found

    def _looks(self, look: Callable[[UnitOfWork, str | None], _Look]) -> Iterator[_Look]:
        after_id: str | None = None
        while (seen := self._look(look, after_id)).count:
            yield seen
            after_id = seen.last_id

    def _look(self, look: Callable[[UnitOfWork, str | None], _Look], after_id: str | None) -> _Look:
        seen = self._read(lambda unit: look(unit, after_id))
        for _ in range(LOOKS - 1):
            doubtful = {record_id for record_id, _ in seen.wrong}
            if not doubtful:
                break
            seen = self._read(lambda unit: look(unit, after_id))
            # Another record that looks wrong now was right before.
            seen.wrong = [each for each in seen.wrong if each[0] in doubtful]
        return seen

    def _read(self, work: Work[T]) -> T:
        return self._runner.read(work, deadline=Deadline.after(self._clock, UNIT_DEADLINE_S))


def _look_at_users(unit: UnitOfWork, after_id: str | None) -> _Look:
    users = unit.users.find(limit=AT_ONCE, after_id=after_id)
    look = _Look.at("user", users, after_id)
    batches = batches_of(unit)
    by_id = batches.users([user.id for user in users])
    by_name = batches.users_named([user.name.swapcase() for user in users])
    for user in users:
        if by_id.get(user.id) != user:
            look.wrong.append((user.id, f"the user {user.id} is listed and not found by its id"))
        if by_name.get(user.name.swapcase()) != user:
            look.wrong.append((user.id, f"the user {user.id} is not the one that is found by its name"))
    return look


def _look_at_songs(unit: UnitOfWork, after_id: str | None) -> _Look:
    songs = unit.songs.find(SongFilter(), limit=AT_ONCE, after_id=after_id)
    look = _Look.at("song", songs, after_id)
    ids = [song.id for song in songs]
    look.wrong += _not_found(unit, songs)
    rated = batches_of(unit).rated(ids, limit=RATINGS_PAGE)
    for song in songs:
        reported, values = rated.get(song.id), []
        if reported is not None:
            values = [event.value for event in _events(unit, song.id, reported)]
        if reported is None or not _agree(unit, song.id, reported, RatingStats.of(values)):
            line = f"the statistics of the song {song.id} do not agree with its {len(values)} ratings"
            look.wrong.append((song.id, line))
        look.ratings += len(values)
        for level in (None, song.level):
            look.counts[level] += 1
            look.sums[level] += song.difficulty_milli
    return look


def _not_found(unit: UnitOfWork, songs: Sequence[Song]) -> Iterator[tuple[str, str]]:
    """Yield the ids of songs that something does not find, and what."""
    batches = batches_of(unit)
    by_id = batches.songs([song.id for song in songs])
    identified = unit.songs.identify([song.identity for song in songs])
    searches = {song.id: _searches(song) for song in songs}
    found = batches.meeting([(song_id, each) for song_id, by in searches.items() for each in by.values()])
    for song in songs:
        if by_id.get(song.id) != song:
            yield song.id, f"the song {song.id} is listed and not found by its id"
        if identified.get(song.identity) != song:
            yield song.id, f"the song {song.id} is not the one that is found by its artist, title and release date"
        for member, song_filter in searches[song.id].items():
            if (song.id, song_filter) not in found:
                yield song.id, f"the song {song.id} is not found by its {member}"


def _searches(song: Song) -> dict[str, SongFilter]:
    """Return the searches that find a song, by the member they go by."""
    artist, title = fold(song.artist), fold(song.title)
    searches = {"level": SongFilter(level=song.level)}
    if artist:
        searches["artist"] = SongFilter(artist=artist)
    if title:
        searches["title"] = SongFilter(text=title)
    return searches


def _agree(unit: UnitOfWork, song_id: str, reported: RatedSong, found: RatingStats) -> bool:
    """Return whether a song's statistics are those of the ratings that were found from then on."""
    if reported.stats == found or len(reported.ratings) < RATINGS_PAGE:
        return reported.stats == found
    # Page after page was read, of a song that is rated meanwhile perhaps: nothing goes, so what was found lies between.
    later = unit.ratings.stats(song_id) or reported.stats
    between = zip(reported.stats.distribution, found.distribution, later.distribution, strict=True)
    return all(before <= counted <= after for before, counted, after in between)


def _events(unit: UnitOfWork, song_id: str, rated: RatedSong) -> Iterator[Rating]:
    page = rated.ratings
    yield from page
    while len(page) == RATINGS_PAGE:
        page = unit.ratings.of_song(song_id, limit=RATINGS_PAGE, after_id=page[-1].id)
        yield from page


def _totals(unit: UnitOfWork) -> dict[int | None, DifficultyTotals]:
    return {level: unit.songs.difficulty_totals(level) for level in (None, *range(MAX_LEVEL + 1))}


def _wrong_totals(
    reported: Mapping[int | None, DifficultyTotals], counts: Counter[int | None], sums: Counter[int | None]
) -> Iterator[str]:
    for level, totals in reported.items():
        if totals != DifficultyTotals(counts[level], sums[level]):
            where = "all songs" if level is None else f"level {level}"
            yield (
                f"the totals of {where} are {totals.count} songs and {totals.sum_milli} thousandths of difficulty, "
                f"where a walk finds {counts[level]} and {sums[level]}"
            )
