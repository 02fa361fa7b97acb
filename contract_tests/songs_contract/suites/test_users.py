"""Users."""

from datetime import UTC, datetime

import pytest

from songs.errors import UserExists, UserNotFound, VersionConflict
from songs.model import RatingStats, Role, User
from songs_contract.checks import NOW, StorageUser, rating, session, song, user
from songs_contract.clauses import clause
from songs_plugins import Port

PORT = Port.STORAGE


def get(use: StorageUser, user_id: str = "user-1") -> User | None:
    """Return a user, as a fresh unit sees it."""
    return use.read(lambda unit: unit.users.get(user_id))


@clause("USR-1")
@pytest.mark.parametrize(
    "stored",
    [
        user(),
        user(name="A" * 50, role=Role.ADMIN, disabled=True, token_version=7, version=9),
        user(name="a.b_c@d+e-f", role=Role.EDITOR, password_hash="$2b$12$./ab:;'\"\\{}%"),
        user(created_at=datetime(1, 1, 1, tzinfo=UTC), password_hash="h" * 500, token_version=2**40),
        user(created_at=datetime(2026, 10, 25, 0, 30, 0, 7_000, tzinfo=UTC)),
    ],
    ids=range(5),
)
def test_round_trip(use: StorageUser, stored: User) -> None:
    """A user comes back equal, by every way of reading it."""
    use.write(lambda unit: unit.users.add(stored))
    assert get(use) == stored
    assert use.read(lambda unit: unit.users.by_name(stored.name)) == stored
    assert use.read(lambda unit: unit.users.find(limit=10)) == (stored,)


@clause("USR-2")
@pytest.mark.parametrize("name", ["Ada.Lovelace", "ada.lovelace", "ADA.LOVELACE"])
def test_one_user_for_each_name(use: StorageUser, name: str) -> None:
    """A name that differs in case alone is taken; the first spelling is kept."""
    first = user("user-1", name="Ada.Lovelace")
    use.write(lambda unit: unit.users.add(first))
    with pytest.raises(UserExists):
        use.write(lambda unit: unit.users.add(user("user-2", name=name)))
    assert get(use, "user-2") is None
    assert use.read(lambda unit: unit.users.find(limit=10)) == (first,)


@clause("USR-2")
def test_an_id_that_is_taken(use: StorageUser) -> None:
    """A second user under one id is refused."""
    use.write(lambda unit: unit.users.add(user()))
    with pytest.raises(UserExists):
        use.write(lambda unit: unit.users.add(user(name="another")))
    assert get(use) == user()


@clause("USR-3")
def test_adding_again(use: StorageUser) -> None:
    """Repeating an addition changes nothing, also after the user was changed."""
    use.write(lambda unit: unit.users.add(user()))
    changed = user(version=2, role=Role.ADMIN)
    use.write(lambda unit: unit.users.replace(changed, if_version=1))
    use.write(lambda unit: unit.users.add(user()))
    assert get(use) == changed


@clause("USR-4")
def test_finding_by_name(use: StorageUser) -> None:
    """Case does not matter; every other character does, and none has a special meaning."""
    use.write(lambda unit: unit.users.add(user(name="Ada_L")))
    for name in ("Ada_L", "ada_l", "ADA_L"):
        assert use.read(lambda unit, name=name: unit.users.by_name(name)) == user(name="Ada_L")
    for name in ("AdaxL", "Ada%", "Ada_", "Ada_L ", "", "\x00", "Ada_Ł", "x" * 10_000, "\ud800"):
        assert use.read(lambda unit, name=name: unit.users.by_name(name)) is None
        assert get(use, name) is None


@clause("USR-5")
def test_replacing(use: StorageUser) -> None:
    """The new state is there, once however often it is written."""
    use.write(lambda unit: unit.users.add(user()))
    changed = user(version=2, token_version=2, role=Role.EDITOR, disabled=True, password_hash="new")
    for _ in range(2):
        use.write(lambda unit: unit.users.replace(changed, if_version=1))
    assert get(use) == changed


@clause("USR-5")
def test_replacing_another_version(use: StorageUser) -> None:
    """A version that is not stored is refused and changes nothing; a user that is not there is not created."""
    use.write(lambda unit: unit.users.add(user()))
    use.write(lambda unit: unit.users.replace(user(version=2, role=Role.EDITOR), if_version=1))
    for version in (1, 3):
        with pytest.raises(VersionConflict):
            changed = user(version=version + 1, role=Role.ADMIN)
            use.write(lambda unit, c=changed, v=version: unit.users.replace(c, if_version=v))
    with pytest.raises(UserNotFound):
        use.write(lambda unit: unit.users.replace(user("user-2", version=2), if_version=1))
    assert get(use) == user(version=2, role=Role.EDITOR)
    assert get(use, "user-2") is None


@clause("USR-6")
def test_deleting(use: StorageUser) -> None:
    """The user and its sessions go, other users' sessions and all ratings stay, and the name is free again."""
    use.add_songs(song())
    use.write(lambda unit: unit.users.add(user("user-1", name="Ada")))
    use.write(lambda unit: unit.users.add(user("user-2")))
    use.write(lambda unit: unit.sessions.add(session("session-1", user_id="user-1")))
    use.write(lambda unit: unit.sessions.add(session("session-2", user_id="user-2")))
    use.write(lambda unit: unit.ratings.add(rating(user_id="user-1")))
    assert use.write(lambda unit: unit.users.delete("user-1")) is True
    assert use.write(lambda unit: unit.users.delete("user-1")) is False
    assert get(use) is None
    assert use.read(lambda unit: unit.users.by_name("ada")) is None
    assert use.read(lambda unit: [unit.sessions.get(f"session-{n}") is None for n in (1, 2)]) == [True, False]
    assert (use.stats(), use.events()) == (RatingStats.of([4]), (rating(user_id="user-1"),))
    use.write(lambda unit: unit.users.add(user("user-3", name="ada", created_at=NOW)))


@clause("USR-7")
def test_listing(use: StorageUser) -> None:
    """Users come in the order of their ids, in pages."""
    ids = ["10", "9", "A", "a", "B", "_", "-", "aa"]
    for n, user_id in enumerate(ids):
        use.write(lambda unit, n=n, user_id=user_id: unit.users.add(user(user_id, name=f"name-{n}")))
    assert [u.id for u in use.read(lambda unit: unit.users.find(limit=100))] == sorted(ids)
    page = use.read(lambda unit: unit.users.find(limit=3, after_id="A"))
    assert [u.id for u in page] == ["B", "_", "a"]
    assert use.read(lambda unit: unit.users.find(limit=3, after_id="~")) == ()
