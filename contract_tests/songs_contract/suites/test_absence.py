"""Changing, removing and rotating what is not there: never there, not any more, or the second time."""

import pytest

from songs.errors import SongNotFound, UserNotFound, VersionConflict
from songs.model import RatingStats
from songs.ports.sessions import Rotation
from songs_contract.harness.driver import StorageUser
from songs_contract.law import builds_on, clause
from songs_contract.models.samples import LATER, next_version, rating, session, song, user
from songs_plugins import Port

PORT = Port.STORAGE


@clause("SNG-8")
@builds_on("RAT-8")
@pytest.mark.parametrize("if_version", [None, 0, 1, 2, 2**53])
def test_removing_no_song(use: StorageUser, if_version: int | None) -> None:
    """It was not there, says the answer, whatever its version should have been, and also the second time."""
    assert [use.delete_song(if_version=if_version) for _ in range(2)] == [False, False]
    use.add_songs(song())
    if if_version in (None, 1):
        assert use.delete_song(if_version=if_version) is True
    else:
        with pytest.raises(VersionConflict):
            use.delete_song(if_version=if_version)
        assert use.delete_song() is True
    assert [use.delete_song(if_version=if_version) for _ in range(2)] == [False, False]
    assert (use.song(), use.stats(), use.events()) == (None, None, ())


@clause("SNG-6", "RAT-2")
def test_changing_no_song(use: StorageUser) -> None:
    """That there is no song comes first, also where its identity is taken, and nothing is left of the attempt."""
    use.add_songs(song("song-1"), song("song-2"))
    use.delete_song("song-1")
    for changed in (next_version(song("song-1")), next_version(song("song-1"), title="Title song-2"), song(version=1)):
        for _ in range(2):
            with pytest.raises(SongNotFound):
                use.replace_song(changed)
    with pytest.raises(SongNotFound):
        use.rate(rating(key="key"))
    assert (use.find(), use.song(), use.stats()) == (["song-2"], None, None)
    use.add_songs(song("song-1", level=7))
    assert (use.song(), use.stats(), use.events()) == (song("song-1", level=7), RatingStats(), ())


@clause("USR-5", "USR-6", "USR-2")
def test_no_user(use: StorageUser) -> None:
    """It is neither changed nor removed; id and name of one that is gone are free for another."""
    assert [use.delete_user() for _ in range(2)] == [False, False]
    for _ in range(2):
        with pytest.raises(UserNotFound):
            use.replace_user(user(version=2))
    use.add_users(user(name="Ada"))
    assert [use.delete_user() for _ in range(2)] == [True, False]
    with pytest.raises(UserNotFound):
        use.replace_user(user(name="Ada", version=2))
    use.add_users(user(name="another"), user("user-2", name="ADA"))
    assert use.users() == (user(name="another"), user("user-2", name="ADA"))
    assert use.user_named("ada") == user("user-2", name="ADA")


@clause("SES-5", "SES-7", "SES-8", "SES-1")
def test_no_session(use: StorageUser) -> None:
    """It is unknown to a rotation, removed without an error, counted as none, and kept as nothing; its id is free."""

    def delete(user_id: str, keep_id: str | None = None) -> int:
        return use.write(lambda unit: unit.sessions.delete_of_user(user_id, limit=9, keep_id=keep_id))

    assert [delete("user-1"), delete("user-1", "session-1"), delete("", "")] == [0, 0, 0]
    assert use.write(lambda unit: unit.sessions.delete_expired(at=LATER, limit=9)) == 0
    assert use.rotate("hash-1", "hash-2") is Rotation.UNKNOWN
    for n in (1, 2):
        use.add_sessions(session(f"session-{n}"))
    assert delete("user-1", "session-9") == 2
    assert delete("user-1", "session-9") == 0
    assert [use.rotate("hash-1", "hash-2") for _ in range(2)] == [Rotation.UNKNOWN] * 2
    for removed in range(3):
        again = session(current_hash=f"hash-{removed}", user_id=f"user-{removed}")
        use.add_sessions(again)
        assert use.session() == again
        for _ in range(2):
            use.write(lambda unit: unit.sessions.delete("session-1"))
    assert use.session() is None
