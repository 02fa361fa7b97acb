"""Whether a write was kept, as far as the server's answers say, and how often the driver may ask."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import bson
import pytest
from pydantic import SecretStr
from tests.clock import ManualClock

from songs.errors import OutcomeUnknown, SongsError, StorageUnavailable, TransientConflict, Unsupported
from songs.model import Rating, Song, User
from songs.ports.clock import Clock, Deadline
from songs.ports.storage import Scope, UnitOfWork
from songs.query import SongFilter
from songs_contract.models import samples
from songs_mongo import MongoSettings, MongoStorage
from songs_mongo.client import FIRST_PAUSE_S, LONGEST_PAUSE_S, Attempts

Document = dict[str, Any]
Work = Callable[[UnitOfWork], object]
Try = Callable[..., type[SongsError] | None]
RATED: Document = {"_id": "S1", "n1": 0, "n2": 0, "n3": 1, "n4": 0, "n5": 0, "moved": 0}
SIGNED_IN: Document = {"ok": 1, "conversationId": 1, "done": True, "payload": b""}
RETRYABLE, TRANSIENT, NOTHING = "RetryableWriteError", "TransientTransactionError", "NoWritesPerformed"
UNKNOWN_COMMIT = "UnknownTransactionCommitResult"
MOST = 60
"""More than the attempts that fit into a second and a half with their pauses, and fewer than one in 20 without."""


def refusal(code: int, *labels: str) -> Document:
    """Return a server's answer that refuses a command."""
    return {"ok": 0, "code": code, "codeName": "X", "errmsg": "refused", "errorLabels": list(labels)}


def not_replicated(code: int, *labels: str) -> Document:
    """Return the answer to a write that was applied, and of which the write concern failed."""
    concern = {"code": code, "codeName": "X", "errmsg": "not by a majority"}
    return {"ok": 1, "n": 1, "nModified": 1, "value": RATED, "writeConcernError": concern, "errorLabels": list(labels)}


@pytest.fixture
def attempt(scripted: Any, clock: Clock, deadline: Callable[[float], Deadline], hang_up: type[Exception]) -> Any:
    """Runs a unit on a server that answers a command so, in turn; returns how it ends.

    An answer of None breaks the connection off; one of bytes is sent as it is.
    """
    opened: list[MongoStorage] = []
    servers: list[Any] = []

    def answering(answers: list[Document | None]) -> Callable[[Document], Document]:
        left = list(answers)

        def answer(_: Document) -> Document:
            found = left.pop(0) if len(left) > 1 else left[0]
            if found is None:
                raise hang_up
            return found

        return answer

    def start(
        work: Work,
        answers: Mapping[str, list[Document | None]],
        *,
        scope: Scope = Scope.WRITE_ONE,
        replicated: bool = True,
        seconds: float = 1.5,
        signed_in: bool = False,
    ) -> type[SongsError] | None:
        server = scripted(replicated=replicated)
        servers.append(server)
        server.answers["saslStart"] = lambda _: SIGNED_IN
        url = server.url.replace("//", "//me:s3cret@") + "&authMechanism=PLAIN" if signed_in else server.url
        storage = MongoStorage(MongoSettings(url=SecretStr(url)), clock, connections=4)
        opened.append(storage)
        storage.open()
        server.answers |= {name: answering(of_name) for name, of_name in answers.items()}
        server.seen.clear()
        try:
            with storage.unit_of_work(scope, deadline=deadline(seconds)) as unit:
                work(unit)
        except SongsError as error:
            return type(error)
        return None

    start.servers = servers  # type: ignore[attr-defined]
    yield start
    for storage in opened:
        storage.close()


@pytest.fixture
def rate(rating: Callable[..., Rating]) -> Work:
    """One write of a rating."""
    return lambda unit: unit.ratings.add(rating("R1"))


@pytest.fixture
def user() -> User:
    """A user."""
    return samples.user()


@pytest.fixture
def add(song: Callable[..., Song]) -> Work:
    """A write of a song."""
    return lambda unit: unit.songs.add(song())


@pytest.mark.parametrize("code", [24, 251, 256, 112, 99999])
@pytest.mark.parametrize("before", [[], [None], [refusal(91, UNKNOWN_COMMIT)]], ids=["alone", "unanswered", "stopped"])
def test_a_commit_that_is_refused(attempt: Try, add: Work, code: int, before: list[Document | None]) -> None:
    """Only the label says that nothing was kept: an earlier commit may have been applied and not answered."""
    commits = {"commitTransaction": [*before, refusal(code)]}
    assert attempt(add, commits, scope=Scope.WRITE_MANY) is OutcomeUnknown
    labelled = {"commitTransaction": [*before, refusal(code, TRANSIENT)]}
    assert attempt(add, labelled, scope=Scope.WRITE_MANY) is TransientConflict


