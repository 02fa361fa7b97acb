"""Documents that somebody edited by hand, so that a member is missing, of another type, no number, or out of range."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from songs.errors import OutcomeUnknown, StorageDamaged
from songs.model import Rating, RatingStats, Song
from songs.ports.clock import Deadline
from songs.ports.storage import Scope, UnitOfWork
from songs.query import SongFilter
from songs_contract.models import samples
from songs_mongo import MongoStorage, encoding
from songs_mongo.errors import translated
from songs_mongo.ratings import archive
from songs_plugins.values import UNREADABLE

Damage = dict[str, Any]
Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]
NAN = float("nan")
HUGE = 2**62
MOVED = 17
"""So many ratings that some were moved."""


@pytest.fixture
def unit(storage: MongoStorage, deadline: Callable[[float], Deadline]) -> Units:
    """Begins a unit of work of `storage` that has 10 seconds."""
    return lambda scope: storage.unit_of_work(scope, deadline=deadline(10))


@pytest.fixture
def database(storage: MongoStorage, unit: Units, song: Callable[..., Song], rating: Callable[..., Rating]) -> Any:
    """One record of each kind, and a song of which ratings were moved."""
    adding: list[Callable[[UnitOfWork], object]] = [
        lambda opened: opened.songs.add_many([song("S1"), song("S2")]),
        lambda opened: opened.ratings.add(rating("R1", key="k1")),
        *(lambda opened, n=n: opened.ratings.add(rating(f"R{n:02d}", song_id="S2")) for n in range(MOVED)),
        lambda opened: opened.users.add(samples.user("u1", name="ada")),
        lambda opened: opened.sessions.add(samples.session("x1", user_id="u1")),
    ]
    for add in adding:
        with unit(Scope.WRITE_ONE) as opened:
            add(opened)
    return storage._database


def _songs(opened: Any) -> None:
    opened.songs.get("S1")
    opened.songs.difficulty_totals()
    opened.ratings.stats("S1")
    opened.ratings.of_song("S1", limit=99)


def _ratings(opened: Any) -> None:
    opened.ratings.of_song("S2", limit=99)
    opened.batches.rated(["S1", "S2"], limit=99)
    opened.batches.rated(["S1", "S2"], limit=1)


READS: dict[str, tuple[Callable[[Any], object], str]] = {
    "songs": (_songs, "song|counter|rating|difficulty"),
    "ratings": (_ratings, "rating"),
    "users": (lambda opened: opened.users.get("u1"), "user"),
    "sessions": (lambda opened: opened.sessions.get("x1"), "session"),
    "meta": (lambda opened: opened.coherence.read(), "record"),
}


def _damages(members: str, *values: Any) -> list[Damage]:
    changes = [{"$set": {member: value}} for member in members.split() for value in values]
    return changes + [{"$unset": {member: ""}} for member in members.split()]


DAMAGES: dict[str, tuple[Damage, list[Damage]]] = {
    "songs": (
        {"_id": "S1"},
        [
            *_damages("artist born high recent recent.R1.user", 5, None),
            *_damages("released", 5, "20000-01-01"),
            *_damages("milli level version n1 n5 moved", "5", 5.5, NAN, HUGE, -1, None),
            *_damages("recent.R1.value recent.R1.at", "5", 2.5, NAN, HUGE, None),
            *_damages("recent.R1.key", 5, " "),
            {"$set": {"recent.R1": 5}},
        ],
    ),
    "ratings": (
        {"song": "S2", "seq": 0},
        [*_damages("value at seq", "5", 2.5, NAN, None), *_damages("user", 5, None), {"$set": {"value": HUGE}}],
    ),
    "users": (
        {"_id": "u1"},
        [
            *_damages("password_hash disabled", 5, None),
            *_damages("role", 5, "king"),
            *_damages("created_at token_version version", "5", 5.5, NAN, HUGE),
        ],
    ),
    "sessions": (
        {"_id": "x1"},
        [
            *_damages("user_id current_hash", 5, None),
            *_damages("previous_hash", 5),
            *_damages("created_at rotated_at expires_at", "5", 5.5, NAN, HUGE),
        ],
    ),
    "meta": (
        {"_id": "coherence"},
        [*_damages("epoch", "5", 5.5, NAN, None), *_damages("cache_on", "no", None), {"$set": {"cache": 5}}],
    ),
}


@pytest.mark.parametrize("collection", READS)
def test_a_record_that_is_damaged(collection: str, unit: Units, database: Any) -> None:
    """Whatever is wrong with a document, reading it says that it is damaged, and which record it is."""
    read, kinds = READS[collection]
    which, damages = DAMAGES[collection]
    sound = database[collection].find_one(which)
    with unit(Scope.READ) as opened:
        read(opened)
    said: list[tuple[str, Damage]] = []
    for damage in damages:
        database[collection].update_one({"_id": sound["_id"]}, damage)
        try:
            with unit(Scope.READ) as opened:
                read(opened)
            said.append(("nothing", damage))
        except StorageDamaged as error:
            said.append((error.detail, damage))
        database[collection].replace_one({"_id": sound["_id"]}, sound)
    assert [each for each in said if not re.match(f"(A|The) stored ({kinds}) .*damaged", each[0])] == []


@pytest.mark.parametrize("value", [True, None, "5", b"5", 5.5, NAN, float("inf"), [5], {"a": 5}])
def test_numbers_that_are_none(value: object) -> None:
    """Nothing but an integer counts as one, whatever the language would make of it."""
    with pytest.raises(UNREADABLE):
        encoding.whole(value)


def test_a_number_that_the_shell_wrote(unit: Units, database: Any) -> None:
    """A double of a whole value is that value: MongoDB's shell makes doubles of all numbers."""
    database.songs.update_one({"_id": "S1"}, {"$set": {"level": 7.0, "n3": 1.0, "moved": 0.0}})
    with unit(Scope.READ) as opened:
        found, stats = opened.songs.get("S1"), opened.ratings.stats("S1")
        page = opened.songs.find(SongFilter(level=7), limit=9)
    assert found is not None
    assert (page, stats) == ((found,), RatingStats((0, 0, 1, 0, 0)))


