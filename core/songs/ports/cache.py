"""The cache: bytes under (group, key), with leases.

The idea of the lease is from "Scaling Memcache at Facebook" (NSDI 2013): a miss hands out a lease, and a fill counts
only while nothing was invalidated since. `songs.caching.coherence` says how services stay coherent with a cache that
fails.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, runtime_checkable

from songs.ports.limiter import RateLimit, RateLimiter, Verdict


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

    CACHE-1: After a fill that counted, `get` with the same group and key returns its value, byte for byte and as
        `bytes`, in every thread and, where shared, in every process, until the group is invalidated or the time to
        live is over. It may forget earlier, never answer with anything else.
    CACHE-2: A fill counts only if its group was not invalidated since its lease was handed out, however often and
        long ago that was, and whichever key of the group the lease came with. This holds too when the cache lost
        everything in between (flush, restart): a lease from before never counts after. A lease is `bytes`.
    CACHE-3: When `invalidate` has returned, no `get` that begins later returns a value that was filled, or is filled
        with a lease that was handed out, before `invalidate` was called; in this process and, where shared, in all.
        There may be any number of groups, unknown ones among them.
    CACHE-4: An invalidation is not forgotten: a cache server that restarts, from an old snapshot too, does not return
        what was invalidated.
    CACHE-5: An entry is not returned once `ttl_s` seconds have passed since its fill, at that moment and later,
        whatever the time of day does. With 0 or less it is not kept; a time may be as long as two years.
    CACHE-6: Groups and keys are any text of up to 1200 characters, lone surrogates included; no two pairs of them
        share an entry (("a", "bc") is not ("ab", "c")), however near they are.
    CACHE-7: Rubbish under a key of the cache (another program's, an older format's) is a miss, never an error.
    CACHE-8: A cache that does not answer raises `songs.errors.CacheUnavailable`, within 0.2 s at a `get`, a `fill` or
        an `invalidate`, and nothing else; what the driver raised is the ``__cause__``. An `invalidate` that raised may
        or may not have happened, then or later. A `ping` asks the cache itself each time, and raises this where an
        `invalidate` would. So does every call while the cache is closed, also when it is closed meanwhile; `open`
        of what is open does nothing.
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


CountAndGet: TypeAlias = Callable[[str, RateLimit, str, str], tuple[Verdict, Hit | Miss | None]]
"""The type of `CountingCache.count_and_get`."""


@runtime_checkable
class CountingCache(Cache, RateLimiter, Protocol):
    """A cache that is a rate limiter too: it counts a hit and reads an entry in one round trip. Optional. Thread-safe.

    It keeps the clauses of both ports. A service whose cache and limiter are made by one factory with equal settings
    builds one object for both.

    TOG-1: A hit is one of the limiter's own, on this bucket and limit: its verdict is what `hit` would return, and hits
        of either kind share one count, however many threads make them at once.
    TOG-2: The entry is what `get` would return: that value, or a miss where `get` would miss.
    TOG-3: A lease that comes with a miss is as good as one of `get`, and no better: a fill with it counts unless the
        group was invalidated since it was handed out.
    TOG-4: The entry is read whether the hit is allowed or not.
    TOG-5: Where the limiter answers and the cache does not, the entry is None, and the hit is counted as ever.
    TOG-6: Where the limiter does not answer, `songs.errors.LimiterUnavailable` is raised, as LIM-6 has it, and nothing
        else, whatever becomes of the entry.
    TOG-7: `count_and_get` takes one round trip to a server.
    TOG-8: The limiter that is offered under the cache's own name has the cache's factory and settings: one object
        serves both ports, also when it is opened and closed as each of them.
    TOG-9: Any other limiter, one of the same name with other settings included, counts for itself.
    TOG-10: The entry, or its miss, names the identity of the cache that answered, as that of `get` does.
    """

    def count_and_get(self, bucket: str, limit: RateLimit, group: str, key: str) -> tuple[Verdict, Hit | Miss | None]:
        """Do what `hit` and `get` do, and return both results; None for an entry that the cache cannot tell.

        Raises:
            LimiterUnavailable: The limiter does not answer; whether the hit was counted is unknown.
        """
        ...
