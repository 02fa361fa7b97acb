"""Songs: round trips, identity, versions, totals."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songs.errors import DuplicateSong, InvalidInput, SongNotFound, VersionConflict
from songs.model import DifficultyTotals, Song, SongDetails, SongIdentity
from songs.query import SongFilter
from songs_contract.harness.driver import StorageUser
from songs_contract.law import builds_on, clause
from songs_contract.models.samples import EVERYTHING, OTHER_DETAILS, next_version, rating, song
from songs_contract.models.state_model import ANY_DETAILS
from songs_plugins import Port

PORT = Port.STORAGE

NOT_IDS = ["", "nobody", "a/b", "é", "\u0000", "' OR 1=1 --", "$ne", "x" * 10_000, "\ud800", "%", "../song-1"]


@clause("SNG-1")
@builds_on("SNG-9")
@pytest.mark.parametrize(
    "stored",
    [
        song(artist="a", title="b", difficulty_milli=0, level=0, released=date.min),
        song(artist="a" * 1024, title="é" * 1024, difficulty_milli=100_000, level=100, released=date.max),
        song(difficulty_milli=1, released=date(1582, 10, 10)),
        song(difficulty_milli=99_999, released=date(1969, 12, 31)),
        song(title="\u200f\u202bمرحبا\u202c\u200e \u2067שלום\u2069"),
        song(title="𝄞 𠮷 👩\u200d👧 🏳️\u200d🌈"),
        song(title="' \" \\ % _ .* $ { } ; -- /* \ufffd \ufeff"),
        song(title=" leading and trailing "),
        song(title="ẞß ﬁ İı ΣσςΑ"),
        song("A-z_0" + "9" * 59),
        song(version=2**53),
    ],
    ids=range(11),
)
def test_round_trip(use: StorageUser, stored: Song) -> None:
    """What was stored comes back equal, by every way of reading it."""
    use.add_songs(stored)
    assert use.song(stored.id) == stored
    assert use.page(EVERYTHING, limit=10) == (stored,)
    assert use.read(lambda unit: unit.songs.identify([stored.identity])) == {stored.identity: stored}


@clause("SNG-1")
@given(details=st.builds(SongDetails, **ANY_DETAILS))
def test_round_trip_of_anything(use: StorageUser, details: SongDetails) -> None:
    """Whatever the model admits comes back equal."""
    stored = Song(id="song-1", details=details)
    use.add_songs(stored)
    try:
        assert use.song() == stored
    finally:
        # Else every other example failed as well, since its song is there already.
        assert use.delete_song()


@clause("SNG-1")
@pytest.mark.parametrize("title", ["a\x00b", "a\ud800b", "", "a" * 1025])
def test_what_no_storage_ever_gets(title: str) -> None:
    """NUL, lone surrogates, nothing and too much are refused before a storage sees them."""
    with pytest.raises(InvalidInput):
        song(title=title)


@clause("SNG-2", "RAT-8")
@pytest.mark.parametrize("song_id", NOT_IDS)
def test_ids_that_no_song_has(use: StorageUser, song_id: str) -> None:
    """Asking for them finds nothing and is no error, whatever they look like."""
    use.add_songs(song())
    assert use.song(song_id) is None
    assert use.stats(song_id) is None
    assert use.events(song_id) == ()
    assert use.delete_song(song_id) is False
    assert use.find() == ["song-1"]


@clause("SNG-2")
def test_ids_are_compared_exactly(use: StorageUser) -> None:
    """Ids that differ in case or in trailing characters are different ids."""
    use.add_songs(song("abc", title="1"), song("ABC", title="2"), song("abc-", title="3"))
    assert [found.title for name in ("abc", "ABC", "abc-") if (found := use.song(name))] == ["1", "2", "3"]


@clause("SNG-3")
@builds_on("SNG-9")
def test_one_song_for_each_identity(use: StorageUser) -> None:
    """A second song with one artist, title and date is refused, and nothing of it stays."""
    use.add_songs(song("song-1", title="T"))
    with pytest.raises(DuplicateSong):
        use.add_songs(song("song-2", title="T", level=9))
    assert use.find() == ["song-1"]
    assert use.read(lambda unit: unit.songs.difficulty_totals()) == DifficultyTotals(1, 5_250)


@clause("SNG-3")
@builds_on("SNG-9")
def test_identity_is_compared_exactly(use: StorageUser) -> None:
    """Case, accents, width, spaces and the date make another song."""
    same: dict[str, Any] = {"artist": "Beyonce", "title": "Halo"}
    use.add_songs(song("song-01", **same))
    others: list[dict[str, Any]] = [
        {"artist": "beyonce"},
        {"artist": "Beyoncé"},
        {"title": "Halo "},
        {"title": "Ｈalo"},
        {"title": "HALO"},
        {"released": date(1850, 6, 16)},
    ]
    for n, other in enumerate(others, start=2):
        use.add_songs(song(f"song-{n:02d}", **(same | other)))
    assert use.find() == [f"song-{n:02d}" for n in range(1, 8)]


@clause("SNG-4")
@builds_on("RAT-1")
def test_adding_again(use: StorageUser) -> None:
    """Repeating an addition changes nothing, also after the song was changed or rated."""
    use.add_songs(song())
    use.rate(rating())
    use.add_songs(song())
    assert len(use.events()) == 1
    changed = next_version(song(), level=9)
    use.replace_song(changed)
    use.add_songs(song())
    assert use.song() == changed
    assert use.find() == ["song-1"]


@clause("SNG-4")
def test_adding_another_song_under_a_taken_id(use: StorageUser) -> None:
    """An id that another song has is refused."""
    use.add_songs(song())
    with pytest.raises(DuplicateSong):
        use.add_songs(song(title="Another"))
    assert use.song() == song()


@clause("SNG-5")
@builds_on("SNG-9")
def test_adding_many(use: StorageUser) -> None:
    """Each song of a batch is added or refused as it would be alone."""
    use.add_songs(song("song-1", title="T1"))
    batch = [
        song("song-1", title="T1"),
        song("song-2", title="T1"),
        song("song-3", title="T3"),
        song("song-4", title="T3"),
        song("song-5", title="T5"),
    ]
    assert use.add_many(batch) == {"song-2", "song-4"}
    assert use.find() == ["song-1", "song-3", "song-5"]
    assert use.add_many(batch) == {"song-2", "song-4"}
    assert use.find() == ["song-1", "song-3", "song-5"]


@clause("SNG-5")
@builds_on("SNG-12")
def test_adding_a_thousand(use: StorageUser) -> None:
    """A batch of the largest permitted size goes in whole, in any order; an empty one does nothing."""
    batch = [song(f"song-{n:04d}") for n in range(1000)]
    assert use.add_many(batch[::-1]) == frozenset()
    assert use.add_many([]) == frozenset()
    assert use.find() == [each.id for each in batch]
    assert use.count() == 1000


@clause("SNG-6")
@builds_on("RAT-1")
def test_replacing(use: StorageUser) -> None:
    """A change of every member is there afterwards, found by its new texts and not by its old ones; ratings stay."""
    use.add_songs(song(artist="Old", title="Older"))
    use.rate(rating())
    changed = Song(id="song-1", details=OTHER_DETAILS, version=2)
    use.replace_song(changed)
    assert use.song() == changed
    assert len(use.events()) == 1
    assert (use.find(SongFilter(text="new")), use.find(SongFilter(text="old"))) == (["song-1"], [])
    assert (use.find(SongFilter(artist="new")), use.find(SongFilter(artist="old"))) == (["song-1"], [])
    assert (use.find(SongFilter(level=2)), use.find(SongFilter(level=5))) == (["song-1"], [])
    assert use.read(lambda unit: unit.songs.difficulty_totals()) == DifficultyTotals(1, 1)
    use.add_songs(song("song-2", artist="Old", title="Older"))


@clause("SNG-6")
def test_replacing_another_version(use: StorageUser) -> None:
    """A version that is not stored, older or newer, is refused and changes nothing."""
    use.add_songs(song())
    second = next_version(song(), level=6)
    use.replace_song(second)
    with pytest.raises(VersionConflict):
        use.replace_song(next_version(song(), level=7))
    with pytest.raises(VersionConflict):
        use.replace_song(song(level=7, version=4))
    assert use.song() == second


@clause("SNG-6")
@builds_on("SNG-9")
def test_replacing_into_a_taken_identity(use: StorageUser) -> None:
    """A song cannot become another one, and stays what it was."""
    use.add_songs(song("song-1"), song("song-2"))
    with pytest.raises(DuplicateSong):
        use.replace_song(next_version(song("song-2"), title="Title song-1"))
    assert use.song("song-2") == song("song-2")
    assert use.find(SongFilter(text="song-2")) == ["song-2"]


@clause("SNG-6")
@builds_on("SNG-9")
def test_replacing_what_is_not_there(use: StorageUser) -> None:
    """A change never creates a song."""
    with pytest.raises(SongNotFound):
        use.replace_song(next_version(song()))
    assert use.find() == []


@clause("SNG-7")
def test_replacing_again(use: StorageUser) -> None:
    """Repeating a change that is stored already is no error."""
    use.add_songs(song())
    changed = next_version(song(), title="New")
    for _ in range(2):
        use.replace_song(changed)
    assert use.song() == changed


@clause("SNG-8")
@builds_on("RAT-1")
def test_deleting(use: StorageUser) -> None:
    """A deleted song is gone from every way of reading, with its ratings; deleting it again says so."""
    use.add_songs(song("song-1"), song("song-2"))
    use.rate(rating(key="key"))
    assert use.delete_song() is True
    assert use.delete_song() is False
    assert (use.song(), use.stats(), use.events()) == (None, None, ())
    assert (use.find(), use.find(SongFilter(text="song-1")), use.find(SongFilter(level=5))) == (
        ["song-2"],
        [],
        ["song-2"],
    )
    assert use.read(lambda unit: unit.songs.difficulty_totals()) == DifficultyTotals(1, 5_250)


@clause("SNG-8")
@builds_on("RAT-1")
def test_deleting_frees_the_identity(use: StorageUser) -> None:
    """A new song may take the identity, and the id, of a deleted one; it starts without ratings."""
    use.add_songs(song("song-1", title="T"))
    use.rate(rating())
    use.delete_song()
    use.add_songs(song("song-2", title="T"))
    use.delete_song("song-2")
    use.add_songs(song("song-1", title="T"))
    stats = use.stats()
    assert stats is not None
    assert (stats.count, use.events()) == (0, ())


@clause("SNG-8")
def test_deleting_another_version(use: StorageUser) -> None:
    """A version that is not stored is refused, and the song stays."""
    use.add_songs(song())
    for version in (2, 3):
        with pytest.raises(VersionConflict):
            use.delete_song("song-1", if_version=version)
    assert use.song() == song()
    assert use.delete_song("song-1", if_version=1) is True


@clause("SNG-1", "SNG-12")
def test_difficulties_are_exact(use: StorageUser) -> None:
    """Thousandths are neither rounded nor cut off, one by one and in a sum: some have no exact binary fraction."""
    songs = [song(f"song-{n:06d}", difficulty_milli=n) for n in range(1, 100_000, 100)]
    use.add_many(songs)
    assert use.page(limit=1000) == tuple(songs)
    assert [use.song(each.id) for each in songs[::10]] == songs[::10]
    totals = DifficultyTotals(len(songs), sum(each.difficulty_milli for each in songs))
    assert use.read(lambda unit: unit.songs.difficulty_totals()) == totals


@clause("SNG-12")
def test_totals(use: StorageUser) -> None:
    """Numbers and sums are exact after additions, changes of level and difficulty, and deletions."""
    use.add_songs(
        song("song-1", difficulty_milli=1, level=3),
        song("song-2", difficulty_milli=100_000, level=3),
        song("song-3", difficulty_milli=7, level=0),
    )
    assert use.read(lambda unit: unit.songs.difficulty_totals(3)) == DifficultyTotals(2, 100_001)
    changed = next_version(song("song-2", difficulty_milli=100_000, level=3), difficulty_milli=20, level=0)
    use.replace_song(changed)
    use.delete_song()
    totals = use.read(lambda unit: [unit.songs.difficulty_totals(level) for level in (None, 0, 3, 99)])
    assert totals == [
        DifficultyTotals(2, 27),
        DifficultyTotals(2, 27),
        DifficultyTotals(0, 0),
        DifficultyTotals(0, 0),
    ]


@clause("SNG-12")
def test_counts(use: StorageUser) -> None:
    """The count of a filter is the number of songs that it finds, at once after every write."""
    filters = [
        EVERYTHING,
        SongFilter(level=1),
        SongFilter(artist="x"),
        SongFilter(text="even"),
        SongFilter(text="even", artist="x", level=1),
    ]
    for n in range(12):
        title = f"{'even' if n % 2 == 0 else 'odd'} {n}"
        use.add_songs(song(f"song-{n:02d}", title=title, artist="X" if n % 3 else "Y", level=n % 4))
        for each in filters:
            assert use.count(each) == len(use.find(each))
    assert use.read(lambda unit: [unit.songs.count(each) for each in filters]) == [12, 3, 8, 6, 0]


@clause("SNG-13")
def test_identify(use: StorageUser) -> None:
    """Exactly the songs with these identities are returned; the same identity twice is no error."""
    stored = [song(f"song-{n}", title=f"T{n}") for n in range(5)]
    use.add_songs(*stored)
    absent = SongIdentity("Trad.", "t1", song().released)
    wanted = [stored[1].identity, stored[3].identity, absent, stored[1].identity]
    found = use.read(lambda unit: unit.songs.identify(wanted))
    assert found == {stored[1].identity: stored[1], stored[3].identity: stored[3]}
    assert use.read(lambda unit: unit.songs.identify([])) == {}


@clause("SNG-13")
def test_identify_many(use: StorageUser) -> None:
    """As many as are permitted at a time."""
    stored = [song(f"song-{n:04d}") for n in range(1000)]
    use.add_many(stored)
    found = use.read(lambda unit: unit.songs.identify([each.identity for each in stored]))
    assert sorted(each.id for each in found.values()) == [each.id for each in stored]
