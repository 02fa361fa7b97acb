"""Servers that refuse, conflict, hang, break off or step down, and what the port says of it."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from songs.application.runner import UnitRunner
from songs.errors import (
    DeadlineExceeded,
    OutcomeUnknown,
    SongsError,
    StorageMismatch,
    StorageUnavailable,
    TransientConflict,
    Unsupported,
)
from songs.model import Rating, RatingStats, Song
from songs.ports.clock import Clock, Deadline
from songs.ports.storage import Scope, UnitOfWork
from songs.query import SongFilter
from songs_mongo import MongoSettings, MongoStorage, encoding

Document = dict[str, Any]
Answer = Callable[[Document], Document]
Open = Callable[..., MongoStorage]
RATED: Document = {"_id": "S1", "n1": 0, "n2": 0, "n3": 1, "n4": 0, "n5": 0, "moved": 0}


def refusal(code: int, *labels: str) -> Document:
    """Return a server's answer that refuses a command."""
    return {"ok": 0, "code": code, "codeName": "X", "errmsg": "refused", "errorLabels": list(labels)}


def in_turn(*answers: Document) -> Answer:
    """Return these answers one after another, then the last one for ever."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


@pytest.fixture
def open_on(clock: Clock) -> Any:
    """Opens a storage on a server; it is closed at the end."""
    opened: list[MongoStorage] = []

    def start(server: Any, **settings: Any) -> MongoStorage:
        storage = MongoStorage(MongoSettings(url=SecretStr(server.url), **settings), clock, connections=4)
        opened.append(storage)
        storage.open()
        return storage

    yield start
    for storage in opened:
        storage.close()


@pytest.fixture
def runner(clock: Clock) -> Callable[[MongoStorage], UnitRunner]:
    """Makes the runner that the services use."""
    return lambda storage: UnitRunner(storage, clock, max_calls=4)


def test_a_replica_set_has_transactions(scripted: Any, open_on: Open) -> None:
    """Opening tries a transaction and ends it."""
    server = scripted()
    assert open_on(server).capabilities.transactions
    assert "abortTransaction" in server.seen


def test_a_stand_alone_server_has_none(scripted: Any, open_on: Open, caplog: pytest.LogCaptureFixture) -> None:
    """Its own word is enough; one line is logged."""
    with caplog.at_level(logging.INFO, "songs_mongo"):
        assert not open_on(scripted(replicated=False)).capabilities.transactions
    assert len(caplog.records) == 1


def test_code_20_on_the_first_command(scripted: Any, open_on: Open, deadline: Callable[[float], Deadline]) -> None:
    """A server that looks like one with transactions and refuses the first command of one is used without."""
    server = scripted()
    server.answers["find"] = lambda command: (
        refusal(20)
        if command.get("startTransaction")
        else {"ok": 1, "cursor": {"id": 0, "ns": "songs.meta", "firstBatch": []}}
    )
    storage = open_on(server)
    assert not storage.capabilities.transactions
    with pytest.raises(Unsupported), storage.unit_of_work(Scope.WRITE_MANY, deadline=deadline(2)):
        pass


@pytest.mark.parametrize("replicated", [True, False])
def test_transactions_that_are_required(scripted: Any, open_on: Open, replicated: bool) -> None:
    """Where there are none, opening fails and says what to do."""
    server = scripted(replicated=replicated)
    server.answers["find"] = lambda _: refusal(20)
    with pytest.raises(StorageMismatch, match="SONGS_MONGO_TRANSACTIONS=auto"):
        open_on(server, transactions="require")


def test_transactions_that_are_off(scripted: Any, open_on: Open) -> None:
    """Nothing is tried."""
    server = scripted()
    assert not open_on(server, transactions="off").capabilities.transactions
    assert "abortTransaction" not in server.seen


def test_conflicts_and_then_success(
    scripted: Any, open_on: Open, runner: Any, song: Callable[..., Song], deadline: Callable[[float], Deadline]
) -> None:
    """A transaction that meets others is aborted and run again as a whole, until it is kept."""
    server = scripted()
    storage = open_on(server)
    conflict = refusal(112, "TransientTransactionError")
    server.answers["insert"] = in_turn(conflict, conflict, conflict, {"ok": 1, "n": 1})
    server.seen.clear()
    runner(storage).write(lambda unit: unit.songs.add(song()), deadline=deadline(5), scope=Scope.WRITE_MANY)
    assert [name for name in server.seen if name != "find"] == [
        *["insert", "abortTransaction"] * 3,
        "insert",
        "commitTransaction",
    ]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([refusal(91, "UnknownTransactionCommitResult"), {"ok": 1}], None),
        ([refusal(50, "UnknownTransactionCommitResult")], OutcomeUnknown),
        ([refusal(251, "TransientTransactionError")], TransientConflict),
        ([{"ok": 1, "writeConcernError": {"code": 64, "errmsg": "waited too long"}}], OutcomeUnknown),
    ],
    ids=["then committed", "unknown for ever", "aborted by the server", "not by a majority"],
)
def test_commits(
    answers: list[Document],
    expected: type[SongsError] | None,
    scripted: Any,
    open_on: Open,
    song: Callable[..., Song],
    deadline: Callable[[float], Deadline],
) -> None:
    """A commit of unknown result is sent again, and only then said to be unknown; a refused one is a conflict."""
    server = scripted()
    storage = open_on(server)
    server.answers["commitTransaction"] = in_turn(*answers)
    try:
        with storage.unit_of_work(Scope.WRITE_MANY, deadline=deadline(2)) as unit:
            unit.songs.add(song())
        outcome = None
    except SongsError as error:
        outcome = type(error)
    assert outcome is expected


@pytest.mark.parametrize("how", ["silence", "hang_up"])
def test_a_commit_without_an_answer(
    scripted: Any,
    open_on: Open,
    how: str,
    request: pytest.FixtureRequest,
    song: Callable[..., Song],
    clock: Clock,
    deadline: Callable[[float], Deadline],
) -> None:
    """Whether it was kept is unknown, and it is said within the deadline."""
    server = scripted()
    storage = open_on(server)
    failure = request.getfixturevalue(how)

    def fail(_: Document) -> Document:
        raise failure

    server.answers["commitTransaction"] = fail
    late = deadline(0.6)
    with pytest.raises(OutcomeUnknown), storage.unit_of_work(Scope.WRITE_MANY, deadline=late) as unit:
        unit.songs.add(song())
    assert clock.monotonic_s() < late.at_s + 0.5


def test_a_swallowed_error_does_not_commit(
    scripted: Any, open_on: Open, song: Callable[..., Song], deadline: Callable[[float], Deadline]
) -> None:
    """A transaction in which a command failed is aborted, though the block ends cleanly."""
    server = scripted()
    storage = open_on(server)
    server.answers["insert"] = in_turn(refusal(112))

    def work(unit: UnitOfWork) -> None:
        with pytest.raises(TransientConflict):
            unit.songs.add(song())

    with (
        pytest.raises(TransientConflict),
        storage.unit_of_work(Scope.WRITE_MANY, deadline=deadline(2)) as unit,
    ):
        work(unit)
    assert "commitTransaction" not in server.seen


READ: Callable[[UnitOfWork], object] = lambda unit: unit.songs.get("S1")  # noqa: E731 - a table of calls


@pytest.mark.parametrize("replicated", [True, False])
@pytest.mark.parametrize("how", ["silence", "hang_up"])
def test_a_read_without_an_answer(
    scripted: Any,
    open_on: Open,
    replicated: bool,
    how: str,
    request: pytest.FixtureRequest,
    clock: Clock,
    deadline: Callable[[float], Deadline],
) -> None:
    """Nothing was changed, and it is said within the deadline."""
    server = scripted(replicated=replicated)
    storage = open_on(server)
    failure = request.getfixturevalue(how)

    def fail(_: Document) -> Document:
        raise failure

    server.answers["find"] = fail
    late = deadline(0.6)
    with pytest.raises((StorageUnavailable, DeadlineExceeded)), storage.unit_of_work(Scope.READ, deadline=late) as unit:
        READ(unit)
    assert clock.monotonic_s() < late.at_s + 0.5


@pytest.mark.parametrize("replicated", [True, False])
@pytest.mark.parametrize("how", ["silence", "hang_up"])
def test_a_rating_without_an_answer(
    scripted: Any,
    open_on: Open,
    replicated: bool,
    how: str,
    request: pytest.FixtureRequest,
    rating: Callable[..., Rating],
    clock: Clock,
    deadline: Callable[[float], Deadline],
) -> None:
    """Whether it was kept is unknown, and it is said within the deadline."""
    server = scripted(replicated=replicated)
    storage = open_on(server)
    failure = request.getfixturevalue(how)

    def fail(_: Document) -> Document:
        raise failure

    server.answers["findAndModify"] = fail
    late = deadline(0.6)
    with pytest.raises(OutcomeUnknown), storage.unit_of_work(Scope.WRITE_ONE, deadline=late) as unit:
        unit.ratings.add(rating("R1"))
    assert clock.monotonic_s() < late.at_s + 0.5


@pytest.mark.parametrize("code", [10107, 189, 91, 11602])
def test_a_primary_that_steps_down(
    code: int,
    scripted: Any,
    open_on: Open,
    runner: Any,
    rating: Callable[..., Rating],
    deadline: Callable[[float], Deadline],
) -> None:
    """The rating is sent again, to whoever is the primary then, and succeeds."""
    server = scripted()
    storage = open_on(server)
    server.answers["findAndModify"] = in_turn(refusal(code, "RetryableWriteError"), {"ok": 1, "value": RATED})
    receipt = runner(storage).write(lambda unit: unit.ratings.add(rating("R1")), deadline=deadline(3))
    assert receipt.stats == RatingStats((0, 0, 1, 0, 0))
    assert server.seen.count("findAndModify") == 2


def test_a_key_that_was_claimed_before_the_failure(
    scripted: Any, open_on: Open, rating: Callable[..., Rating], deadline: Callable[[float], Deadline]
) -> None:
    """Once a key is claimed whoever comes next may complete the rating: a refusal after it leaves the outcome open."""
    server = scripted(replicated=False)
    storage = open_on(server)
    song = {**RATED, "born": "b", "high": "", "recent": {}}
    server.answers["find"] = lambda _: {"ok": 1, "cursor": {"id": 0, "ns": "songs.songs", "firstBatch": [song]}}
    server.answers["findAndModify"] = in_turn(refusal(14031))
    with pytest.raises(OutcomeUnknown), storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline(2)) as unit:
        unit.ratings.add(rating("R1", key="k"))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refusal(112), TransientConflict),
        (refusal(13), StorageUnavailable),
        (refusal(14031), StorageUnavailable),
        (refusal(50), OutcomeUnknown),
        (refusal(99999), StorageUnavailable),
        ({"ok": 1, "value": RATED, "writeConcernError": {"code": 64, "errmsg": "too long"}}, OutcomeUnknown),
    ],
    ids=["conflict", "not authorised", "disk full", "out of time", "something new", "not by a majority"],
)
def test_what_a_refusal_means(
    answer: Document,
    expected: type[SongsError],
    scripted: Any,
    open_on: Open,
    rating: Callable[..., Rating],
    deadline: Callable[[float], Deadline],
) -> None:
    """Each answer to a rating becomes the error that says whether it may be kept; the driver's is its cause."""
    server = scripted(replicated=False)
    storage = open_on(server)
    server.answers["findAndModify"] = in_turn(answer)
    with pytest.raises(expected) as caught, storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline(2)) as unit:
        unit.ratings.add(rating("R1"))
    assert type(caught.value) is expected
    assert caught.value.__cause__ is not None


