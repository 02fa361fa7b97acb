"""The table in which all processes of a service remember the windows of its limits."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.clock import ManualClock
from tests.limiting import limit_over

from songs.errors import LimiterUnavailable
from songs.ports.limiter import RateLimit, Verdict
from songs_api import shared_windows
from songs_api.http.kernel.rate_limits import RateLimits
from songs_api.resilient_limiter import ProcessWindows, Window
from songs_api.settings.service import Deployment, ServiceSettings
from songs_api.shared_windows import HEAVY_WAYS, LIMITS, SETS, WAYS, SharedWindows, WindowTable
from songs_memory.limiter import MemoryLimiter

from .conftest import Build, limits

RATE = RateLimit(4, 60)
PATIENCE_S = 60.0


class _Away:
    """A limiter that does not answer."""

    def open(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Fail."""
        raise LimiterUnavailable

    def give_back(self, bucket: str, limit: RateLimit, window: str) -> None:
        """Fail."""
        raise LimiterUnavailable


@pytest.fixture
def table() -> Iterator[WindowTable]:
    """A table."""
    with closing(WindowTable.create()) as table:
        yield table


def _windows(table: WindowTable, clock: Any, processes: int = 2) -> SharedWindows:
    return SharedWindows(table, "default", ProcessWindows(processes), clock)


def _allowed(hit: Callable[[str], Verdict | None], bucket: str, times: int) -> int:
    return sum(verdict is not None and verdict.allowed for verdict in (hit(bucket) for _ in range(times)))


HITS = """
import sys
from songs.errors import LimiterUnavailable
from songs.ports.limiter import RateLimit
from songs_api.resilient_limiter import ResilientLimiter
from songs_api.shared_windows import SharedWindows, WindowTable
from songs_api.resilient_limiter import ProcessWindows
from songs_system.system import SystemClock

def away(*_):
    raise LimiterUnavailable

amount, clock = int(sys.argv[2]), SystemClock()
windows = SharedWindows(WindowTable.open(sys.argv[1]), "default", ProcessWindows(2), clock)
limiter = ResilientLimiter(None, windows, clock)
print("ready", flush=True)
sys.stdin.readline()
hits = (limiter.hit(bucket, RateLimit(amount, 3600), away) for bucket in sys.argv[3:] for _ in range(amount))
print(sum(verdict.allowed for verdict in hits), flush=True)
"""
HOLDS = """
import sys
from songs_api.shared_windows import WindowTable

with WindowTable.open(sys.argv[1]).locked(int(sys.argv[2])):
    print("ready", flush=True)
    sys.stdin.readline()
"""

Process = subprocess.Popen[str]


@pytest.fixture
def start(table: WindowTable) -> Iterator[Callable[..., Process]]:
    """Starts a program with the table and arguments, in a process of its own, and returns when that is ready."""
    started: list[Process] = []

    def start(program: str, *arguments: object) -> Process:
        command = [sys.executable, "-c", program, table.path, *map(str, arguments)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=PATIENCE_S)


