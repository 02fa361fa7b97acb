"""Decisions that the ports ask of every storage: each on plain values, without a storage."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from songs.errors import DuplicateSong, KeyReused, SongNotFound, UserExists, UserNotFound, VersionConflict
from songs.model import Rating, Role, Session, Song, SongDetails, User
from songs.ports.sessions import Rotation
from songs_plugins.decisions import (
    check_key,
    check_version,
    decide_rotation,
    is_new,
    is_repeat,
    replaceable,
    sort_out,
    stored_as,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)
DETAILS = SongDetails(artist="A", title="T", difficulty_milli=1, level=1, released=date(2020, 1, 1))
SONG = Song(id="s1", details=DETAILS, version=3)
USER = User(
    id="u1",
    name="Ann",
    password_hash="hash",
    role=Role.USER,
    disabled=False,
    created_at=AT,
    token_version=1,
    version=3,
)
RATING = Rating(id="r1", song_id="s1", user_id="u1", value=4, rated_at=AT, key="k")
SESSION = Session(
    id="x1",
    user_id="u1",
    current_hash="current",
    previous_hash="previous",
    created_at=AT,
    rotated_at=AT,
    expires_at=AT + timedelta(hours=1),
)
GRACE_S = 10.0


def _decided(
    stored: Session | None = SESSION, presented: str = "current", *, next_hash: str = "next", after_s: float = 5.0
) -> tuple[Rotation, Session | None]:
    at = AT + timedelta(seconds=after_s)
    return decide_rotation(stored, presented_hash=presented, next_hash=next_hash, at=at, grace_s=GRACE_S)


def test_the_current_token_rotates() -> None:
    """The session to store has the next hash, the presented one as the previous, and the time; the rest stays."""
    at = AT + timedelta(seconds=5)
    assert _decided() == (
        Rotation.ROTATED,
        replace(SESSION, current_hash="next", previous_hash="current", rotated_at=at),
    )


@pytest.mark.parametrize("after_s", [-GRACE_S, 0.0, GRACE_S])
def test_the_token_before_is_a_retry_within_the_grace_time(after_s: float) -> None:
    """As many seconds before the rotation as after it."""
    assert _decided(presented="previous", after_s=after_s) == (Rotation.RETRIED, None)


@pytest.mark.parametrize("after_s", [-GRACE_S - 0.001, GRACE_S + 0.001])
def test_the_token_before_is_reused_beyond_it(after_s: float) -> None:
    """Who presents it then may have stolen it."""
    assert _decided(presented="previous", after_s=after_s) == (Rotation.REUSED, None)


def test_any_other_token_is_reused() -> None:
    """Also where there was no token before, and within the grace time."""
    assert _decided(presented="older", after_s=0.0) == (Rotation.REUSED, None)
    assert _decided(replace(SESSION, previous_hash=None), "older", after_s=0.0) == (Rotation.REUSED, None)


@pytest.mark.parametrize("after_s", [5.0, GRACE_S + 60])
def test_a_rotation_is_repeated(after_s: float) -> None:
    """The same two hashes again, whenever: it has rotated already, and nothing is stored."""
    assert _decided(presented="previous", next_hash="current", after_s=after_s) == (Rotation.ROTATED, None)


@pytest.mark.parametrize("presented", ["current", "previous", "older"])
def test_a_session_that_has_expired_is_unknown(presented: str) -> None:
    """From the very moment on, whatever is presented; a moment before it is not."""
    left_s = timedelta(hours=1).total_seconds()
    assert _decided(presented=presented, after_s=left_s) == (Rotation.UNKNOWN, None)
    assert _decided(presented=presented, after_s=left_s - 0.001)[0] is not Rotation.UNKNOWN


def test_a_session_that_is_not_there_is_unknown() -> None:
    """Nothing is stored."""
    assert _decided(None) == (Rotation.UNKNOWN, None)


@pytest.mark.parametrize(("record", "missing"), [(SONG, SongNotFound), (USER, UserNotFound)])
def test_a_record_is_replaced(record: Song | User, missing: type[Exception]) -> None:
    """It has to be there; what equals the new one is a repeat, whatever the version; then the versions are compared."""
    new = replace(record, version=4)

    assert _replaceable(record, new, if_version=3) is record
    assert _replaceable(new, new, if_version=3) is None
    with pytest.raises(VersionConflict):
        _replaceable(record, new, if_version=2)
    with pytest.raises(missing):
        _replaceable(None, new, if_version=3)


def _replaceable(stored: Song | User | None, new: Song | User, *, if_version: int) -> object:
    return replaceable(stored, new, if_version=if_version)  # type: ignore[type-var] # both of one type


def test_versions_are_compared_where_one_is_asked_for() -> None:
    """None asks for any, 0 for one that no record has."""
    check_version(3, 3)
    check_version(3, None)
    for other in (2, 0):
        with pytest.raises(VersionConflict):
            check_version(3, other)


def test_what_was_added_before_is_a_repeat() -> None:
    """The id with the same identity, or the same name in any case; other members do not count."""
    assert is_repeat(SONG, replace(SONG, details=replace(DETAILS, level=9), version=1))
    assert is_repeat(USER, replace(USER, name="ANN", password_hash="other"))
    assert not is_repeat(SONG, replace(SONG, details=replace(DETAILS, title="t")))
    assert not is_repeat(USER, replace(USER, name="Anne"))
    assert not is_repeat(None, SONG)
    assert not is_repeat(None, USER)


@pytest.mark.parametrize("changed", [{"song_id": "s2"}, {"value": 5}])
def test_a_key_is_for_one_rating(changed: dict[str, object]) -> None:
    """Of one song and one value."""
    earlier: dict[str, object] = {"song_id": "s1", "value": 4}
    check_key(RATING, **earlier)  # type: ignore[arg-type]
    with pytest.raises(KeyReused):
        check_key(RATING, **(earlier | changed))  # type: ignore[arg-type]


def _song(song_id: str, title: str) -> tuple[Song, str]:
    return replace(SONG, id=song_id, details=replace(DETAILS, title=title)), title


def _sorted(*songs: tuple[str, str]) -> tuple[list[str], set[str]]:
    """Return the ids of songs that are stored and refused, where song a has the title A, and B is of a song b."""
    new, refused = sort_out([_song(*each) for each in songs], stored={"a": "A"}, taken={"A", "B"})
    return [each.id for each in new], set(refused)


@pytest.mark.parametrize(
    ("songs", "new", "refused"),
    [
        ([("c", "C")], ["c"], set()),
        ([("a", "A")], [], set()),
        ([("a", "C")], [], {"a"}),
        ([("c", "A")], [], {"c"}),
        ([("c", "B")], [], {"c"}),
        ([("c", "C"), ("c", "C")], ["c"], set()),
        ([("c", "C"), ("c", "D")], ["c"], {"c"}),
        ([("c", "C"), ("d", "C")], ["c"], {"d"}),
        ([("a", "C"), ("d", "C")], ["d"], {"a"}),
    ],
)
def test_songs_are_sorted_out(songs: list[tuple[str, str]], new: list[str], refused: set[str]) -> None:
    """As if they were added one after the other: new ones, repeats, and those whose id or identity is taken."""
    assert _sorted(*songs) == (new, refused)


OTHER_SONG = replace(SONG, details=replace(DETAILS, title="Other"))
OTHER_USER = replace(USER, name="Bob")


@pytest.mark.parametrize(
    ("new", "other", "refused"), [(SONG, OTHER_SONG, DuplicateSong), (USER, OTHER_USER, UserExists)]
)
def test_what_may_be_added(new: Any, other: Any, refused: type[Exception]) -> None:
    """A record is new, or a repeat whatever else is taken, or refused for its id, or for its identity or name."""
    assert is_new(new, same_id=None, taken=False)
    assert not is_new(new, same_id=new, taken=True)
    for same_id, taken in ((other, False), (None, True), (other, True)):
        with pytest.raises(refused):
            is_new(new, same_id=same_id, taken=taken)


def test_what_a_rating_is_stored_as() -> None:
    """Under its own id where that is there, whatever its key; else as the rating that has its key, if they agree."""
    earlier = replace(RATING, id="r0")
    assert stored_as(RATING, same_id=False, keyed=None) is None
    assert stored_as(RATING, same_id=False, keyed=earlier) == "r0"
    assert stored_as(RATING, same_id=True, keyed=replace(earlier, value=1)) == "r1"
    for changed in (replace(earlier, value=1), replace(earlier, song_id="s2")):
        with pytest.raises(KeyReused):
            stored_as(RATING, same_id=False, keyed=changed)
