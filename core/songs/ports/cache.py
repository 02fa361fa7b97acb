"""The cache: bytes under (group, key), with leases.

The idea of the lease is from "Scaling Memcache at Facebook" (NSDI 2013): a miss hands out a lease, and a fill counts
only while nothing was invalidated since. `songs.caching.coherence` says how services stay coherent with a cache that
fails.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class CacheCapabilities:
    """The abilities that a cache declares."""

    shared: bool
    """Other processes see the same entries and invalidations."""
    keeps: bool = True
    """It keeps anything at all; False spares the services the trouble of asking."""


@dataclass(frozen=True, slots=True)
class Hit:
    """The entry is there. `identity` is that of the cache that answered; two hits are equal if their values are."""

    value: bytes
    identity: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Miss:
    """The entry is not there. `lease` entitles to one fill; None when there is nothing to fill.

    `identity` is that of the cache that answered; two misses are equal if their leases are.
    """

    lease: bytes | None
    identity: str = field(default="", compare=False)


@runtime_checkable
class Cache(Protocol):
    """Keeps bytes under (group, key) for a while, and forgets a whole group at once. Thread-safe.

    CACHE-1: After a fill that counted, `get` with the same group and key returns its value, byte for byte, until the
        group is invalidated or the time to live is over. It may forget earlier, never answer with anything else.
    CACHE-2: A fill counts only if its group was not invalidated since its lease was handed out. This holds too when
        the cache lost everything in between (flush, restart): a lease from before never counts after.
    CACHE-3: When `invalidate` has returned, no `get` that begins later returns a value that was filled, or is filled
        with a lease that was handed out, before `invalidate` was called; in this process and, where shared, in all.
    CACHE-4: An invalidation is not forgotten: a cache server that restarts, from an old snapshot too, does not return
        what was invalidated.
    CACHE-5: An entry is not returned once `ttl_s` seconds have passed since its fill.
    CACHE-6: Groups and keys are any text; no two pairs of them share an entry (("a", "bc") is not ("ab", "c")).
    CACHE-7: Rubbish under a key of the cache (another program's, an older format's) is a miss, never an error.
    CACHE-8: A cache that does not answer raises `songs.errors.CacheUnavailable`, within 0.2 s at a `get`, a `fill` or
        an `invalidate`, and nothing else. An `invalidate` that raised may or may not have happened, then or later.
    CACHE-9: `get` takes one round trip to a cache server, `fill` one, `invalidate` one for any number of groups.
    CACHE-10: `get`, `invalidate` and `ping` say which cache answered, each time anew: its identity, 1 to 200 visible
        ASCII characters and spaces. It is the same in all of them, and through every object that sees the same entries,
        for as long as the cache goes on answering.
    CACHE-11: What answers with one identity has one history: an invalidation that was answered with an identity holds
        for every later answer with it. Whatever does not see each other's invalidations has different identities: other
        settings, another place, a replica that was promoted, a cache in each process; and one that lost
        invalidations, or may have gone back to an older state, has another identity than before, or forgets all.
    """

    @property
    def capabilities(self) -> CacheCapabilities:
        """The abilities of this cache."""
        ...

    def open(self) -> None:
        """Make ready for use. Called after any fork; calling it again does nothing.

        Does not raise when a server is down: that shows in the first call.
        """
        ...

    def close(self) -> None:
        """Let go of everything that `open` took. Calling it again does nothing."""
        ...

    def ping(self) -> str:
        """Return the identity of the cache, when it answers and would take an invalidation.

        It looks for the server again: where a name or a proxy leads elsewhere by now, calls go there from then on.

        Raises:
            CacheUnavailable: It does not, within 0.2 s.
        """
        ...

    def get(self, group: str, key: str) -> Hit | Miss:
        """Return the entry, or a lease to fill it.

        Raises:
            CacheUnavailable: The cache does not answer.
        """
        ...

    def fill(self, group: str, key: str, value: bytes, *, lease: bytes, ttl_s: float) -> None:
        """Keep `value`, unless the group was invalidated since `lease` was handed out.

        Raises:
            CacheUnavailable: The cache does not answer.
        """
        ...

    def invalidate(self, groups: Collection[str]) -> str:
        """Forget every entry, and void every lease, of these groups, all together; return the cache's identity.

        Of no groups it may return an empty text, without asking anyone.

        Raises:
            CacheUnavailable: The cache does not answer; whether it forgot is unknown.
        """
        ...
