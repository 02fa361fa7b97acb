"""Limits on guessing passwords, counted before any password is hashed."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Final

from songs.application.hashing import FIRST
from songs.errors import RateLimited, Unavailable
from songs.model import name_key
from songs.ports.limiter import RateLimit, Verdict
from songs_api.http.kernel.context import RequestContext
from songs_api.http.kernel.rate_limits import OUTAGE_DIVISOR, RateLimits, bucket_of
from songs_api.http.services import AppServices

TRIED: Final = RateLimit(10, 3600)
"""Attempts with one username from one address, while that username is tried more often than its limit allows."""
MAX_KNOWN: Final = 10_000
"""From how many places, each an address and a username, a process remembers that someone signed in."""


class SignInLimits:
    """Counts attempts by address, by username and address, and by username. Thread-safe.

    An attempt is refused beyond the limit of its address, and beyond that of its address with its username. The limit
    of a username refuses no attempt by itself, or anybody could lock a user out: beyond it each address has `TRIED`,
    and no address uses up the attempts of another one. No attempt is delayed: a delay holds a thread, and attackers
    would hold all of them.

    An attempt with the right password is returned to the limit of the username and to `TRIED`, and so is one that was
    not checked (503). A user is known at an address from which they signed in: attempts from there need none of
    `TRIED`, and have their turn at hashing first. Other addresses follow, those with the fewest recent attempts first.

    Usernames are any text that was sent, of any length, so buckets have their hash.
    """

    def __init__(self, services: AppServices) -> None:
        rates, limits = services.options.limits, RateLimits(services, outage_divisor=OUTAGE_DIVISOR)
        self._by_address = limits.address_limit("sign-in-address", "sign-in-network", rates.sign_in_address)
        self._by_both = limits.limit("sign-in", rates.sign_in)
        self._by_user = limits.limit("sign-in-user", rates.sign_in_user)
        self._tried = limits.limit("sign-in-tried", rates.sign_in_user and TRIED)
        self._known = KnownPlaces()
        self._trusted = services.options.trusted_proxies

    def charge_address(self, context: RequestContext) -> Verdict | None:
        """Count an attempt by its address alone, and return the verdict.

        Raises:
            RateLimited: The attempt is beyond the limit.
        """
        return self._by_address.charge(context, context.environ)

    @contextmanager
    def attempt(self, context: RequestContext, name: str, from_address: Verdict | None) -> Iterator[int]:
        """Count an attempt with a username, and have it made in the context, which is given its rank at hashing.

        Args:
            context: That of the request.
            name: The username.
            from_address: What `charge_address` returned.

        Raises:
            RateLimited: It is one too many.
        """
        address = bucket_of(context.environ, self._trusted)
        user = blake2b(name_key(name).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        place = f"{user}:{address}"
        is_known = self._known.is_known(place)
        self._by_both.charge(context, place)
        of_user = self._by_user.hit(user)
        tried = None
        if of_user is not None and not of_user.allowed and not is_known:
            tried = self._tried.hit(place)
            if tried is not None and not tried.allowed:
                raise RateLimited(tried.reset_s)
        rank = FIRST if is_known else max(1, self._by_address.addresses.used(from_address), self._tried.used(tried))
        try:
            yield rank
        except Unavailable:
            # It was not checked: no password that is wrong is answered so. The limits of its address and of its place
            # are a minute's, and go on to count it: who does not wait would have all turns otherwise.
            self._by_user.give_back(user, of_user)
            self._tried.give_back(place, tried)
            raise
        self._by_user.give_back(user, of_user)
        self._tried.give_back(place, tried)
        self._known.add(place)


class KnownPlaces:
    """The last `MAX_KNOWN` places from which users signed in with the right password. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: OrderedDict[str, None] = OrderedDict()

    def is_known(self, place: str) -> bool:
        """Return whether someone signed in from a place."""
        return place in self._places

    def add(self, place: str) -> None:
        """Remember a place."""
        with self._lock:
            self._places[place] = None
            self._places.move_to_end(place)
            while len(self._places) > MAX_KNOWN:
                self._places.popitem(last=False)