@pytest.mark.parametrize("damage", [*_damages("value", "5", 9, NAN), *_damages("song born", 5, None)])
def test_a_claim_that_is_damaged(damage: Damage, unit: Units, database: Any, rating: Callable[..., Rating]) -> None:
    """A rating under its key is refused, and counts nothing: no counter of a value that there is not."""
    database.claims.update_one({}, damage)
    before = database.songs.find_one({"_id": "S1"})
    with pytest.raises(StorageDamaged, match="stored claim"), unit(Scope.WRITE_ONE) as opened:
        opened.ratings.add(rating("R2", key="k1"))
    assert database.songs.find_one({"_id": "S1"}) == before


@pytest.mark.parametrize("key", [None, "k2"])
def test_a_rating_where_a_counter_is_damaged(
    key: str | None, unit: Units, database: Any, rating: Callable[..., Rating]
) -> None:
    """It is unknown whether a write is kept that was sent before the damage was seen; before that, nothing is."""
    database.songs.update_one({"_id": "S1"}, {"$set": {"n5": HUGE}})
    for _ in range(2):
        with pytest.raises(StorageDamaged if key else OutcomeUnknown) as caught, unit(Scope.WRITE_ONE) as opened:
            opened.ratings.add(rating("R2", key=key))
        assert key or isinstance(caught.value.__cause__, StorageDamaged)
    assert ("R2" in database.songs.find_one({"_id": "S1"})["recent"]) == (key is None)


@pytest.mark.parametrize("damage", _damages("identity", 5, [5]))
def test_a_song_whose_identity_is_damaged(
    damage: Damage, unit: Units, database: Any, song: Callable[..., Song]
) -> None:
    """Adding it again neither stores it nor says that it is another one."""
    database.songs.update_one({"_id": "S1"}, damage)
    with pytest.raises(StorageDamaged, match="stored song S1"), unit(Scope.WRITE_ONE) as opened:
        opened.songs.add(song("S1"))


