"""Users."""

from datetime import UTC, datetime

import pytest

from songs.errors import UserExists, UserNotFound, VersionConflict
from songs.model import RatingStats, Role, User
from songs_contract.harness.driver import StorageUser
from songs_contract.law import clause
from songs_contract.models.samples import NOW, rating, session, song, user
from songs_plugins import Port

PORT = Port.STORAGE


@clause("USR-1")
@pytest.mark.parametrize(
    "stored",
    [
        user(),
        user(name="A" * 50, role=Role.ADMIN, disabled=True, token_version=7, version=9),
        user(name="a.b_c@d+e-f", role=Role.EDITOR, password_hash="$2b$12$./ab:;'\"\\{}%"),
        user(created_at=datetime(1, 1, 1, tzinfo=UTC), password_hash=" h" * 250 + " ", token_version=2**40),
        user(created_at=datetime(2026, 10, 25, 0, 30, 0, 7_000, tzinfo=UTC)),
    ],
    ids=range(5),
)
def test_round_trip(use: StorageUser, stored: User) -> None:
    """A user comes back equal, by every way of reading it."""
    use.add_users(stored)
    assert use.user() == stored
    assert use.user_named(stored.name) == stored
    assert use.users() == (stored,)


@clause("USR-2")
@pytest.mark.parametrize("name", ["Ada.Lovelace", "ada.lovelace", "ADA.LOVELACE"])
def test_one_user_for_each_name(use: StorageUser, name: str) -> None:
    """A name that differs in case alone is taken; the first spelling is kept."""
    first = user("user-1", name="Ada.Lovelace")
    use.add_users(first)
    with pytest.raises(UserExists):
        use.add_users(user("user-2", name=name))
    assert use.user("user-2") is None
    assert use.users() == (first,)


@clause("USR-2")
def test_an_id_that_is_taken(use: StorageUser) -> None:
    """A second user under one id is refused."""
    use.add_users(user())
    with pytest.raises(UserExists):
        use.add_users(user(name="another"))
    assert use.user() == user()


@clause("USR-3")
def test_adding_again(use: StorageUser) -> None:
    """Repeating an addition changes nothing, also after the user was changed."""
    use.add_users(user())
    changed = user(version=2, role=Role.ADMIN)
    use.replace_user(changed)
    use.add_users(user())
    assert use.user() == changed


@clause("USR-4")
def test_finding_by_name(use: StorageUser) -> None:
    """Case does not matter; every other character does, and none has a special meaning."""
    use.add_users(user(name="Ada_L"))
    for name in ("Ada_L", "ada_l", "ADA_L"):
        assert use.user_named(name) == user(name="Ada_L")
    for name in ("AdaxL", "Ada%", "Ada_", "Ada_L ", "", "\x00", "Ada_Ł", "x" * 10_000, "\ud800"):
        assert use.user_named(name) is None
        assert use.user(name) is None


@clause("USR-5")
def test_replacing(use: StorageUser) -> None:
    """The new state is there, once however often it is written, also where it is the old one but for its version."""
    use.add_users(user())
    assert use.user() == user()
    use.replace_user(user(version=2))
    assert use.user() == user(version=2)
    changed = user(version=3, token_version=2, role=Role.EDITOR, disabled=True, password_hash="new")
    for _ in range(2):
        use.replace_user(changed)
    assert use.user() == changed


@clause("USR-5")
def test_replacing_another_version(use: StorageUser) -> None:
    """A version that is not stored is refused and changes nothing; a user that is not there is not created."""
    use.add_users(user())
    use.replace_user(user(version=2, role=Role.EDITOR))
    for version in (1, 3):
        changed = user(version=version + 1, role=Role.ADMIN)
        with pytest.raises(VersionConflict):
            use.replace_user(changed)
    with pytest.raises(UserNotFound):
        use.replace_user(user("user-2", version=2))
    assert use.user() == user(version=2, role=Role.EDITOR)
    assert use.user("user-2") is None


@clause("USR-6")
def test_deleting(use: StorageUser) -> None:
    """The user and its sessions go, other users' sessions and all ratings stay, and the name is free again."""
    use.add_songs(song())
    use.add_users(user("user-1", name="Ada"), user("user-2"))
    use.add_sessions(session("session-1", user_id="user-1"), session("session-2", user_id="user-2"))
    use.rate(rating(user_id="user-1"))
    assert use.delete_user() is True
    assert use.delete_user() is False
    assert use.user() is None
    assert use.user_named("ada") is None
    assert [use.session(f"session-{n}") is None for n in (1, 2)] == [True, False]
    assert (use.stats(), use.events()) == (RatingStats.of([4]), (rating(user_id="user-1"),))
    use.add_users(user("user-3", name="ada", created_at=NOW))


@clause("USR-7")
def test_listing(use: StorageUser) -> None:
    """Users come in the order of their ids, in pages."""
    ids = ["10", "9", "A", "a", "B", "_", "-", "aa"]
    for n, user_id in enumerate(ids):
        use.add_users(user(user_id, name=f"name-{n}"))
    assert [u.id for u in use.users()] == sorted(ids)
    page = use.read(lambda unit: unit.users.find(limit=3, after_id="A"))
    assert [u.id for u in page] == ["B", "_", "a"]
    assert use.read(lambda unit: unit.users.find(limit=3, after_id="~")) == ()
