"""Search: one meaning, which is that of the fold and of substrings."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songs.query import SongFilter
from songs.text import fold
from songs_contract.harness.driver import StorageUser
from songs_contract.law import clause
from songs_contract.models.samples import song
from songs_contract.models.state_model import HOSTILE, texts
from songs_plugins import Port

PORT = Port.STORAGE


class Texts(NamedTuple):
    """Artist and title of a song."""

    artist: str
    title: str


CATALOGUE = (
    Texts("Beyoncé", "Halo"),
    Texts("beyonce", "100% pure_love"),
    Texts("Die Ärzte", "Straße nach %nirgendwo"),
    Texts("STRASSENJUNGS", "a.*b"),
    Texts("a\\b", "C:\\temp\\_x"),
    Texts("君の名は", "前前前世"),
    Texts("ガガ", "カカ"),
    Texts("한국", "아리랑"),
    Texts("AC/DC", "[T.N.T.] (live) + {more}"),
    Texts("O'Brien", 'say "hello"; DROP TABLE songs; --'),
    Texts("Ἀθῆναι", "Ὦ"),
    Texts("שלום", "سلام"),
    Texts("ab", "ba"),
    Texts("xyz NEAR abc", "OR AND NOT *"),
    Texts("𝄞𝄞", "🎵 ﬁnale ⅷ"),
)

MESSAGES = (
    *("beyonce", "BEYONCÉ", "halo", "a", "%", "_", "%_", "100%", ".*", "a.*b", ".", "\\", "\\_", "\\temp", "/", "c/d"),
    *(
        "strasse",
        "STRASSE",
        "straße",
        "君",
        "前前",
        "前前前",
        "ガ",
        "カ",
        "が",
        "한",
        "한국",
        "[t",
        "(live)",
        "+ {",
        "'b",
        '"',
        "; --",
    ),
    *(
        "αθηναι",
        "ω",
        "שלו",
        "سلام",
        "ab",
        "ba",
        "near",
        "or and",
        "not *",
        "*",
        "𝄞",
        "🎵",
        "fin",
        "viii",
        "  ",
        "zzz",
        "ab b",
    ),
)


@pytest.fixture
def catalogue(use: StorageUser) -> StorageUser:
    """The songs above."""
    songs = [song(f"song-{n:02d}", artist=t.artist, title=t.title, level=n % 3) for n, t in enumerate(CATALOGUE)]
    use.add_many(songs)
    return use


def expected(message: str, level: int | None = None) -> list[str]:
    """Return what the definition says, in one line."""
    text = fold(message)
    return [
        f"song-{n:02d}"
        for n, t in enumerate(CATALOGUE)
        if (text in fold(t.artist) or text in fold(t.title)) and level in (None, n % 3)
    ]


@clause("SNG-11")
@pytest.mark.parametrize("message", MESSAGES)
def test_search(catalogue: StorageUser, message: str) -> None:
    """Exactly the songs in whose folded artist or title the folded message is contained, in order."""
    assert catalogue.find(SongFilter(text=fold(message))) == expected(message)


@clause("SNG-11")
@given(message=st.text(st.sampled_from(HOSTILE), min_size=1, max_size=4).filter(fold))
def test_search_for_anything(catalogue: StorageUser, message: str) -> None:
    """The same for any short message of characters that have a meaning somewhere."""
    assert catalogue.find(SongFilter(text=fold(message))) == expected(message)


@clause("SNG-11")
@given(where=st.integers(0, len(CATALOGUE) - 1), of_title=st.booleans(), data=st.data())
def test_search_for_parts(catalogue: StorageUser, where: int, of_title: bool, data: st.DataObject) -> None:  # noqa: FBT001
    """Every part of every text finds its song."""
    text = fold(CATALOGUE[where].title if of_title else CATALOGUE[where].artist)
    start = data.draw(st.integers(0, len(text) - 1))
    part = text[start : data.draw(st.integers(start + 1, len(text)))]
    found = catalogue.find(SongFilter(text=part))
    assert f"song-{where:02d}" in found
    assert found == expected(part)


@clause("SNG-11")
@given(title=texts(), message=texts(max_size=6))
def test_search_in_anything(use: StorageUser, title: str, message: str) -> None:
    """The same for any title."""
    use.add_songs(song(title=title, artist="x"))
    text = fold(message)
    try:
        if text:
            assert use.find(SongFilter(text=text)) == (["song-1"] if text in fold(title) or text == "x" else [])
    finally:
        use.delete_song()


@clause("SNG-11")
@pytest.mark.parametrize("level", [0, 1, 2, 99])
def test_filters_combine(catalogue: StorageUser, level: int) -> None:
    """A song must meet every member of the filter."""
    assert catalogue.find(SongFilter(text="a", level=level)) == expected("a", level)
    assert catalogue.find(SongFilter(artist=fold("Beyoncé"), level=level)) == [
        f"song-{n:02d}" for n in (0, 1) if n % 3 == level
    ]


@clause("SNG-11")
def test_artist_is_the_whole_name(catalogue: StorageUser) -> None:
    """An artist is matched by the whole folded name, never by a part of it or a pattern."""
    assert catalogue.find(SongFilter(artist="beyonce")) == ["song-00", "song-01"]
    for artist in ("beyonc", "beyonce ", "b%", "b.*", "_eyonce"):
        assert catalogue.find(SongFilter(artist=artist)) == []


@clause("SNG-11")
def test_no_match_reaches_across(use: StorageUser) -> None:
    """The end of the artist and the beginning of the title do not make a match."""
    use.add_songs(song(artist="abc", title="def"))
    for text in ("abcdef", "cd", "c d", "bcde", "abc def"):
        assert use.find(SongFilter(text=text)) == []


@clause("SNG-9", "SNG-11")
def test_search_in_pages(use: StorageUser) -> None:
    """Limit, offset and after_id select from what a search finds."""
    songs = [song(f"song-{n:03d}", title=f"common {'rare' if n % 7 == 0 else ''} {n}") for n in range(100)]
    use.add_many(songs)
    found = use.find(SongFilter(text="rare"))
    assert found == [f"song-{n:03d}" for n in range(0, 100, 7)]
    page = use.page(SongFilter(text="rare"), limit=3, after_id="song-007", offset=2)
    assert [each.id for each in page] == ["song-028", "song-035", "song-042"]