@pytest.mark.parametrize("code", [64, 91, 112, 10107, 99999])
@pytest.mark.parametrize("labels", [[], [RETRYABLE]], ids=["", "retryable"])
def test_a_write_that_was_applied_and_not_by_a_majority(
    attempt: Try, rate: Work, add: Work, code: int, labels: list[str]
) -> None:
    """It may be kept, whatever the code; a command of its own, or one of a batch."""
    assert attempt(rate, {"findAndModify": [not_replicated(code, *labels)]}, seconds=0.6) is OutcomeUnknown
    assert attempt(add, {"insert": [not_replicated(code, *labels)]}, seconds=0.6) is OutcomeUnknown


@pytest.mark.parametrize("code", [6, 112, 189, 462, 10107, 99999])
def test_a_refusal_that_may_be_tried_again(attempt: Try, rate: Work, code: int) -> None:
    """What the server labels as retryable may be kept, unless it says that nothing was written."""
    unknown = {"findAndModify": [refusal(code, RETRYABLE)]}
    assert attempt(rate, unknown, seconds=0.6) is OutcomeUnknown
    # To a stand-alone server the driver sends it once.
    assert attempt(rate, unknown, replicated=False) is OutcomeUnknown
    nothing = {"findAndModify": [refusal(code, RETRYABLE, NOTHING)]}
    assert attempt(rate, nothing, replicated=False) in {TransientConflict, StorageUnavailable}


@pytest.mark.parametrize("code", [13, 20, 112, 14031, 10058, 99999])
def test_a_refusal_after_an_attempt_without_an_answer(attempt: Try, rate: Work, code: int) -> None:
    """The first attempt may be kept, whatever the second one meets, unless the driver is told that nothing was."""
    assert attempt(rate, {"findAndModify": [None, refusal(code)]}) is OutcomeUnknown
    assert attempt(rate, {"findAndModify": [not_replicated(91, RETRYABLE), refusal(code)]}) is OutcomeUnknown
    assert attempt(rate, {"findAndModify": [refusal(code)]}) is not OutcomeUnknown


@pytest.mark.parametrize("code", [2, 18, 14031, 99999])
def test_signing_in_again_between_two_attempts(attempt: Try, rate: Work, code: int) -> None:
    """It undoes no attempt without an answer; where it fails, that is no answer to the attempt either."""
    assert attempt(rate, {"findAndModify": [None, refusal(code)]}, signed_in=True) is OutcomeUnknown
    refused = {"findAndModify": [None], "saslStart": [refusal(code)]}
    assert attempt(rate, refused, signed_in=True) is OutcomeUnknown


@pytest.mark.parametrize("code", [112, 121, 10107, 14031])
def test_a_write_refused_after_an_attempt_without_an_answer(attempt: Try, user: User, code: int) -> None:
    """The refusal of a write within an answer that is no failure says as little of the first attempt."""
    write_error = {"ok": 1, "n": 0, "writeErrors": [{"index": 0, "code": code, "errmsg": "refused"}]}
    assert attempt(lambda unit: unit.users.add(user), {"insert": [None, write_error]}) is OutcomeUnknown


@pytest.mark.parametrize("code", [112, 175, 10107, 14031, 99999])
def test_a_write_of_many_documents_that_is_refused(attempt: Try, add: Work, code: int) -> None:
    """Some of them may be changed before the others are refused, by another shard or in the middle."""
    found = {"ok": 1, "cursor": {"id": 0, "ns": "songs.sessions", "firstBatch": [{"_id": "T1"}, {"_id": "T2"}]}}
    write_error = {"ok": 1, "n": 1, "writeErrors": [{"index": 0, "code": code, "errmsg": "refused"}]}
    delete: Work = lambda unit: unit.sessions.delete_of_user("U1", limit=9)  # noqa: E731 - a table of calls
    for refused in (refusal(code), write_error):
        assert attempt(delete, {"find": [found], "delete": [refused]}) is OutcomeUnknown
        assert attempt(add, {"insert": [refused]}) is OutcomeUnknown
    assert attempt(delete, {"find": [found], "delete": [refusal(code, NOTHING)]}) is not OutcomeUnknown
    assert attempt(delete, {"find": [found], "delete": [refusal(13)]}) is StorageUnavailable


TAKEN: Document = {"ok": 1, "n": 0, "writeErrors": [{"index": 0, "code": 11000, "errmsg": "E11000"}]}


def test_a_record_that_is_there_and_that_no_majority_has(attempt: Try, user: User) -> None:
    """It is not acknowledged, and may be what an earlier attempt without an answer left."""
    for work in (lambda unit: unit.sessions.add(samples.session()), lambda unit: unit.users.add(user)):
        assert attempt(work, {"insert": [TAKEN]}) is TransientConflict
        assert attempt(work, {"insert": [None, TAKEN]}) is OutcomeUnknown


UNREADABLE = [
    {"ok": 0, "code": 6},
    {"ok": 0, "code": 6, "errmsg": "refused", "errorLabels": None},
    {"ok": 1, "cursor": 5, "n": "x", "value": 7, "writeConcernError": 5},
    {},
    {"ok": 0, "code": "X", "errmsg": "refused"},
    bson.encode({"ok": 1.0}).replace(b"\x01ok", b"\x7eok"),
]


