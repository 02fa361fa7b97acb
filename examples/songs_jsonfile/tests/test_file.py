"""The file: what a crash leaves, damage, foreign files, writing it anew."""

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime

import pytest
from songs_jsonfile import storage
from songs_jsonfile.log import HEADER
from storage_user import User

from songs.errors import StorageMismatch
from songs.model import Role, Session
from songs.model import User as Account
from songs.ports.storage import Scope, UnitOfWork
from songs.query import SongFilter
from songs_contract.models.samples import next_version


def everything(user: User) -> dict[str, object]:
    """Return all data, and all that is looked up by."""
    tables = user.storage.tables()
    return {each.name: getattr(tables, each.name) for each in fields(tables) if each.init}


@pytest.mark.parametrize("slack", [1000, -1000], ids=["the log as it is", "written anew"])
def test_everything_comes_back(user: User, monkeypatch: pytest.MonkeyPatch, slack: int) -> None:
    """Additions, changes and removals of every kind are there after opening, with what things are looked up by."""
    monkeypatch.setattr(storage, "SLACK", slack)
    at = datetime(2026, 1, 1, 0, 0, 0, 1000, tzinfo=UTC)
    account = Account(id="u", name="Ada", password_hash="\ud800\n\u2028", role=Role.ADMIN, created_at=at)
    session = Session(id="x", user_id="u", current_hash="1", created_at=at, rotated_at=at, expires_at=at.replace(day=9))
    writes: list[Callable[[UnitOfWork], object]] = [
        lambda unit: unit.users.add(account),
        lambda unit: unit.users.add(replace(account, id="v", name="Bob")),
        lambda unit: unit.users.replace(replace(account, disabled=True, version=2), if_version=1),
        lambda unit: unit.sessions.add(session),
        lambda unit: unit.sessions.add(replace(session, id="y")),
        lambda unit: unit.sessions.add(replace(session, id="z", user_id="v")),
        lambda unit: unit.sessions.rotate("x", presented_hash="1", next_hash="2", at=at, grace_s=1.0),
        lambda unit: unit.sessions.delete("y"),
        lambda unit: unit.users.delete("v"),
        lambda unit: unit.songs.delete("s2"),
        lambda unit: unit.songs.replace(next_version(unit.songs.find(SongFilter(), limit=1)[0], level=9), if_version=1),
        lambda unit: unit.coherence.advance(expected_epoch=1, cache_on=False),
    ]
    user.rate(1)
    user.add(2)
    user.rate(2, "s2")
    for write in writes:
        user.run(Scope.WRITE_ONE, write)
    before = everything(user)
    user.reopen()
    user.reopen()
    assert everything(user) == before
    assert [len(value) for value in before.values() if isinstance(value, dict)] == [1] * 8


def test_a_torn_last_line_is_cut_off(user: User) -> None:
    """However much of the last line a crash left, it is gone after opening, and the next line takes its place."""
    user.rate(1)
    whole = user.path.read_bytes()
    user.rate(2)
    line = user.path.read_bytes()[len(whole) :]
    for left in (1, 2, len(line) // 2, len(line) - 1):
        user.storage.close()
        user.path.write_bytes(whole + line[:left])
        user.open()
        assert user.rated() == ["r1"]
        assert user.path.read_bytes() == whole
        user.rate(3)
        user.reopen()
        assert user.rated() == ["r1", "r3"]


@pytest.mark.parametrize("at", [0, 2, 11, 12, 40, -2])
def test_damage_is_named_and_nothing_is_touched(user: User, at: int) -> None:
    """A changed byte in an acknowledged line is refused with the line and the byte where it begins."""
    user.rate(1)
    start = len(user.path.read_bytes())
    user.rate(2)
    end = len(user.path.read_bytes())
    user.rate(3)
    user.storage.close()
    damaged = bytearray(user.path.read_bytes())
    damaged[start + at if at >= 0 else end + at] ^= 1
    user.path.write_bytes(damaged)
    with pytest.raises(StorageMismatch, match=f"line 6, which begins at byte {start},"):
        user.storage.open()
    assert user.path.read_bytes() == damaged


def test_lines_that_are_there_twice(user: User) -> None:
    """A write that was appended again counts once: a rating, and a removal of each kind."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    account = Account(id="u", name="Ada", password_hash="x", created_at=at)
    session = Session(id="x", user_id="u", current_hash="1", created_at=at, rotated_at=at, expires_at=at)
    user.add(2)
    user.rate(1)
    user.run(Scope.WRITE_ONE, lambda unit: unit.users.add(account))
    user.run(Scope.WRITE_ONE, lambda unit: unit.sessions.add(session))
    user.run(Scope.WRITE_ONE, lambda unit: unit.songs.delete("s2"))
    user.run(Scope.WRITE_ONE, lambda unit: unit.sessions.delete("x"))
    user.run(Scope.WRITE_ONE, lambda unit: unit.users.delete("u"))
    before = everything(user)
    user.storage.close()
    header, *lines = user.path.read_bytes().splitlines(keepends=True)
    user.path.write_bytes(b"".join([header, *(line for each in lines for line in (each, each))]))
    user.open()
    assert everything(user) == before
    assert user.rated() == ["r1"]


def test_a_lost_line_feed_is_damage(user: User) -> None:
    """Two lines that became one are refused, too: no line but the last may lack its end."""
    user.rate(1)
    user.rate(2)
    user.storage.close()
    lines = user.path.read_bytes().splitlines(keepends=True)
    user.path.write_bytes(b"".join([*lines[:3], lines[3].rstrip(b"\n"), lines[4]]))
    with pytest.raises(StorageMismatch, match="line 4"):
        user.storage.open()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x7fELF", "not a log of songs_jsonfile"),
        (b'{"some":"JSON"}\n', "not a log of songs_jsonfile"),
        (HEADER[:-1], "not a log of songs_jsonfile"),
        (b'{"format":"songs_jsonfile","version":2,"more":[]}\nunknown', "version 2"),
    ],
)
def test_what_is_not_ours_is_refused_untouched(user: User, content: bytes, message: str) -> None:
    """A foreign file, and one of a newer release, stay as they are."""
    user.storage.close()
    user.path.write_bytes(content)
    with pytest.raises(StorageMismatch, match=message):
        user.storage.open()
    assert user.path.read_bytes() == content


def test_the_file_is_written_anew(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of outdated lines shrinks when it is prepared, without losing anything; one that is in use does not."""
    monkeypatch.setattr(storage, "SLACK", 10)
    for n in range(2, 20):
        user.add(n)
        user.rate(n)
        user.run(Scope.WRITE_ONE, lambda unit, n=n: unit.songs.delete(f"s{n}"))  # type: ignore[misc]
    before, size = user.path.stat(), user.path.stat().st_size
    user.run(Scope.WRITE_ONE, lambda unit: unit.coherence.advance(expected_epoch=1, cache_on=False))
    rated = user.rated()
    user.reopen()
    assert user.path.stat().st_size < size / 2
    assert user.path.stat().st_mode == before.st_mode == 0o100600
    assert user.rated() == rated
    user.rate(99)
    content = user.path.read_bytes()
    user.reopen()
    assert user.rated() == [*rated, "r99"]
    assert user.run(Scope.READ, lambda unit: unit.coherence.read()).epoch == 2
    assert user.path.read_bytes() == content
