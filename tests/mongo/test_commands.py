"""The commands that each operation sends, and the indexes and shards that they go to."""

import os
import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from songs.model import Rating, RatingStats, Song
from songs.ports.clock import Deadline
from songs.ports.storage import Scope, UnitOfWork
from songs.query import SongFilter
from songs_contract.models.samples import FILLING, READS, WRITES, next_version
from songs_mongo import MongoStorage
from songs_mongo.plugin import TEST_URL
from songs_mongo.schema import INDEXES, SHARDED, UNIQUE

Document = dict[str, Any]
Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]
COSTS = tomllib.loads((Path(__file__).parents[1] / "costs.toml").read_text(encoding="utf-8"))["mongo"]
HOT = (
    "songs.get",
    "ratings.stats",
    "ratings.of_song",
    "sessions.get",
    "sessions.rotate",
    *filter(lambda name: name.startswith("ratings.add"), WRITES),
)
"""What clients ask for all the time."""
FILTERS = {"find": "filter", "findAndModify": "query"}


@pytest.fixture
def unit(storage: MongoStorage, deadline: Callable[[float], Deadline]) -> Units:
    """Begins a unit of work of `storage` that has 5 seconds."""
    return lambda scope: storage.unit_of_work(scope, deadline=deadline(5))


@pytest.fixture
def rate(unit: Units) -> Callable[[Rating], RatingStats]:
    """Stores a rating."""

    def add(rating: Rating) -> RatingStats:
        with unit(Scope.WRITE_ONE) as opened:
            return opened.ratings.add(rating).stats

    return add


@pytest.fixture
def filled(unit: Units, song: Callable[..., Song], commands: Any) -> list[str]:
    """Two songs; the commands that are sent from now on."""
    with unit(Scope.WRITE_ONE) as opened:
        opened.songs.add_many([song("S1"), song("S2")])
    commands.clear()
    sent: list[str] = commands.sent
    return sent


@pytest.fixture
def run(unit: Units, commands: Any) -> Callable[[str], list[str]]:
    """Runs an operation where there is what it needs, and a sample of the texts; returns the commands that it sent."""
    for work in FILLING:
        with unit(Scope.WRITE_ONE) as opened:
            work(opened)
    with unit(Scope.READ) as opened:
        READS["songs.find by text"](opened)
    commands.clear()

    def one(name: str) -> list[str]:
        with unit(Scope.READ if name in READS else Scope.WRITE_ONE) as opened:
            (READS.get(name) or WRITES[name])(opened)
        sent: list[str] = commands.sent
        return sent

    return one


def selections(command: Document) -> Iterator[Document]:
    """Yield the conditions by which a command selects documents."""
    if "aggregate" in command:
        yield command["pipeline"][0]["$match"]
    for each in (*command.get("updates", ()), *command.get("deletes", ())):
        yield each["q"]
    for name, member in FILTERS.items():
        if name in command:
            yield command[member]


def members(condition: Document) -> set[str]:
    """Return the members that every selected document must meet a condition on."""
    together = set(condition) - {"$and", "$or", "$expr"}
    for each in condition.get("$and", ()):
        together |= members(each)
    if "$or" in condition and all(map(members, condition["$or"])):
        # Each branch has one: the server looks up every branch by its own.
        together |= set().union(*map(members, condition["$or"]))
    return together


def scans(explained: Any) -> Iterator[Document]:
    """Yield the stages that look through a collection. One that names an index is a lookup, whatever it is called."""
    if isinstance(explained, list):
        for each in explained:
            yield from scans(each)
    elif isinstance(explained, dict):
        if explained.get("stage") == "COLLSCAN" and "indexName" not in explained:
            yield explained
        yield from scans(list(explained.values()))


@pytest.mark.parametrize("name", [*READS, *WRITES])
def test_an_operation_sends_these_commands(name: str, run: Callable[[str], list[str]]) -> None:
    """One command a collection that it reads, one that changes the record, and what tidies up."""
    assert run(name) == COSTS[name]


def test_what_a_rating_costs() -> None:
    """One round trip without a key, at most four with one."""
    assert len(COSTS["ratings.add without a key"]) == 1
    assert max(len(COSTS[name]) for name in COSTS if name.startswith("ratings.add with a key")) <= 4


@pytest.mark.parametrize("name", [*READS, *WRITES])
def test_no_operation_looks_through_a_collection(name: str, run: Callable[[str], list[str]], commands: Any) -> None:
    """Every selection has a condition on the first member of an index of its collection."""
    run(name)
    for command in commands.whole:
        collection = command[next(iter(command))]
        first = {"_id"} | {index[0] for (of, _), index in {**UNIQUE, **INDEXES}.items() if of == collection}
        assert [each for each in selections(command) if not members(each) & first] == []


