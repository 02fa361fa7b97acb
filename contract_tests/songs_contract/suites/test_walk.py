"""Order, pages and walks."""

import random
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songs.query import SongFilter
from songs_contract.harness.driver import StorageUser, race, until_no_conflict
from songs_contract.law import clause
from songs_contract.models.samples import EVERYTHING, next_version, song
from songs_plugins import Port

PORT = Port.STORAGE

IDS = ["0", "00", "01", "1", "10", "2", "A", "Z", "_", "a", "a-", "a0", "aa", "b", "z", "zz", "Z-", "-", "--", "-a"]


@pytest.fixture
def twenty(use: StorageUser) -> StorageUser:
    """Twenty songs whose ids sort differently by locale, by case and by number; stored in no order."""
    shuffled = random.Random(1).sample(IDS, len(IDS))
    use.add_many([song(each, level=ord(each[0]) % 2) for each in shuffled])
    return use


def pages(use: StorageUser, song_filter: SongFilter, *, limit: int) -> Iterator[list[str]]:
    """Yield the ids of one page after the other. A walk that does not get on fails, instead of going on for ever."""
    after: str | None = None
    while page := [each.id for each in use.page(song_filter, limit=limit, after_id=after)]:
        assert after is None or page[-1] > after, f"the page after {after!r} ends with {page[-1]!r}"
        yield page
        after = page[-1]


@clause("SNG-9")
def test_order(twenty: StorageUser) -> None:
    """Songs come in the order of their ids as ASCII strings."""
    assert twenty.find() == sorted(IDS)


@clause("SNG-9")
@given(
    limit=st.integers(1, 25),
    offset=st.integers(0, 25),
    after=st.none() | st.sampled_from([*IDS, "5", "aaa", "zzz", "~", "!", "Zz"]),
    level=st.none() | st.integers(0, 1),
)
def test_pages(twenty: StorageUser, limit: int, offset: int, after: str | None, level: int | None) -> None:
    """Limit, offset and after_id mean the same as on a sorted list; after_id need not be there any more."""
    selected = [each for each in sorted(IDS) if level in (None, ord(each[0]) % 2) and (after is None or each > after)]
    found = twenty.page(SongFilter(level=level), limit=limit, after_id=after, offset=offset)
    assert [each.id for each in found] == selected[offset : offset + limit]


@clause("SNG-9")
def test_beyond_the_end(twenty: StorageUser) -> None:
    """There is nothing, and it is no error."""
    assert twenty.page(EVERYTHING, limit=5, offset=99_999) == ()
    assert twenty.page(EVERYTHING, limit=5, after_id="~") == ()


@clause("SNG-10")
@pytest.mark.parametrize("song_filter", [EVERYTHING, SongFilter(text="keep"), SongFilter(level=5)], ids=str)
def test_walk_among_writers(use: StorageUser, song_filter: SongFilter) -> None:
    """A walk sees what is there all the time exactly once, while songs around it come, change and go."""
    keep = [song(f"{n:03d}-keep", title=f"keep {n}") for n in range(60)]
    come_and_go = [song(f"{n:03d}-{'a' if n % 2 else 'z'}", title=f"keep not {n}") for n in range(60)]
    use.add_many(keep + come_and_go[::2])
    walked: list[str] = []
    randomly = random.Random(7)
    for page in pages(use, song_filter, limit=7):
        walked += page
        for each in randomly.sample(come_and_go, 6):
            if not use.delete_song(each.id):
                use.add_songs(each)
        changed = use.song(randomly.choice(keep).id)
        assert changed is not None
        use.replace_song(next_version(changed, difficulty_milli=changed.difficulty_milli + 1))
    assert [each for each in walked if each.endswith("-keep")] == [each.id for each in keep]
    assert len(set(walked)) == len(walked)
    assert walked == sorted(walked)


@clause("SNG-10")
def test_walk_beside_writing_threads(use: StorageUser) -> None:
    """The same while other threads write at the same time."""
    keep = [song(f"{n:03d}-keep") for n in range(100)]
    use.add_many(keep)

    def walk() -> list[str]:
        return [each for page in pages(use, EVERYTHING, limit=9) for each in page]

    def write(who: str) -> list[str]:
        for n in range(40):
            each = song(f"{n * 2:03d}-{who}")
            until_no_conflict(partial(use.add_songs, each))
            if n % 2:
                until_no_conflict(partial(use.delete_song, each.id))
        return []

    walkers_and_writers: list[Callable[[], list[str]]] = [walk, walk, partial(write, "a"), partial(write, "z")]
    outcomes = race(walkers_and_writers)
    for outcome in outcomes[:2]:
        assert isinstance(outcome, list), outcome
        assert [each for each in outcome if each.endswith("-keep")] == [each.id for each in keep]
        assert len(set(outcome)) == len(outcome)
    assert outcomes[2:] == [[], []]
