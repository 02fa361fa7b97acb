"""What must not be taken for one another, and what a write leaves alone."""

from datetime import date

import pytest

from songs.model import Role, SongIdentity
from songs_contract.harness.driver import StorageUser
from songs_contract.law import builds_on, clause
from songs_contract.models.samples import rating, session, song, user
from songs_plugins import Port

PORT = Port.STORAGE

SEPARATORS = ["", " ", "-", "_", ":", "|", "/", ".", ",", "\\", "'", "::"]


@clause("SNG-3", "SNG-13")
@builds_on("SNG-9")
@pytest.mark.parametrize("separator", SEPARATORS)
def test_artist_and_title_do_not_blend(use: StorageUser, separator: str) -> None:
    """Two songs whose artist and title read the same when joined are two songs."""
    one = song("song-1", artist=f"a{separator}b", title="c")
    other = song("song-2", artist="a", title=f"b{separator}c")
    use.add_songs(one, other)
    assert use.find() == ["song-1", "song-2"]
    found = use.read(lambda unit: unit.songs.identify([one.identity, other.identity]))
    assert found == {one.identity: one, other.identity: other}


@clause("SNG-13")
def test_every_member_of_an_identity_counts(use: StorageUser) -> None:
    """An identity that differs from a stored one in one member alone is not found."""
    stored = song(artist="Artist", title="Title")
    use.add_songs(stored)
    others = [
        SongIdentity("Artist", "Title", date(1850, 6, 16)),
        SongIdentity("Artist", "Title", date(1, 1, 1)),
        SongIdentity("Artist", "title", stored.released),
        SongIdentity("Artist", "Title ", stored.released),
        SongIdentity("artist", "Title", stored.released),
        SongIdentity("Artíst", "Title", stored.released),
        SongIdentity("Title", "Artist", stored.released),
    ]
    assert use.read(lambda unit: unit.songs.identify(others)) == {}


@clause("RAT-5")
@pytest.mark.parametrize("separator", ["", "-", "_"])
def test_user_and_key_do_not_blend(use: StorageUser, separator: str) -> None:
    """Two pairs of user and key that read the same when joined are two pairs."""
    use.add_songs(song())
    pairs = [(f"a{separator}b", "c"), ("a", f"b{separator}c")]
    for n, (user_id, key) in enumerate(pairs):
        assert use.rate(rating(f"rating-{n}", user_id=user_id, key=key)).rating_id == f"rating-{n}"
    assert len(use.events()) == 2


@clause("USR-5", "USR-4", "SES-1")
def test_replacing_a_user_leaves_its_sessions(use: StorageUser) -> None:
    """A changed user has the sessions, and the ratings, that it had before."""
    use.add_songs(song())
    use.add_users(user())
    use.add_sessions(session())
    use.rate(rating(key="key"))
    use.replace_user(user(role=Role.ADMIN, version=2))
    assert use.session() == session()
    assert use.events() == (rating(key="key"),)
    assert use.user_named("USER-1") == user(role=Role.ADMIN, version=2)