@pytest.mark.skipif(TEST_URL not in os.environ, reason=f"plans are a real server's: {TEST_URL} is not set")
@pytest.mark.parametrize("name", [*READS, *WRITES])
def test_no_plan_looks_through_a_collection(
    name: str, run: Callable[[str], list[str]], commands: Any, storage: MongoStorage
) -> None:
    """The server itself says that it goes through an index."""
    run(name)
    database: Any = storage._database
    extra = {"lsid", "txnNumber", "$db", "$clusterTime", "$readPreference", "maxTimeMS", "writeConcern", "readConcern"}
    for command in [dict(each) for each in commands.whole if "insert" not in each]:
        try:
            explained = database.command("explain", {key: command[key] for key in command if key not in extra})
        except OperationFailure as error:
            pytest.skip(f"this server does not explain {next(iter(command))}: {error.details}")
        if "winningPlan" not in str(explained):
            pytest.skip("this server does not tell its plans as MongoDB does")
        assert list(scans(explained)) == [], command


@pytest.mark.parametrize("name", HOT)
def test_the_hot_path_asks_one_shard(name: str, run: Callable[[str], list[str]], commands: Any) -> None:
    """Each command on a sharded collection holds the shard key, or a range within one value of its prefix."""
    run(name)
    for command in commands.whole:
        if command[next(iter(command))] in SHARDED:
            assert all("_id" in document for document in command.get("documents", ()))
            for condition in selections(command):
                assert "_id" in condition
                key = condition["_id"]
                assert isinstance(key, str) or key["$gt"].partition("/")[0] == key["$lt"].removesuffix("0")


def test_adding_and_changing_songs(filled: list[str], unit: Units, song: Callable[..., Song]) -> None:
    """Songs are looked for and then inserted, however many, where the data are there still; a change is one command."""
    with unit(Scope.WRITE_ONE) as opened:
        opened.songs.add_many([song(f"N{n}") for n in range(50)])
    changed = next_version(song(), title="Other")
    with unit(Scope.WRITE_ONE) as opened:
        opened.songs.replace(changed, if_version=1)
    assert filled == ["find songs", "insert songs", "find meta", "update songs"]


def test_a_rating_without_a_key(filled: list[str], rate: Callable[[Rating], RatingStats], rating: Any) -> None:
    """One command, whose answer holds the statistics."""
    assert rate(rating("R1")).count == 1
    assert filled == ["findAndModify songs"]


def test_a_rating_with_a_key(filled: list[str], rate: Callable[[Rating], RatingStats], rating: Any) -> None:
    """Three commands; four at the most when it is repeated, by the same event or by another."""
    rate(rating("R1", key="k"))
    assert filled == ["find songs", "insert claims", "findAndModify songs"]
    filled.clear()
    rate(rating("R2", key="k"))
    assert filled == ["find songs", "insert claims", "find claims"]
    for n in range(20):
        rate(rating(f"R3{n:02d}"))
    filled.clear()
    rate(rating("R1", key="k"))
    assert filled == ["find songs", "insert claims", "find claims", "find ratings"]


def test_many_ratings(filled: list[str], rate: Callable[[Rating], RatingStats], rating: Any) -> None:
    """Moving events away costs three commands in twelve ratings, and nobody waits for it in between."""
    for n in range(100):
        rate(rating(f"R{n:03d}"))
    assert filled.count("findAndModify songs") == 100
    assert len(filled) == 100 + 3 * 8


def test_a_rating_whose_id_is_behind(filled: list[str], rate: Callable[[Rating], RatingStats], rating: Any) -> None:
    """One whose clock is behind takes more commands, and is counted once however often it is sent."""
    for n in range(16):
        rate(rating(f"R5{n:02d}"))
    filled.clear()
    assert rate(rating("R100")).count == 17
    assert filled == ["findAndModify songs", "find songs", "find ratings", "findAndModify songs"]
    assert rate(rating("R100")).count == 17


def test_search_asks_for_the_rarest_first(filled: list[str], storage: MongoStorage, unit: Units) -> None:
    """What a sample of the songs says is common comes last; the sample is not taken again each time."""
    for _ in range(2):
        with unit(Scope.READ) as opened:
            assert [each.id for each in opened.songs.find(SongFilter(text="song s1"), limit=9)] == ["S1"]
    assert filled == ["aggregate songs", "find songs", "find songs"]
    assert storage._selectivity.rarest_first(["son", " s1", "zzz"]) == ["zzz", " s1", "son"]
