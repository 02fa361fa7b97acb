"""A limiter that keeps its limits when the limiter behind it fails or loses counts, by remembering windows."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Protocol, TypeVar

from songs.errors import LimiterUnavailable
from songs.ports.clock import Clock
from songs.ports.limiter import RateLimit, RateLimiter, Verdict
from songs.ports.meter import UNMETERED, Meter

MAX_NAME: Final = 16
MAX_BUCKETS: Final = 10_000
"""The maximum number of windows that a process remembers for each limit."""

Result = TypeVar("Result")


@dataclass(slots=True)
class Window:
    """A bucket's window, as remembered.

    Attributes:
        name: The limiter's name for it (`short_name`); empty until the limiter has counted in it.
        serial: The number of changes that the limiter had counted at its last answer.
        used: The number of hits that it had counted by then.
        uncounted: Allowed hits that it does not count, because it was away or lost them. Below 0 if it counts hits
            from before this window.
        here: The number of hits that were allowed here, counted by the limiter or not.
        ends_s: The end of the window.
        own: Whether the limiter has another window, to which `ends_s` does not apply.
        part: The number of further hits allowed here while the limiter is away; None if it has not failed yet.
        losses: The number of times that the limiter lost counts; answers to earlier hits are not judged by that.
        heavy: Whether more than half of the limit is used.
    """

    name: str
    serial: int
    used: int
    uncounted: int
    here: int
    ends_s: float
    own: bool = False
    part: int | None = None
    losses: int = 0
    heavy: bool = False


def short_name(name: str) -> str:
    """Return what stands for a limiter's name of a window here: the name, or a hash of one that is long."""
    return name if len(name) <= MAX_NAME else blake2b(name.encode(), digest_size=MAX_NAME // 2).hexdigest()


Edit = Callable[[Window | None], tuple[Window | None, Result]]
"""Is given a bucket's last window, and returns what to remember in its place, if anything, and a result."""


class Windows(Protocol):
    """Remembers the last window of each bucket. Thread-safe."""

    @property
    def holders(self) -> int:
        """Among how many that remember for themselves a limit is divided while its limiter does not answer."""
        ...

    def last(self, bucket: str) -> Window | None:
        """Return the bucket's last window, ended or not. While it is changed, members may be from before and after."""
        ...

    def change(self, bucket: str, edit: Edit[Result]) -> Result:
        """Call `edit` while nobody else changes the bucket, remember what it says, and return its result."""
        ...


class ProcessWindows:
    """The windows that one process remembers, at most `MAX_BUCKETS`.

    Windows that are more than half used are kept apart from the others, and each kind drops its least recently hit
    window. So a client with many addresses, and a few hits from each, pushes out windows with few hits only. No bucket
    gains more than half of its limit by being dropped, unless more than `MAX_BUCKETS` / 2 are more than half used
    within one window.

    Args:
        holders: The number of processes that remember windows by themselves.
    """

    def __init__(self, holders: int = 1) -> None:
        self.holders = holders
        self._lock = threading.Lock()
        self._light: OrderedDict[str, Window] = OrderedDict()
        self._heavy: OrderedDict[str, Window] = OrderedDict()

    def __len__(self) -> int:
        return len(self._light) + len(self._heavy)

    def last(self, bucket: str) -> Window | None:
        """Return the bucket's last window."""
        return self._heavy.get(bucket) or self._light.get(bucket)

    def change(self, bucket: str, edit: Edit[Result]) -> Result:
        """Change what is remembered of a bucket."""
        with self._lock:
            window, result = edit(self.last(bucket))
            if window is not None:
                kept, other = (self._heavy, self._light) if window.heavy else (self._light, self._heavy)
                other.pop(bucket, None)
                kept[bucket] = window
                kept.move_to_end(bucket)
                while len(kept) > MAX_BUCKETS // 2:
                    kept.popitem(last=False)
            return result


EARLY_S: Final = 1.0
"""The time by which the next window may begin before the end of a remembered one, as answers take time. At most a
tenth of a window."""
_ALMOST_S: Final = 0.001
_LONGEST_S: Final = 1.0
"""The tolerance for windows that last longer than a whole one: beyond it the limiter's clock is not believed."""

Known = tuple[str, int, int]
"""Name, serial and losses of a window."""
Ask = Callable[[str, RateLimit], Verdict]
"""Counts a hit on a bucket, as `RateLimiter.hit` does."""


class ResilientLimiter:
    """Asks a limiter, and answers in its place while it is away. Thread-safe, and safe between processes.

    For each window it remembers the hits that the limiter last counted, and the hits that were allowed here. A limiter
    that lost its counts, or came back with older ones, names another window or a serial that did not grow (LIM-7).
    Then the lost hits are added to its counts until the remembered window ends, and so are the hits that were allowed
    here while it was away. So neither an outage nor a flush, a restart or a failover lets a bucket have more than its
    limit through the processes that share `windows`, even with answers in flight. While the limiter is away, an
    unknown bucket has this memory's share of the limit.

    It implements the port `RateLimiter`, except for LIM-6: it always answers.

    Args:
        limiter: Counts hits.
        windows: The remembered windows of one limit.
        clock: Determines the end of a remembered window.
        outage_divisor: In an outage at most this fraction of the limit is allowed.
        meter: Counts hits that the limiter did not answer.
    """

    def __init__(
        self,
        limiter: RateLimiter,
        windows: Windows,
        clock: Clock,
        *,
        outage_divisor: int = 1,
        meter: Meter = UNMETERED,
    ) -> None:
        self._limiter = limiter
        self._windows = windows
        self._clock = clock
        self._outage_divisor = outage_divisor
        self._meter = meter

    def open(self) -> None:
        """Open the limiter."""
        self._limiter.open()

    def close(self) -> None:
        """Close the limiter."""
        self._limiter.close()

    def hit(self, bucket: str, limit: RateLimit, ask: Ask | None = None) -> Verdict:
        """Count one hit and return what came of it.

        Args:
            bucket: What is hit.
            limit: Its limit, the same for each hit on it.
            ask: Asks the limiter; None: its own `hit`.
        """
        now_s = self._clock.monotonic_s()
        window = _live(self._windows.last(bucket), limit, now_s)
        if window is not None and window.uncounted and window.used + window.uncounted >= limit.amount:
            # The limiter does not know, and would count a hit that is refused.
            return _refused(window, now_s)
        known = (window.name, window.serial, window.losses) if window else None
        try:
            verdict = (ask or self._limiter.hit)(bucket, limit)
        except LimiterUnavailable:
            self._meter.limiter_unavailable()
            return self._windows.change(bucket, lambda last: self._counted_here(last, limit))
        return self._windows.change(bucket, lambda last: self._compared(last, limit, verdict, known))

    def give_back(self, bucket: str, limit: RateLimit, window: str) -> None:
        """Undo one hit that was allowed in a window of that name, while it lasts."""
        if self._windows.change(bucket, lambda last: self._given_back(last, limit, window)):
            # A hit that is not given back makes the limit stricter, which is allowed in an outage.
            with suppress(LimiterUnavailable):
                self._limiter.give_back(bucket, limit, window)

    def _compared(
        self, last: Window | None, limit: RateLimit, verdict: Verdict, known: Known | None
    ) -> tuple[Window | None, Verdict]:
        """Return what to remember, and the verdict, after one of a limiter that may have lost its counts meanwhile.

        Args:
            last: What is remembered.
            limit: The limit.
            verdict: What the limiter says.
            known: What was remembered when the limiter was asked.
        """
        name, used = short_name(verdict.window), limit.amount - verdict.remaining
        now_s = self._clock.monotonic_s()
        window = _live(last, limit, now_s)
        if window is None:
            return self._begun(last, limit, verdict, now_s), verdict
        if window.name == name:
            if not window.own:
                window.ends_s = min(window.ends_s, now_s + verdict.reset_s)
            if (known[2] if known else 0) != window.losses:
                # The limiter may have counted it before it lost some, or after.
                pass
            elif known is not None and known[0] == name and _is_older(verdict, known[1]):
                window.uncounted += max(0, window.used + verdict.allowed - used)
                _move(window, name, verdict, used)
            elif verdict.serial > window.serial:
                window.serial, window.used = verdict.serial, used
        elif not window.name or (known is not None and known[0] == window.name):
            # Its counts start from zero now.
            window.uncounted += window.used
            _move(window, name, verdict, used)
        else:
            # It was on its way while another answer showed the loss of the window that it counted in.
            used = window.used
        left = min(limit.amount - used - window.uncounted, limit.amount - window.here - verdict.allowed)
        allowed = verdict.allowed and left >= 0
        window.here += allowed
        if left < verdict.remaining:
            verdict = Verdict(allowed, max(0, left), window.ends_s - now_s, verdict.window, verdict.serial)
        return _weighed(window, limit), verdict

    @staticmethod
    def _begun(last: Window | None, limit: RateLimit, verdict: Verdict, now_s: float) -> Window:
        """Return the window that begins here with a hit: the limiter's, or one of its own.

        One of its own where the limiter's began in the middle of the one before, since it had lost that: if the
        limiter's alone counted, a bucket could have its limit twice between the ends of both.
        """
        used = limit.amount - verdict.remaining
        ends_s = now_s + verdict.reset_s
        early_s = min(EARLY_S, limit.window_s / 10)
        window = Window(short_name(verdict.window), verdict.serial, used, 0, int(verdict.allowed), ends_s)
        if last is not None and ends_s - limit.window_s < last.ends_s - early_s:
            window.uncounted, window.ends_s, window.own = verdict.allowed - used, now_s + limit.window_s, True
        return _weighed(window, limit)

    def _counted_here(self, last: Window | None, limit: RateLimit) -> tuple[Window, Verdict]:
        """Return what to remember, and the verdict, on a hit that the limiter did not answer."""
        now_s = self._clock.monotonic_s()
        holders = self._windows.holders
        alone = max(1, limit.amount // max(self._outage_divisor, holders))
        window = _live(last, limit, now_s)
        if window is None:
            window = Window("", 0, 0, 0, 0, now_s + limit.window_s, own=True, part=alone)
        left = max(0, limit.amount - max(window.used + window.uncounted, window.here))
        part = min(left // holders, alone) if window.part is None else min(window.part, left)
        allowed = part > 0
        window.part = part - allowed
        window.uncounted += allowed
        window.here += allowed
        return _weighed(window, limit), Verdict(allowed, window.part, window.ends_s - now_s, _local_name(window))

    def _given_back(self, last: Window | None, limit: RateLimit, name: str) -> tuple[Window | None, bool]:
        """Return what to remember after a hit that is given back, and whether the limiter may have counted it."""
        window = _live(last, limit, self._clock.monotonic_s())
        if window is None:
            return None, True
        is_local = name == _local_name(window)
        if is_local:
            window.uncounted -= 1
            window.part = None if window.part is None else window.part + 1
        elif window.name == short_name(name):
            window.used = max(0, window.used - 1)
        else:
            return None, True
        window.here = max(0, window.here - 1)
        return _weighed(window, limit), not is_local


def _live(window: Window | None, limit: RateLimit, now_s: float) -> Window | None:
    """Return a window if it has not ended."""
    if window is None or not _ALMOST_S <= window.ends_s - now_s <= limit.window_s + _LONGEST_S:
        return None
    return window


def _weighed(window: Window, limit: RateLimit) -> Window:
    window.heavy = window.used + window.uncounted > limit.amount // 2
    return window


def _move(window: Window, name: str, verdict: Verdict, used: int) -> None:
    """Go on with what the limiter counts after it lost what it had counted."""
    window.name, window.serial, window.used, window.own = name, verdict.serial, used, True
    window.losses += 1


def _local_name(window: Window) -> str:
    """Return what names a window in verdicts on hits that the limiter did not count; its own names have no blank."""
    return f"local {window.ends_s}"


def _refused(window: Window, now_s: float) -> Verdict:
    return Verdict(allowed=False, remaining=0, reset_s=window.ends_s - now_s, window=window.name, serial=window.serial)


def _is_older(verdict: Verdict, serial: int) -> bool:
    """Return whether a limiter that had counted to `serial` in this window when it was asked has counts from before."""
    return verdict.serial < serial + verdict.allowed
