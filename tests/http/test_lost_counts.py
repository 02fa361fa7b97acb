"""A limiter that loses its counts, or does not answer, allows nobody more than the limit."""

import copy
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.clock import ManualClock
from tests.limiting import limit_over

from songs.errors import LimiterUnavailable
from songs.ports.limiter import RateLimit, Verdict
from songs_api import resilient_limiter as windows
from songs_api.http.kernel.operation import PREFIX
from songs_api.http.kernel.rate_limits import Limit
from songs_api.resilient_limiter import ProcessWindows
from songs_api.settings.service import Deployment, ServiceSettings
from songs_api.shared_windows import SharedWindows, WindowTable
from songs_memory.limiter import MemoryLimiter

from .conftest import Build, Service, limited, limits

LIMIT = RateLimit(amount=10, window_s=60)
SETTINGS = limited(default=LIMIT)
Event = int | str
"""So many hits, or what happens."""
MOST_AT_ONCE = 8
OF_TWO = ServiceSettings(limits=limits(default=LIMIT), deployment=Deployment(workers=2))


def _new_table() -> closing[WindowTable]:
    return closing(WindowTable.create())


@pytest.fixture
def table() -> Iterator[WindowTable]:
    """What processes remember together."""
    with _new_table() as table:
        yield table


def _allowed(service: Service, headers: Mapping[str, str], times: int) -> int:
    """Return how many of so many requests were answered."""
    answers = [service.client.simulate_get(f"{PREFIX}/songs", headers=headers).status_code for _ in range(times)]
    assert set(answers) <= {200, 429}
    return answers.count(200)


def test_counts_that_are_lost(build: Build) -> None:
    """When the limiter starts anew in the middle of a window, the window goes on."""
    service = build(SETTINGS)
    ada, limiter = service.join("ada"), service.services.limiter
    allowed = _allowed(service, ada, 6)
    service.services.clock.sleep(30)
    limiter.close()
    limiter.open()

    assert allowed + _allowed(service, ada, 10) == LIMIT.amount


def test_processes_without_their_limiter(build: Build, table: WindowTable) -> None:
    """What is left when the limiter ends is left once, and not once for each process."""
    one = build(OF_TWO, replaced={"window_table": table})
    shared = {"storage": one.services.storage, "limiter": one.services.limiter, "window_table": table}
    other = build(OF_TWO, replaced=shared)
    ada = one.join("ada")
    allowed = _allowed(one, ada, 4) + _allowed(other, ada, 2)
    one.services.limiter.close()

    assert allowed + _allowed(other, ada, 3) + _allowed(one, ada, 10) + _allowed(other, ada, 10) == LIMIT.amount