def test_processes_at_once_allow_what_one_would(start: Callable[..., Process]) -> None:
    """Four processes hit the same twenty buckets without pause: each bucket has its limit once."""
    amount, buckets = 500, [f"bucket {n}" for n in range(20)]
    processes = [start(HITS, amount, *buckets) for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()

    allowed = [int(process.communicate(timeout=PATIENCE_S)[0]) for process in processes]

    assert sum(allowed) == amount * len(buckets)


def _number(table: WindowTable, bucket: str) -> int:
    return table.place(0, f"default:{bucket}")[0]


def test_a_process_that_is_killed_lets_go(table: WindowTable, start: Callable[..., Process]) -> None:
    """What it held is free at once, with what it had written."""
    clock = ManualClock()
    limit = limit_over(_Away(), RATE, clock, windows=_windows(table, clock))
    assert _allowed(limit.hit, "a", 1) == 1
    process = start(HOLDS, _number(table, "a"))
    process.kill()
    process.wait(PATIENCE_S)

    assert _allowed(limit.hit, "a", 9) == 3
    assert table.works


def test_a_process_that_stops_holds_nobody_for_long(
    table: WindowTable,
    start: Callable[..., Process],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Another one waits for a bounded time, says so once, and goes on with its own memory and its part."""
    monkeypatch.setattr(shared_windows, "LOCK_S", 0.01)
    clock = ManualClock()
    limit = limit_over(_Away(), RATE, clock, windows=_windows(table, clock))
    start(HOLDS, _number(table, "a"))

    assert [_allowed(limit.hit, bucket, 9) for bucket in ("a", "b")] == [2, 2]
    assert [record.message for record in caplog.records].count(
        shared_windows.TABLE_LOST % "another process holds it and does not go on"
    ) == 1


def test_without_memory_of_this_kind_each_process_goes_on_alone(
    build: Build, table: WindowTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locks that fail are such a case as well."""

    def fail(*_: object) -> None:
        raise OSError(37, "No locks available")

    settings = ServiceSettings(limits=limits(default=RATE), deployment=Deployment(workers=2))
    replaced = {"limiter": MemoryLimiter(ManualClock()), "window_table": table}
    services = build(settings, replaced=replaced).services
    monkeypatch.setattr(fcntl, "lockf", fail)
    services.limiter.close()

    assert _allowed(RateLimits(services).limit("default", RATE).hit, "a", 9) == 2


def test_what_is_no_table_is_not_opened(tmp_path: Path) -> None:
    """A file, and memory that could still be cut short under those who have mapped it, are refused."""
    (tmp_path / "file").write_bytes(bytes(100))
    bare = os.memfd_create("bare", os.MFD_ALLOW_SEALING)
    for path in (str(tmp_path / "file"), str(tmp_path / "nothing"), f"/proc/self/fd/{bare}"):
        with pytest.raises(OSError):  # noqa: PT011 - whatever the system says of each
            WindowTable.open(path)
    os.close(bare)


def test_it_can_neither_shrink_nor_grow(table: WindowTable) -> None:
    """So whoever has it mapped is never ended by reading or writing it."""
    with open(table.path, "r+b") as file:  # noqa: PTH123 - a path of /proc
        for size in (0, shared_windows.TABLE_BYTES * 2):
            with pytest.raises(PermissionError):
                os.ftruncate(file.fileno(), size)


def test_every_limit_has_a_region(build: Build, table: WindowTable) -> None:
    """An application with all limits finds each of them there, and no two share what they remember."""
    services = build(replaced={"window_table": table}).services
    services.limiter.close()

    assert [_allowed(RateLimits(services).limit(name, RATE).hit, "a", 9) for name in LIMITS] == [4] * len(LIMITS)


def test_what_is_used_up_is_remembered_longest(table: WindowTable) -> None:
    """A flood of buckets with few hits fills the region, and pushes out nobody of whom more than half is used."""
    clock = ManualClock()
    limiter = MemoryLimiter(clock)
    limiter.open()
    limit = limit_over(limiter, RATE, clock, windows=_windows(table, clock))
    heavy = [f"heavy {n}" for n in range(SETS)]
    for bucket in heavy:
        assert _allowed(limit.hit, bucket, 3) == 3
    for number in range(SETS * WAYS * 2):
        limit.hit(f"light {number}")
    limiter.close()
    limiter.open()

    assert [_allowed(limit.hit, bucket, 4) for bucket in heavy] == [1] * len(heavy)


def test_a_full_set_forgets_what_it_needs_the_least(table: WindowTable) -> None:
    """First windows that ended; then light ones; heavy ones only where they are too many; the longest unhit first."""
    clock = ManualClock()
    windows = _windows(table, clock)
    of_one_set = iter(bucket for n in range(10**6) if table.place(0, bucket := f"bucket {n}")[0] == 0)

    def put(*, ends_s: float, heavy: bool) -> str:
        clock.sleep(1)
        bucket = next(of_one_set)
        window = Window("w", 1, 3 if heavy else 1, 0, 1, ends_s, heavy=heavy)
        windows.change(bucket, lambda _: (window, None))
        return bucket

    soon, late = clock.monotonic_s() + 500, clock.monotonic_s() + 10_000
    light = [put(ends_s=late, heavy=False) for _ in range(WAYS - HEAVY_WAYS - 1)]
    ended = put(ends_s=soon, heavy=True)
    heavy = [put(ends_s=late, heavy=True) for _ in range(HEAVY_WAYS)]
    clock.sleep(500)

    for forgotten, is_heavy in ((ended, False), (light[0], True), (heavy[0], False)):
        put(ends_s=late, heavy=is_heavy)
        assert windows.last(forgotten) is None
        assert all(windows.last(bucket) for bucket in (*heavy[1:], *light[1:]))
