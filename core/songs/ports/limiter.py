"""Rate limits."""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class LimiterCapabilities:
    """The abilities that a limiter declares, in its descriptor."""

    shared: bool
    """All processes count together. False: it counts in this process's memory, so that it neither fails nor forgets."""
    limits: bool = True
    """It limits at all."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `amount` hits in a window of `window_s` seconds."""

    amount: int
    window_s: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a hit is within its limit, how many more are left in this window, and in how many seconds it ends.

    Attributes:
        allowed: Whether the hit is within its limit.
        remaining: How many more are left in this window.
        reset_s: In how many seconds the window ends.
        window: The name of the window (LIM-7).
        serial: How many changes the window has seen, this one included (LIM-7).
    """

    allowed: bool
    remaining: int
    reset_s: float
    window: str = field(default="", compare=False)
    serial: int = field(default=0, compare=False)


@runtime_checkable
class RateLimiter(Protocol):
    """Counts hits in buckets, in windows that begin with a bucket's first hit. Thread-safe.

    LIM-1: Of all the hits on a bucket in one window, exactly the first `amount` are allowed, however many threads
        (and processes, where the adapter is shared) hit it at once. A refused hit counts for nothing. An `amount` is
        0, which allows none, to 2**32; however many hits and buckets there are, all count.
    LIM-2: `remaining` is what is left after this hit, and 0 when refused; `reset_s` is how long this window still
        lasts: above 0 and at most `window_s`, exact to 10 ms, and not less than that. A verdict's members have the
        types that it states.
    LIM-3: The window ends `window_s` after its first hit: a hit from then on is the first of a new window, and until
        then no hit comes back but by `give_back`. A wall clock that goes back or forth changes nothing. Windows last
        1 s to 366 days.
    LIM-4: Buckets are independent of each other: a name is any text of up to 2000 characters, lone surrogates
        included. So are two limits with different `amount` or `window_s` on one bucket.
    LIM-5: Buckets whose window has ended take no memory for long.
    LIM-6: A limiter that cannot answer raises `songs.errors.LimiterUnavailable` within 0.5 s, and nothing else; what
        the driver raised is the ``__cause__``. So it does while it is closed, also when it is closed meanwhile; `open`
        of what is open does nothing.
    LIM-7: `window` names the window of a hit: printable ASCII, not empty, the same for all hits of one window through
        any process, allowed or refused, and another one for every other window; also for one that begins because the
        limiter lost its counts. Each allowed hit, and each that is given back, raises `serial` by at least one within
        its window; refused hits leave it. So whoever remembers a window notices that counts were lost, or are those
        of an older state: the name is another one, or `serial` did not grow. Where the amount is 0 there need be no
        window: each hit may name another one.
    LIM-8: `give_back` undoes one allowed hit: while the window of that name lasts, one more hit of it is allowed. It
        changes neither the window's end nor its name, never raises what is left above `amount`, and does nothing where
        that window has ended or is not known; a window's name may be any text here.
    """

    def open(self) -> None:
        """Make ready for use: connect, start. Called after any fork; calling it again does nothing."""
        ...

    def close(self) -> None:
        """Let go of everything that `open` took. Calling it again does nothing."""
        ...

    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Count one hit on `bucket`, atomically, and return whether it is allowed.

        Raises:
            LimiterUnavailable: The limiter does not answer.
        """
        ...

    def give_back(self, bucket: str, limit: RateLimit, window: str) -> None:
        """Undo one hit on `bucket` that was allowed in `window`, atomically.

        Raises:
            LimiterUnavailable: The limiter does not answer; whether the hit was given back is unknown.
        """
        ...
