"""Records and numbers of a database that somebody damaged."""

import re
from collections.abc import Callable

import pytest
from tests.postgres.database_user import User

from songs.errors import StorageDamaged
from songs.ports.storage import Scope, UnitOfWork
from songs_contract.models import samples

LARGEST = 2**63 - 1
EVERY_SLOT = """
    DELETE FROM level_totals;
    INSERT INTO level_totals SELECT level, slot, {0}, 0 FROM generate_series(0, 100) AS level,
    generate_series(0, 15) AS slot
"""


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("UPDATE songs SET level = 999", "song s1 is damaged (/level: must be between 0 and 100)"),
        ("UPDATE songs SET released = 'infinity'", "stored record is damaged"),
        ("UPDATE ratings SET rated_at_ms = 1::bigint << 62", "rating r1 is damaged"),
        ("UPDATE ratings SET key = ' '", "rating r1 is damaged (/key: must be 1 to 255 visible ASCII characters)"),
        ("UPDATE users SET role = 'king'", "user u1 is damaged"),
        ("UPDATE sessions SET expires_at_ms = 1::bigint << 62", "session x1 is damaged"),
    ],
)
def test_a_record_that_is_damaged(damage: str, told: str, user: User) -> None:
    """What no record can hold is a fault of the storage, not of the caller's input; the message names the record."""
    user.rate("r1", key="k1")
    user.run(Scope.WRITE_ONE, lambda unit: unit.users.add(samples.user("u1", name="ada")))
    user.run(Scope.WRITE_ONE, lambda unit: unit.sessions.add(samples.session("x1")))
    user.sql(damage)

    def read(unit: UnitOfWork) -> None:
        unit.songs.get("s1")
        unit.ratings.of_song("s1", limit=1)
        unit.users.get("u1")
        unit.sessions.get("x1")

    with pytest.raises(StorageDamaged, match=re.escape(told)):
        user.run(Scope.READ, read)


@pytest.mark.parametrize(
    ("damage", "use"),
    [
        (
            EVERY_SLOT,
            lambda user: user.run(Scope.WRITE_ONE, lambda unit: unit.songs.add(samples.song("s2"))),
        ),
        (
            "UPDATE level_totals SET sum_milli = {0}; INSERT INTO level_totals VALUES (99, 0, 1, {0})",
            lambda user: user.run(Scope.READ, lambda unit: unit.songs.difficulty_totals()),
        ),
        ("UPDATE stats SET n1 = {0}, n2 = {0}, n3 = {0}, n4 = {0}, n5 = {0}", lambda user: user.rate("r2")),
        (
            "UPDATE coherence SET epoch = {0}",
            lambda user: user.run(
                Scope.WRITE_ONE, lambda unit: unit.coherence.advance(expected_epoch=LARGEST, cache_on=False)
            ),
        ),
    ],
)
def test_a_number_beyond_all_numbers(damage: str, use: Callable[[User], object], user: User) -> None:
    """One more than a column holds is damage of the storage, and no invalid input of whoever comes next."""
    user.rate("r1")
    for statement in damage.format(LARGEST).split(";"):
        user.sql(statement)
    with pytest.raises(StorageDamaged, match="out of range"):
        use(user)
