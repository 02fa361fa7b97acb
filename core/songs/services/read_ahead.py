"""Reading an entry of the cache in the round trip that counts the request."""

import threading
from collections import OrderedDict
from typing import Final

from songs.ports.cache import Hit, Miss
from songs.ports.limiter import RateLimit, Verdict
from songs.ports.together import Together
from songs.services.coherence import Coherence

MAX_TARGETS: Final = 10_000
MAX_TARGET: Final = 200
"""Characters of a request's target that is remembered."""


class Ahead:
    """One request: counts it, and brings along the entry that the same request read before.

    Args:
        reads: Remembers what requests read.
        target: What the request asks for, as it was sent.
        expected: Group and entry, as far as can be told now.
    """

    __slots__ = ("_expected", "_found", "_reads", "_target")

    def __init__(self, reads: "ReadAhead", target: str, expected: tuple[str, str] | None) -> None:
        self._reads = reads
        self._target = target
        self._expected = expected
        self._found: Hit | Miss | None = None

    def hit(self, bucket: str, limit: RateLimit) -> Verdict | None:
        """Count one hit, as `RateLimiter.hit` does; None, and nothing is counted, where no entry is expected.

        Raises:
            LimiterUnavailable: The limiter does not answer.
        """
        if self._expected is None:
            return None
        verdict, self._found = self._reads.together.hit_and_get(bucket, limit, *self._expected)
        return verdict

    def take(self, group: str, key: str, entry: str) -> Hit | Miss | None:
        """Return what was brought along, if it is this entry; and remember what this request reads."""
        if self._expected == (group, entry):
            return self._found
        self._reads.remember(self._target, group, key)
        return None


class ReadAhead:
    """Begins requests. Thread-safe.

    Which entry a request reads is known to what answers it, and that depends on nothing but its target. So what a
    target read last is what it is expected to read; an expectation that is wrong costs the bytes of an entry.

    Args:
        together: Asks limiter and cache.
        coherence: Knows the names of entries.
    """

    def __init__(self, together: Together, coherence: Coherence) -> None:
        self.together = together
        self._coherence = coherence
        self._read: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, target: str) -> Ahead:
        """Return the request for `target`."""
        known = self._read.get(target)
        if known is None:
            return Ahead(self, target, None)
        group, key = known
        entry = self._coherence.entry(key)
        return Ahead(self, target, None if entry is None else (group, entry))

    def remember(self, target: str, group: str, key: str) -> None:
        """Expect from now on that whoever asks for `target` reads this entry."""
        if len(target) > MAX_TARGET:
            return
        with self._lock:
            self._read[target] = (group, key)
            self._read.move_to_end(target)
            while len(self._read) > MAX_TARGETS:
                self._read.popitem(last=False)