def test_moving_an_event_that_is_damaged(unit: Units, database: Any) -> None:
    """Nothing is moved, and who rates a song is not refused for it."""
    damaged = {f"recent.X{n:02d}": 5 for n in range(MOVED)}
    database.songs.update_one({"_id": "S2"}, {"$set": damaged})
    before = database.ratings.count_documents({"song": "S2"})
    with unit(Scope.WRITE_ONE) as opened:
        transaction: Any = opened
        transaction.afterwards(lambda: archive(transaction, "S2"))
    assert database.ratings.count_documents({"song": "S2"}) == before


@pytest.mark.parametrize("damage", _damages("born", 5))
def test_a_song_whose_incarnation_is_damaged(damage: Damage, storage: MongoStorage, unit: Units, database: Any) -> None:
    """It can be deleted, and until then nothing of it is swept away."""
    stored = database.ratings.count_documents({}), database.claims.count_documents({})
    database.songs.update_many({}, damage)
    storage.prepare()
    assert (database.ratings.count_documents({}), database.claims.count_documents({})) == stored
    with unit(Scope.WRITE_ONE) as opened:
        assert opened.songs.delete("S2")


def test_sweeping_records_that_are_damaged(storage: MongoStorage, database: Any) -> None:
    """What does not say whose it is stays, and is in nobody's way."""
    database.ratings.insert_many([{"_id": "gone/R1"}, {"_id": "gone/R2", "song": 5}])
    database.claims.insert_one({"_id": "c", "born": "gone"})
    storage.prepare()
    assert database.ratings.count_documents({"_id": {"$in": ["gone/R1", "gone/R2"]}}) == 2


@pytest.mark.parametrize("damage", [*_damages("version", "1", NAN), {"$set": {"fold": 5}}, {"$set": {"identity": 5}}])
def test_a_schema_record_that_is_damaged(damage: Damage, storage: MongoStorage, database: Any) -> None:
    """Opening, preparing and readiness say so."""
    database.meta.update_one({"_id": "schema"}, damage)
    for use in (storage.identity, storage.prepare):
        with pytest.raises(StorageDamaged, match="stored record schema"):
            use()
    storage.close()
    for use in (storage.open, storage.open_existing):
        with pytest.raises(StorageDamaged, match="stored record schema"):
            use()


@pytest.mark.parametrize("value", ["5", 5.5, NAN, HUGE, -1, None])
def test_counters_that_are_damaged_are_mended(value: object, storage: MongoStorage, unit: Units, database: Any) -> None:
    """A counter that cannot be read is found like one that is wrong, and counted again."""
    database.songs.update_one({"_id": "S1"}, {"$set": {"n3": value}})
    assert [each.mended for each in storage.examine(repair=True)] == [True]
    assert list(storage.examine()) == []
    with unit(Scope.READ) as opened:
        assert opened.ratings.stats("S1") == RatingStats((0, 0, 1, 0, 0))


@pytest.mark.parametrize(
    "damage", [*_damages("title born recent", 5), {"$set": {"recent.R1": 5}}, {"$set": {"recent.R1.value": 9}}]
)
def test_examining_what_is_damaged(damage: Damage, storage: MongoStorage, database: Any) -> None:
    """What neither counting nor folding again can mend is said to be damaged, and which record it is."""
    database.songs.update_one({"_id": "S1"}, damage)
    with pytest.raises(StorageDamaged, match="S1"):
        list(storage.examine())


@pytest.mark.parametrize("code", [14, 28])
def test_a_damaged_member_that_the_server_finds(code: int) -> None:
    """It may be of any record, a session or a claim too: the server's answer does not say."""
    error = translated(OperationFailure("refused", code), writing=True)
    assert isinstance(error, StorageDamaged)
    assert error.detail.startswith("A stored record is damaged")
