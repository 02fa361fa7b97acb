"""The time that a piece of work has: made at its beginning, handed down, and asked by whoever waits."""

from typing import Self

from songs.errors import DeadlineExceeded
from songs.ports.clock import Clock


class Deadline:
    """A moment of the monotonic clock after which nobody waits any longer."""

    __slots__ = ("_clock", "at_s")

    def __init__(self, clock: Clock, at_s: float) -> None:
        self._clock = clock
        self.at_s = at_s

    @classmethod
    def after(cls, clock: Clock, deadline_s: float) -> Self:
        """Return the deadline `deadline_s` seconds from now."""
        return cls(clock, clock.monotonic_s() + deadline_s)

    def remaining_s(self) -> float:
        """Return the seconds left, 0.0 once the deadline has passed; never negative."""
        remaining_s = self.at_s - self._clock.monotonic_s()
        return max(0.0, remaining_s)

    def later(self, by_s: float) -> Self:
        """Return the deadline `by_s` seconds after this one: for work that took these and is bounded otherwise."""
        return type(self)(self._clock, self.at_s + by_s)

    def check(self) -> None:
        """Raise `DeadlineExceeded` once the deadline has passed."""
        if self._clock.monotonic_s() >= self.at_s:
            raise DeadlineExceeded
