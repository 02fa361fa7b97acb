"""Clocks and ids that are wrong."""

import itertools
import os
import random
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

from songs.model import whole_milliseconds
from songs.ports.clock import Clock
from songs_plugins import AdapterSpec, Port
from songs_system.system import SystemClock

from .planting import adapter, changed


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


class _Kept(SystemClock):
    _read_at_s = 0.0

    def now(self) -> datetime:
        """Read the time of day twenty times a second."""
        if time.monotonic() > self._read_at_s + 0.05:
            self._read_at_s, self._now = time.monotonic(), super().now()
        return self._now


time_of_day_is_kept = adapter(Port.CLOCK, _Kept)


class _Milliseconds(SystemClock):
    def monotonic_s(self) -> float:
        """Count another unit."""
        return time.monotonic() * 1000


monotonic_counts_milliseconds = adapter(Port.CLOCK, _Milliseconds)


class _Coarse(SystemClock):
    def monotonic_s(self) -> float:
        """Tick a hundred times a second, as some systems do."""
        return int(time.monotonic() * 100) / 100

    def sleep(self, duration_s: float) -> None:
        """Sleep a tick longer."""
        super().sleep(duration_s + 0.01 if duration_s > 0 else 0.0)


monotonic_ticks = adapter(Port.CLOCK, _Coarse)


class _WholeMilliseconds(SystemClock):
    def sleep(self, duration_s: float) -> None:
        """Cut what is less than a millisecond off."""
        super().sleep(int(duration_s * 1000) / 1000)


sleep_is_cut_to_milliseconds = adapter(Port.CLOCK, _WholeMilliseconds)


class _LessThanNothing(SystemClock):
    def sleep(self, duration_s: float) -> None:
        """Sleep for the amount, whatever its sign."""
        super().sleep(abs(duration_s))


sleep_of_less_than_nothing = adapter(Port.CLOCK, _LessThanNothing)


class _OneAtATime(SystemClock):
    def __init__(self) -> None:
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Wait for the turn."""
        with self._lock:
            return super().now()

    def sleep(self, duration_s: float) -> None:
        """Sleep, and keep everybody else waiting."""
        with self._lock:
            super().sleep(duration_s)


sleeper_holds_the_clock = adapter(Port.CLOCK, _OneAtATime)


class _Numbered:
    """Ids of the millisecond, a number within it and a random end, which are right unless a defect forms them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = (0, 0)
        self._begin_anew()
        os.register_at_fork(after_in_child=self._begin_anew)

    def _begin_anew(self) -> None:
        self._lock = threading.Lock()
        self._own = uuid.uuid4().hex

    def new_id(self) -> str:
        """Return the next one."""
        with self._lock:
            now_ms = round(self._clock.now().timestamp() * 1000)
            last_ms, number = self._last
            self._last = (now_ms, 0) if now_ms > last_ms else (last_ms, number + 1)
            return self.formed(*self._last)

    def formed(self, moment_ms: int, number: int) -> str:
        """Return the text of an id."""
        return f"{moment_ms:013x}{number:010x}{self._own}"


def _ids(kind: Callable[[Clock], object]) -> AdapterSpec:
    return changed(adapter(Port.IDS, object), lambda _settings, context: kind(context.clock))


class _SixteenBits(_Numbered):
    def formed(self, moment_ms: int, number: int) -> str:
        """Keep the number in two bytes."""
        return super().formed(moment_ms, number % 65_536)


numbers_end_at_65535 = _ids(_SixteenBits)


class _Unpadded(_Numbered):
    def formed(self, moment_ms: int, number: int) -> str:
        """Write four digits, and more where there are more."""
        return f"{moment_ms:013x}{number:04x}{self._own}"


numbers_get_longer = _ids(_Unpadded)


class _FortyOneBits(_Numbered):
    def formed(self, moment_ms: int, number: int) -> str:
        """Count the milliseconds since 2015 in 41 bits, as others do."""
        return super().formed((moment_ms - 1_420_070_400_000) % (1 << 41), number)


time_ends_in_2084 = _ids(_FortyOneBits)


class _Decimal(_Numbered):
    def formed(self, moment_ms: int, number: int) -> str:
        """Write as many digits as there are."""
        return f"{moment_ms}{number:010d}{self._own}"


time_gets_longer = _ids(_Decimal)


class _ProcessId(_Numbered):
    def formed(self, moment_ms: int, number: int) -> str:
        """End with what all generators of a process have in common."""
        return f"{moment_ms:013x}{number:010x}{os.getpid():08x}"


generators_of_a_process_agree = _ids(_ProcessId)


class _Seeded(_Numbered):
    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._own = f"{random.getrandbits(80):020x}"


ids_follow_the_seed = _ids(_Seeded)


class _KeptLock(_Numbered):
    def _begin_anew(self) -> None:
        if not hasattr(self, "_lock"):
            self._lock = threading.Lock()
        self._own = uuid.uuid4().hex

    def formed(self, moment_ms: int, number: int) -> str:
        """Take a moment for it."""
        time.sleep(0)
        return super().formed(moment_ms, number)


child_waits_for_its_parents_thread = _ids(_KeptLock)