class _Server:
    """A limiter as a server has it: it is flushed, loads an older state, and does not answer for a while."""

    def __init__(self, clock: ManualClock) -> None:
        self._limiter: Any = MemoryLimiter(clock)
        self._limiter.open()
        self._dump: Any = None
        self.on = True
        self.hold: Callable[[], object] | None = None

    def open(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Count one hit, and let the answer be on its way for a while."""
        hold, self.hold = self.hold, None
        if not self.on:
            raise LimiterUnavailable
        verdict: Verdict = self._limiter.hit(bucket, limit)
        if hold is not None:
            hold()
        return verdict

    def give_back(self, bucket: str, limit: RateLimit, window: str) -> None:
        """Undo one hit."""
        if not self.on:
            raise LimiterUnavailable
        self._limiter.give_back(bucket, limit, window)

    def flush(self) -> None:
        """Lose all counts."""
        self._limiter.close()
        self._limiter.open()

    def dump(self) -> None:
        """Keep the state as it is now."""
        self._dump = copy.deepcopy(self._limiter._windows)

    def load(self) -> None:
        """Go back to the state that was kept, if any."""
        if self._dump is not None:
            self._limiter._windows = copy.deepcopy(self._dump)


class _Replay:
    """Processes of a machine that count hits on one bucket, and when each was allowed.

    Args:
        amount: How many hits are allowed in 60 s.
        processes: How many there are.
        table: What they remember together; None: each remembers for itself.
    """

    def __init__(self, amount: int, *, processes: int = 1, table: WindowTable | None = None) -> None:
        self._clock = ManualClock()
        self._server = _Server(self._clock)
        self._rate = RateLimit(amount, 60)
        self._table = table
        self._each = [self._process(processes) for _ in range(processes)]
        self._next = 0
        self._threads: ThreadPoolExecutor
        self._asked: list[tuple[Future[None], threading.Event]] = []
        self.allowed: list[list[float]] = [[] for _ in self._each]

    @property
    def all_allowed(self) -> list[float]:
        """When hits were allowed, by whichever process."""
        return sorted(at_s for times in self.allowed for at_s in times)

    def play(self, events: Iterable[Event]) -> "_Replay":
        """Let events happen; hits go to the processes in turn."""
        with ThreadPoolExecutor(MOST_AT_ONCE) as self._threads:
            for event in events:
                if isinstance(event, int):
                    for _ in range(event):
                        self._hit()
                else:
                    self._happen(event)
            while self._asked:
                self._answer(0)
        return self

    def _happen(self, event: str) -> None:
        word, _, number = event.partition(" ")
        if word == "ask":
            self._ask()
        elif word == "answer":
            self._answer(int(number))
        elif word == "wait":
            while self._asked:
                self._answer(0)
            self._clock.sleep(float(number))
        elif word == "respawn":
            self._each[0] = self._process(len(self._each))
        elif word in {"down", "up"}:
            self._server.on = word == "up"
        else:
            getattr(self._server, word)()

    def _ask(self) -> None:
        """Have a hit counted, and its answer on its way."""
        if len(self._asked) == MOST_AT_ONCE:
            return
        counted, answered = threading.Event(), threading.Event()

        def hold() -> None:
            counted.set()
            answered.wait()

        self._server.hold = hold
        hit = self._threads.submit(self._hit)
        hit.add_done_callback(lambda _: counted.set())
        counted.wait()
        self._server.hold = None
        self._asked.append((hit, answered))

    def _answer(self, number: int) -> None:
        """Let one of the answers arrive that are on their way."""
        if self._asked:
            hit, answered = self._asked.pop(number % len(self._asked))
            answered.set()
            hit.result()

    def _process(self, processes: int) -> Limit:
        windows = ProcessWindows(processes)
        if self._table is None:
            return limit_over(self._server, self._rate, self._clock, windows=windows)
        shared = SharedWindows(self._table, "default", windows, self._clock)
        return limit_over(self._server, self._rate, self._clock, windows=shared)

    def _hit(self) -> None:
        number = self._next = (self._next + 1) % len(self._each)
        verdict = self._each[number].hit("bucket")
        assert verdict is not None
        assert 0 < verdict.reset_s <= 60
        assert 0 <= verdict.remaining <= self._rate.amount
        if verdict.allowed:
            self.allowed[number].append(self._clock.monotonic_s())


def _most_in_a_window(times: list[float]) -> int:
    """Return the most hits in one of the windows that begin with the first hit after the end of the one before."""
    most = count = 0
    ends_s = float("-inf")
    for at_s in times:
        if at_s >= ends_s:
            ends_s, count = at_s + 60, 0
        count += 1
        most = max(most, count)
    return most


HITS = st.integers(1, 12)
FAILURE = st.sampled_from(["flush", "dump", "load", "down", "up"])
WAIT = st.sampled_from(["wait 5", "wait 30", "wait 60"])
ON_ITS_WAY = st.sampled_from(["ask", "ask", "answer 0", "answer 1", "answer 2", "answer 3"])
AMOUNT = st.integers(1, 10)


@given(st.lists(st.one_of(HITS, FAILURE, WAIT, ON_ITS_WAY), max_size=30), AMOUNT)
@example([9, "flush", 1, "wait 55", "wait 5", 12, "wait 5", 12], 10)
@example([10, "flush", 10], 10)
@example([1, "down", 9, "up", 10], 10)
@example([5, "dump", 5, "load", 10], 10)
@example([1, "dump", 9, "flush", "load", 10, "wait 60", 10, "wait 5", 10], 10)
@example(["down", 5, "up", 10, "wait 30", 10, "wait 30", 10], 10)
@example([3, "wait 30", "flush", 1, "wait 30", 3, "wait 30", 3], 3)
@example([1, "ask", "ask", "flush", 1, "answer 0", "answer 0", 10], 4)
@example([3, "dump", 2, "ask", "ask", "load", 2, "ask", "answer 0", "answer 0", "answer 0", 10], 10)
def test_no_failure_gives_a_bucket_more_than_its_limit(events: list[Event], amount: int) -> None:
    """Flushes, older states and outages in any order, also before answers arrive; windows that begin at any time."""
    assert _most_in_a_window(_Replay(amount).play(events).all_allowed) <= amount


@given(st.lists(st.one_of(HITS, FAILURE, WAIT, ON_ITS_WAY, st.just("respawn")), max_size=30), AMOUNT, st.integers(2, 3))
@example([6, "down", 10], 10, 2)
@example([3, "down", 3, "respawn", 3, "up", "flush", 10], 10, 2)
def test_no_failure_gives_a_machine_more_than_the_limit(events: list[Event], amount: int, processes: int) -> None:
    """The same is true of all processes of a machine together, also when they end and are replaced."""
    with _new_table() as table:
        replay = _Replay(amount, processes=processes, table=table).play(events)
    assert _most_in_a_window(replay.all_allowed) <= amount


@given(st.lists(st.one_of(HITS, FAILURE, WAIT, ON_ITS_WAY), max_size=30), AMOUNT, st.integers(2, 3))
def test_no_failure_gives_a_process_more_than_the_limit(events: list[Event], amount: int, processes: int) -> None:
    """Of processes that remember for themselves the same is true of each."""
    for times in _Replay(amount, processes=processes).play(events).allowed:
        assert _most_in_a_window(times) <= amount


@given(st.lists(st.one_of(HITS, WAIT), max_size=30), AMOUNT)
def test_without_failures_the_limiter_decides(events: list[int | str], amount: int) -> None:
    """What is remembered refuses nobody, through one process or through three, however they remember."""
    expected = ManualClock()
    alone = MemoryLimiter(expected)
    alone.open()
    times = []
    for event in events:
        if isinstance(event, int):
            times += [expected.monotonic_s() for _ in range(event) if alone.hit("b", RateLimit(amount, 60)).allowed]
        else:
            expected.sleep(float(event.partition(" ")[2]))

    with _new_table() as table:
        replays = [_Replay(amount), _Replay(amount, processes=3), _Replay(amount, processes=3, table=table)]
        assert [replay.play(events).all_allowed for replay in replays] == [times] * 3


def test_what_is_used_up_is_remembered_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any number of addresses with a few hits each push out nobody of whom more than half is used."""
    monkeypatch.setattr(windows, "MAX_BUCKETS", 20)
    clock = ManualClock()
    server = _Server(clock)
    remembered = ProcessWindows()
    limit = limit_over(server, RateLimit(4, 60), clock, windows=remembered)
    for _ in range(3):
        limit.hit("heavy")
    for number in range(1000):
        limit.hit(f"light {number}")
        limit.hit(f"light {number}")
    server.flush()

    allowed = [limit.hit("heavy") for _ in range(4)]
    assert [verdict is not None and verdict.allowed for verdict in allowed] == [True, False, False, False]
    assert len(remembered) == 11


def test_a_hit_that_is_given_back_is_not_remembered() -> None:
    """In the limiter, in an outage, and after a flush."""
    clock = ManualClock()
    server = _Server(clock)
    limit = limit_over(server, RateLimit(2, 60), clock)

    def hit_and_give_back() -> bool:
        verdict = limit.hit("bucket")
        assert verdict is not None
        limit.give_back("bucket", verdict)
        return verdict.allowed

    assert all(hit_and_give_back() for _ in range(5))
    server.flush()
    assert all(hit_and_give_back() for _ in range(5))
    server.on = False
    assert all(hit_and_give_back() for _ in range(5))
    server.on = True
    assert all(hit_and_give_back() for _ in range(5))
