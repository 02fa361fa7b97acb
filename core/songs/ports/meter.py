"""Metrics of the services, as a port."""

from typing import Final, Literal, Protocol

CacheOutcome = Literal["hit", "miss", "outdated", "off", "elsewhere", "unavailable"]
"""The result of asking the cache: `outdated` is a hit that was not believed, `off` that the cache is switched off."""


class Meter(Protocol):
    """Takes note of what happens. Thread-safe; called on the way of each request, so it neither waits nor raises."""

    def unit(self, scope: str, outcome: str, attempts: int, duration_s: float) -> None:
        """Note a unit of work, with its attempts and how long they took.

        `outcome` is ``ok``, the code of its error, or ``defect`` for any other exception.
        """
        ...

    def cache_read(self, outcome: CacheOutcome) -> None:
        """Note a read through the cache."""
        ...

    def invalidation(self, *, done: bool) -> None:
        """Note an invalidation, and whether the cache took it."""
        ...

    def coherence(self, epoch: int, *, cache_on: bool) -> None:
        """Note the coherence record as it was last read."""
        ...

    def limiter_unavailable(self) -> None:
        """Note that the limiter did not answer."""
        ...

    def breaker(self, adapter: str, *, is_open: bool) -> None:
        """Note that a circuit breaker of an adapter opened, so that its server is not asked for a while, or closed."""
        ...


class Unmetered:
    """A meter that notes nothing."""

    def unit(self, scope: str, outcome: str, attempts: int, duration_s: float) -> None:
        """Do nothing."""

    def cache_read(self, outcome: CacheOutcome) -> None:
        """Do nothing."""

    def invalidation(self, *, done: bool) -> None:
        """Do nothing."""

    def coherence(self, epoch: int, *, cache_on: bool) -> None:
        """Do nothing."""

    def limiter_unavailable(self) -> None:
        """Do nothing."""

    def breaker(self, adapter: str, *, is_open: bool) -> None:
        """Do nothing."""


UNMETERED: Final = Unmetered()
