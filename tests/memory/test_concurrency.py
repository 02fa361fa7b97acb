"""Many writers on few songs, watched by readers."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from songs.model import Rating, RatingStats, Song
from songs.ports.storage import Scope, UnitOfWork

Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]

SONGS = ("1", "2", "3")
RATERS = 8
EACH = 2_000


def _ratings(rater: int) -> Iterator[tuple[str, str, int]]:
    """Yield id, song and value of all that one rater gives."""
    for turn in range(EACH):
        yield f"{rater}-{turn:04d}", SONGS[turn % len(SONGS)], 1 + (rater + turn) % 5


def _problem(unit: UnitOfWork, song_id: str, fewest: int) -> str | None:
    stats = unit.ratings.stats(song_id)
    events = unit.ratings.of_song(song_id, limit=RATERS * EACH)
    if stats != RatingStats.of(event.value for event in events):
        return f"{stats} but {len(events)} events"
    return f"{len(events)} events after {fewest}" if len(events) < fewest else None


def test_no_rating_is_lost_and_no_reader_sees_half_of_one(
    units: Units, new_song: Callable[..., Song], new_rating: Callable[..., Rating]
) -> None:
    """8 threads give 3 songs 2,000 ratings each; readers meanwhile see statistics with which the events agree."""
    with units(Scope.WRITE_ONE) as unit:
        unit.songs.add_many([new_song(song_id) for song_id in SONGS])
    start, done = threading.Barrier(RATERS + 2), threading.Event()
    reads, problems = [0, 0], list[str | None]()

    def rate(rater: int) -> None:
        start.wait()
        for rating_id, song_id, value in _ratings(rater):
            with units(Scope.WRITE_ONE) as unit:
                unit.ratings.add(new_rating(rating_id, song_id, value=value))

    def read(reader: int) -> None:
        start.wait()
        fewest = 0
        while not done.wait(timeout=0.01):
            with units(Scope.READ) as unit:
                problems.append(_problem(unit, SONGS[0], fewest))
                stats = unit.ratings.stats(SONGS[0])
                fewest = stats.count if stats else 0
            reads[reader] += 1

    raters = [threading.Thread(target=rate, args=(number,)) for number in range(RATERS)]
    readers = [threading.Thread(target=read, args=(number,)) for number in range(2)]
    for thread in raters + readers:
        thread.start()
    for thread in raters:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    assert set(problems) == {None}
    assert min(reads) > 0
    given = [rating for rater in range(RATERS) for rating in _ratings(rater)]
    with units(Scope.READ) as unit:
        for song_id in SONGS:
            assert unit.ratings.stats(song_id) == RatingStats.of(value for _, song, value in given if song == song_id)
            assert _problem(unit, song_id, 0) is None
