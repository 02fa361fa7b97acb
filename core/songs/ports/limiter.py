"""Rate limits."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class LimiterCapabilities:
    """What a limiter declares of itself, in its descriptor."""

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
    """Whether a hit is within its limit, how many more are left in this window, and in how many seconds it ends."""

    allowed: bool
    remaining: int
    reset_s: float


@runtime_checkable
class RateLimiter(Protocol):
    """Counts hits in buckets, in windows that begin with a bucket's first hit. Thread-safe.

    LIM-1: Of all the hits on a bucket in one window, exactly the first `amount` are allowed, however many threads
        (and processes, where the adapter is shared) hit it at once. A refused hit counts for nothing.
    LIM-2: `remaining` is what is left after this hit, and 0 when refused; `reset_s` is how long this window still
        lasts: above 0 and at most `window_s`.
    LIM-3: The window ends `window_s` after its first hit: a hit from then on is the first of a new window. A wall clock
        that goes back or forth changes nothing.
    LIM-4: Buckets are independent of each other, whatever characters their names hold; so are two limits with
        different `amount` or `window_s` on one bucket.
    LIM-5: Buckets whose window has ended take no memory for long.
    LIM-6: A limiter that cannot answer raises `songs.errors.LimiterUnavailable` within 0.5 s, and nothing else.
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
