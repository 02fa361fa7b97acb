"""Ratings: events and statistics, together; idempotency keys."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songs.errors import KeyReused, SongNotFound
from songs.model import Rating, RatingStats
from songs_contract.harness.driver import StorageUser
from songs_contract.law import clause
from songs_contract.models.samples import NOW, next_version, rating, song
from songs_plugins import Port

PORT = Port.STORAGE

MORE_THAN_A_BYTE = 260


@pytest.fixture
def rated(use: StorageUser) -> StorageUser:
    """Two songs, song-1 and song-2, without ratings."""
    use.add_songs(song("song-1"), song("song-2"))
    return use


@clause("RAT-1")
def test_a_rating_is_counted(rated: StorageUser) -> None:
    """The receipt holds the statistics with the rating in them, and so does every later read."""
    receipt = rated.rate(rating(value=5))
    assert (receipt.stats, receipt.rating_id) == (RatingStats((0, 0, 0, 0, 1)), "rating-1")
    assert rated.stats() == receipt.stats
    assert rated.events() == (rating(value=5),)
    assert rated.stats("song-2") == RatingStats()


@clause("RAT-1", "RAT-8")
def test_the_histogram(rated: StorageUser) -> None:
    """Each value has a counter of its own, however many ratings there are and whoever gave them."""
    values = [1, 5, 2, 2, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 5, 1, 2, 3, 4, 5] * 2
    for n, value in enumerate(values):
        receipt = rated.rate(rating(f"rating-{n:03d}", value=value))
        assert receipt.stats == RatingStats.of(values[: n + 1])
    assert rated.stats() == RatingStats.of(values)
    assert RatingStats.of(event.value for event in rated.events()) == rated.stats()


@clause("RAT-8")
def test_more_than_a_byte_counts(rated: StorageUser) -> None:
    """Counters go on where one byte ends."""
    for n in range(MORE_THAN_A_BYTE):
        rated.rate(rating(f"rating-{n:03d}", value=4))
    assert rated.stats() == RatingStats((0, 0, 0, MORE_THAN_A_BYTE, 0))


@clause("RAT-2")
def test_a_song_that_is_not_there(rated: StorageUser) -> None:
    """A rating never creates a song, nor anything else."""
    for song_id in ("nobody", "song-3"):
        with pytest.raises(SongNotFound):
            rated.rate(rating(song_id=song_id))
        assert (rated.song(song_id), rated.stats(song_id), rated.events(song_id)) == (None, None, ())
    assert rated.find() == ["song-1", "song-2"]


@clause("RAT-2")
def test_a_song_that_was_deleted(rated: StorageUser) -> None:
    """A rating does not bring a deleted song back, and is not there when the song is added again."""
    rated.delete_song()
    with pytest.raises(SongNotFound):
        rated.rate(rating(key="key"))
    assert rated.song() is None
    rated.add_songs(song("song-1"))
    assert (rated.stats(), rated.events()) == (RatingStats(), ())


@clause("RAT-3")
@pytest.mark.parametrize("key", [None, "key"])
def test_adding_again(rated: StorageUser, key: str | None) -> None:
    """The same event a second time is counted once, also after others came; the receipt shows the statistics of now."""
    rated.rate(rating(key=key))
    for n in range(20):
        rated.rate(rating(f"rating-x{n:02d}", value=1))
    receipt = rated.rate(rating(key=key))
    assert (receipt.stats, receipt.rating_id) == (RatingStats((20, 0, 0, 1, 0)), "rating-1")
    assert rated.stats() == receipt.stats
    assert len(rated.events()) == 21


@clause("RAT-4")
def test_a_key_is_used_once(rated: StorageUser) -> None:
    """Another event under the same key is not stored; the receipt names the one that is."""
    rated.rate(rating("rating-1", key="key"))
    for n in range(20):
        rated.rate(rating(f"rating-x{n:02d}", user_id="other", value=1))
    receipt = rated.rate(rating("rating-2", key="key"))
    assert (receipt.stats, receipt.rating_id) == (RatingStats((20, 0, 0, 1, 0)), "rating-1")
    assert len(rated.events()) == 21


@clause("RAT-4")
@pytest.mark.parametrize("changes", [{"song_id": "song-2"}, {"value": 3}])
def test_a_key_of_another_rating(rated: StorageUser, changes: dict[str, object]) -> None:
    """Another song or another value under one key is refused and changes nothing; the key stays what it was."""
    rated.rate(rating("rating-1", key="key"))
    with pytest.raises(KeyReused):
        rated.rate(rating("rating-2", key="key", **changes))
    assert rated.events() == (rating("rating-1", key="key"),)
    assert rated.stats("song-2") == RatingStats()
    assert rated.rate(rating("rating-3", key="key")).rating_id == "rating-1"


@clause("RAT-5", "RAT-4")
def test_keys_belong_to_users(rated: StorageUser) -> None:
    """Users do not share keys, and keys are compared exactly."""
    given_by = [
        ("u", "key"),
        ("v", "key"),
        ("u", "KEY"),
        ("u", "key "[:3]),
        ("u", "key-"),
        ("u-key", "key"),
        ("U", "key"),
    ]
    stored = set()
    for n, (user_id, key) in enumerate(given_by):
        each = rating(f"rating-{n}", user_id=user_id, key=key)
        stored.add(rated.rate(each).rating_id)
    assert stored == {f"rating-{n}" for n in (0, 1, 2, 4, 5, 6)}
    stats = rated.stats()
    assert stats is not None
    assert stats.count == 6


@clause("RAT-5", "RAT-4")
def test_every_permitted_key(rated: StorageUser) -> None:
    """Every visible ASCII character, and the longest key, make keys of their own."""
    keys = [chr(point) for point in range(0x21, 0x7F)] + ["k" * 254, "k" * 255, "$k", "a.b", "a..b", "..", "null"]
    for n, key in enumerate(keys):
        each = rating(f"rating-{n:03d}", key=key)
        assert rated.rate(each).rating_id == f"rating-{n:03d}"
    for n, key in enumerate(keys):
        each = rating(f"rating-z{n:03d}", key=key)
        assert rated.rate(each).rating_id == f"rating-{n:03d}"


@clause("RAT-5")
def test_a_key_of_a_deleted_song(rated: StorageUser) -> None:
    """When a song goes, its keys are free: for another song, and for the same one added again."""
    rated.rate(rating("rating-1", key="key"))
    rated.delete_song()
    other = rating("rating-2", song_id="song-2", value=1, key="key")
    assert rated.rate(other).rating_id == "rating-2"
    rated.delete_song("song-2")
    rated.add_songs(song("song-1"))
    assert rated.rate(rating("rating-3", key="key")).rating_id == "rating-3"


@clause("RAT-6")
def test_a_key_that_failed(rated: StorageUser) -> None:
    """A rating that was refused leaves its key free."""
    with pytest.raises(SongNotFound):
        rated.rate(rating("rating-1", song_id="song-9", key="key"))
    receipt = rated.rate(rating("rating-2", value=2, key="key"))
    assert receipt.rating_id == "rating-2"


@clause("RAT-6")
def test_no_song_comes_before_a_used_key(rated: StorageUser) -> None:
    """A rating of a song that does not exist is refused for that, also under a key that belongs to another rating."""
    rated.write(lambda unit: unit.ratings.add(rating("rating-1", key="key")))
    with pytest.raises(SongNotFound):
        rated.write(lambda unit: unit.ratings.add(rating("rating-2", song_id="nobody", key="key")))
    assert rated.events() == (rating("rating-1", key="key"),)


@clause("RAT-8")
def test_statistics_of_no_song(rated: StorageUser) -> None:
    """No song and no ratings are told apart."""
    assert rated.stats("nobody") is None
    assert rated.stats("song-1") == RatingStats()


@clause("RAT-8", "RAT-9")
def test_ratings_stay_with_a_changed_song(rated: StorageUser) -> None:
    """Changing a song leaves its ratings alone."""
    rated.rate(rating())
    rated.replace_song(next_version(song("song-1"), title="New"))
    assert rated.stats() == RatingStats.of([4])
    assert rated.events() == (rating(),)


@clause("RAT-9")
@pytest.mark.parametrize(
    "stored",
    [
        rating(rated_at=NOW),
        rating(rated_at=datetime(1970, 1, 1, tzinfo=UTC)),
        rating(rated_at=datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)),
        rating(rated_at=datetime(1, 1, 1, tzinfo=UTC)),
        rating(rated_at=datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)),
        rating(rated_at=datetime(2026, 3, 29, 1, 30, 0, 1_000, tzinfo=UTC)),
        rating(value=1, key="~!"),
        rating("A-z_0" + "9" * 59, user_id="Z" * 64, key="k" * 255),
    ],
    ids=range(8),
)
def test_events_round_trip(rated: StorageUser, stored: Rating) -> None:
    """An event comes back equal, its time to the millisecond and in UTC."""
    rated.rate(stored)
    assert rated.events() == (stored,)


@clause("RAT-9")
@given(
    limit=st.integers(1, 50),
    after=st.none() | st.sampled_from(["", "rating-00", "rating-17", "rating-17x", "rating-39", "~", "A"]),
)
def test_events_in_pages(use: StorageUser, limit: int, after: str | None) -> None:
    """Events come in the order of their ids, whatever the order in which they were stored."""
    if use.song() is None:
        use.add_songs(song())
        for n in sorted(range(40), key=lambda n: n * 17 % 40):
            each = rating(f"rating-{n:02d}", rated_at=NOW - timedelta(days=n), value=n % 5 + 1)
            use.rate(each)
    ids = [f"rating-{n:02d}" for n in range(40)]
    found = use.read(lambda unit: unit.ratings.of_song("song-1", limit=limit, after_id=after))
    assert [event.id for event in found] == [each for each in ids if after is None or each > after][:limit]