@pytest.mark.parametrize("answer", UNREADABLE, ids=str)
def test_an_answer_that_cannot_be_read(attempt: Try, rate: Work, user: User, answer: Any) -> None:
    """A write, or a commit, may be kept; a read fails; neither is another error than one of the port."""
    assert attempt(rate, {"findAndModify": [answer]}) is OutcomeUnknown
    assert attempt(lambda unit: unit.users.add(user), {"insert": [answer]}) is OutcomeUnknown
    assert attempt(lambda unit: unit.songs.get("S1"), {"find": [answer]}, scope=Scope.READ) is StorageUnavailable
    commits = {"commitTransaction": [answer]} if answer != UNREADABLE[2] else {"commitTransaction": [UNREADABLE[0]]}
    assert attempt(lambda unit: unit.users.add(user), commits, scope=Scope.WRITE_MANY) is OutcomeUnknown
    sampled: Work = lambda unit: unit.songs.find(SongFilter(text="queen"), limit=9)  # noqa: E731 - a table of calls
    assert attempt(sampled, {"aggregate": [answer]}, scope=Scope.READ) is None


@pytest.mark.parametrize("code", [20, 263])
def test_codes_of_transactions_elsewhere(attempt: Try, rate: Work, add: Work, code: int) -> None:
    """They speak of transactions in a transaction only: no write of its own is blamed on a lack of them."""
    assert attempt(rate, {"findAndModify": [refusal(code)]}) is StorageUnavailable
    assert attempt(lambda unit: unit.songs.get("S1"), {"find": [refusal(code)]}, scope=Scope.READ) is StorageUnavailable
    assert attempt(add, {"insert": [refusal(code)]}, scope=Scope.WRITE_MANY) is Unsupported


@pytest.mark.parametrize("code", [91, 134, 262])
def test_a_read_is_not_repeated_without_pause(attempt: Any, code: int) -> None:
    """A server that refuses all reads is asked a few dozen times within a deadline."""
    work: Work = lambda unit: unit.songs.get("S1")  # noqa: E731 - a table of calls
    assert attempt(work, {"find": [refusal(code)]}, scope=Scope.READ) is not None
    assert 2 <= len(attempt.servers[-1].seen) < MOST


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("findAndModify", refusal(91, RETRYABLE)),
        ("findAndModify", refusal(462, RETRYABLE, NOTHING)),
        ("findAndModify", not_replicated(91, RETRYABLE)),
        ("insert", not_replicated(11602, RETRYABLE)),
        ("commitTransaction", refusal(91, UNKNOWN_COMMIT, RETRYABLE)),
        ("commitTransaction", not_replicated(91, RETRYABLE)),
        ("abortTransaction", refusal(91, RETRYABLE)),
    ],
)
def test_a_write_is_not_repeated_without_pause(
    attempt: Any, rate: Work, add: Work, name: str, answer: Document
) -> None:
    """Nor a server that refuses all writes, commits or aborts."""
    many = name.endswith("Transaction")
    answers = {name: [answer], **({"insert": [refusal(13)]} if name == "abortTransaction" else {})}
    work = rate if name == "findAndModify" else add
    assert attempt(work, answers, scope=Scope.WRITE_MANY if many else Scope.WRITE_ONE) is not None
    assert 1 < attempt.servers[-1].seen.count(name) < MOST


@pytest.mark.parametrize("call", ["identity", "versions", "examine", "prepare"])
def test_what_is_no_unit_is_not_repeated_without_pause(
    call: str, scripted: Any, clock: Clock, deadline: Callable[[float], Deadline], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does a unit of the same thread, whose time is up, end the pauses."""
    for module in ("storage", "maintenance", "migrations"):
        monkeypatch.setattr(f"songs_mongo.{module}.PATIENCE_S", 1.5)
    server = scripted()
    storage = MongoStorage(MongoSettings(url=SecretStr(server.url)), clock, connections=4)
    storage.open()
    server.answers["find"] = lambda _: refusal(262)
    with pytest.raises(SongsError), storage.unit_of_work(Scope.READ, deadline=deadline(0.2)) as unit:
        unit.songs.get("S1")
    server.seen.clear()
    with pytest.raises(StorageUnavailable):
        list(getattr(storage, call)() or ())
    assert 2 <= server.seen.count("find") < MOST
    storage.close()


def test_pauses_grow_and_end_in_time() -> None:
    """None before the first repetition; the others double, stay below a limit, and never go beyond what is left."""
    clock: Any = ManualClock(now_s=0.0)
    attempts = Attempts(clock, jitter=lambda: 1.0)
    event: Any = SimpleNamespace(command_name="find", failure={})
    attempts.begin(1.0)
    for _ in range(20):
        attempts.failed(event)
    assert attempts.failures == 20
    assert clock.slept_s[:3] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
    assert max(clock.slept_s) <= LONGEST_PAUSE_S
    assert sum(clock.slept_s) == pytest.approx(1.0)
    attempts.begin(1.0)
    assert attempts.failures == 0
