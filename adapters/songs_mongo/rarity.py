"""Which grams are rare, by a sample of the songs."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from songs.ports.clock import Clock

SAMPLE: Final = 500
KEPT_S: Final = 600.0


class Rarity:
    """How often grams occur in a sample that is renewed from time to time. Thread-safe.

    It decides how fast a search is, never what it finds: a sample that is old, empty or of other songs does no harm.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._due_s: float | None = None

    def renew(self, sample: Callable[[int], Iterable[Iterable[str]] | None]) -> None:
        """Count the grams of about so many songs as `sample` is asked for, if that is due and there is one."""
        with self._lock:
            now_s = self._clock.monotonic_s()
            if self._due_s is not None and now_s < self._due_s:
                return
            # Due later from now on, also when sampling fails: nobody else needs to try at the same time.
            self._due_s = now_s + KEPT_S
        counts: Counter[str] = Counter()
        sampled = sample(SAMPLE)
        if sampled is None:
            return
        for grams in sampled:
            counts.update(grams)
        self._counts = counts

    def rarest_first(self, grams: Iterable[str]) -> list[str]:
        """Return grams in the order of how often they occur, equally rare ones in their own order."""
        counts = self._counts
        return sorted(grams, key=lambda gram: (counts[gram], gram))