def test_nobody_listens(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening says so, without the password of the URL."""
    monkeypatch.setattr("songs_mongo.storage.PATIENCE_S", 0.2)
    settings = MongoSettings(url=SecretStr("mongodb://me:s3cret@127.0.0.1:1/"))
    with pytest.raises(StorageUnavailable) as caught:
        MongoStorage(settings, clock, connections=1).open()
    assert "s3cret" not in f"{caught.value}{settings!r}"


@pytest.mark.parametrize("how", ["refused", "silence", "hang_up"])
@pytest.mark.parametrize("scope", [Scope.READ, Scope.WRITE_MANY])
def test_a_search_without_a_sample(
    how: str,
    scope: Scope,
    scripted: Any,
    open_on: Open,
    request: pytest.FixtureRequest,
    song: Callable[..., Song],
    deadline: Callable[[float], Deadline],
) -> None:
    """The sample makes searches faster, and nothing depends on it: where there is none, they find what they find."""
    server = scripted()
    storage = open_on(server)
    found = encoding.new_song(song(), "b")
    server.answers["find"] = lambda _: {"ok": 1, "cursor": {"id": 0, "ns": "songs.songs", "firstBatch": [found]}}

    def fail(_: Document) -> Document:
        if how == "refused":
            return refusal(40324)
        raise request.getfixturevalue(how)

    server.answers["aggregate"] = fail
    with storage.unit_of_work(scope, deadline=deadline(2)) as unit:
        assert unit.songs.find(SongFilter(text="queen"), limit=9) == (song(),)
