"""Clocks and ids that are wrong."""

import itertools
import os
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta, timezone

from songs.model import whole_milliseconds
from songs_plugins import Port
from songs_system.system import SystemClock

from .planting import adapter


class _LocalTime(SystemClock):
    def now(self) -> datetime:
        """Take the local time for UTC."""
        return whole_milliseconds(datetime.now().replace(tzinfo=UTC))  # noqa: DTZ005 - the defect


clock_shows_local_time = adapter(Port.CLOCK, _LocalTime)


class _OtherZone(SystemClock):
    def now(self) -> datetime:
        """Show the right moment in another zone."""
        return super().now().astimezone(timezone(timedelta(hours=1)))


clock_shows_another_zone = adapter(Port.CLOCK, _OtherZone)


class _Microseconds(SystemClock):
    def now(self) -> datetime:
        """Show what no storage keeps."""
        return datetime.now(UTC).replace(microsecond=123_456)


clock_shows_microseconds = adapter(Port.CLOCK, _Microseconds)


class _WallClock(SystemClock):
    def monotonic_s(self) -> float:
        """Go by the time of day."""
        return time.time()


monotonic_is_the_wall_clock = adapter(Port.CLOCK, _WallClock)


class _OwnThread(SystemClock):
    def __init__(self) -> None:
        self._local = threading.local()

    def monotonic_s(self) -> float:
        """Count from the thread's first reading."""
        self._local.__dict__.setdefault("started_s", time.monotonic())
        return time.monotonic() - float(self._local.started_s)


each_thread_has_a_clock = adapter(Port.CLOCK, _OwnThread)


class _WakesEarly(SystemClock):
    def sleep(self, duration_s: float) -> None:
        """Take seconds for milliseconds."""
        super().sleep(duration_s / 1000)


sleep_is_too_short = adapter(Port.CLOCK, _WakesEarly)


class _Uuids:
    def new_id(self) -> str:
        """Return an id without order."""
        return uuid.uuid4().hex


ids_have_no_order = adapter(Port.IDS, _Uuids)


class _Braces:
    def new_id(self) -> str:
        """Return an id of another form."""
        return f"{{{time.time_ns():032x}}}"


ids_have_another_form = adapter(Port.IDS, _Braces)


class _FollowsTheClock:
    def __init__(self) -> None:
        self._numbers = itertools.count()

    def new_id(self) -> str:
        """Go back with the time of day."""
        return f"{time.time_ns():020x}{next(self._numbers):08x}{os.getpid():08x}"


ids_go_back_with_the_clock = adapter(Port.IDS, _FollowsTheClock)


class _NoLock:
    def __init__(self) -> None:
        self._last = 0

    def new_id(self) -> str:
        """Read, then write."""
        following = max(self._last + 1, time.time_ns() // 1_000_000 << 20)
        time.sleep(0)
        self._last = following
        return f"{following:032x}"


threads_get_the_same_id = adapter(Port.IDS, _NoLock)


class _Serial:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._prefix = uuid.uuid4().hex[:8]
        self._last = 0

    def new_id(self) -> str:
        """Count, from a random prefix."""
        with self._lock:
            self._last += 1
            return f"{self._prefix}{self._last:020x}"


generators_disagree_on_the_order = adapter(Port.IDS, _Serial)
fork_makes_the_same_ids = adapter(Port.IDS, _Serial)


class _Counter(_Serial):
    def __init__(self) -> None:
        super().__init__()
        self._prefix = "0"


two_generators_make_the_same_ids = adapter(Port.IDS, _Counter)
