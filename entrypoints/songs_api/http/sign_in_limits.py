"""The limits on guessing passwords, counted before anything is hashed."""

import threading
from hashlib import blake2b
from typing import Final

from songs.deadline import Deadline
from songs.errors import RateLimited
from songs.model import name_key
from songs.ports.limiter import RateLimit
from songs_api.http.client_address import bucket_of, wider, wider_bucket_of
from songs_api.http.limits import Limit
from songs_api.http.request import ApiRequest
from songs_api.parts import Parts

DELAYS_S: Final = (0.25, 0.5, 1.0, 2.0)
"""How long the attempts beyond the limit of a username take more: each longer than the one before, then as the last."""
OUTAGE_DIVISOR: Final = 4
"""While the limiter does not answer, each process counts alone and allows a quarter, or less where there are more."""


class SignInLimits:
    """Counts attempts by address, by username and address, and by username. Thread-safe.

    Attempts from one address are refused beyond a limit. Attempts with one username from everywhere are only delayed:
    if they were refused, anybody could lock anybody out. A few may be in their delay at once; those beyond are refused
    with the delay as the time to wait, so that they never take all request threads.

    Usernames are whatever was sent, of any length: buckets have their hash.
    """

    def __init__(self, parts: Parts) -> None:
        limits = parts.options.limits

        def limit(name: str, rate: RateLimit | None) -> Limit:
            return Limit(
                name,
                parts.limiter,
                rate,
                parts.clock,
                outage_divisor=OUTAGE_DIVISOR,
                processes=limits.processes,
                shared=limits.shared,
                meter=parts.recorder.meter,
            )

        user = limits.sign_in_user
        self._by_address = limit("sign-in-address", limits.sign_in_address)
        self._by_network = limit("sign-in-network", wider(limits.sign_in_address))
        self._by_both = limit("sign-in", limits.sign_in)
        self._by_user = limit("sign-in-user", user and RateLimit(user.amount + len(DELAYS_S), user.window_s))
        self._delayed = threading.Semaphore(parts.options.request_threads // 8)
        self._clock = parts.clock
        self._deadline_s = parts.options.deadline_s
        self._trusted = parts.options.trusted_proxies

    def charge_address(self, req: ApiRequest) -> None:
        """Count an attempt of which no more is known than where it comes from.

        Raises:
            RateLimited: It is one too many.
        """
        self._by_address.charge(req.exchange, bucket_of(req.env, self._trusted))
        if (network := wider_bucket_of(req.env, self._trusted)) is not None:
            self._by_network.charge(req.exchange, network)

    def charge_name(self, req: ApiRequest, name: str) -> None:
        """Count an attempt with a username, and return when it may be made.

        Raises:
            RateLimited: It is one too many.
        """
        user = blake2b(name_key(name).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        self._by_both.charge(req.exchange, f"{user}:{bucket_of(req.env, self._trusted)}")
        verdict = self._by_user.hit(user)
        if verdict is not None and verdict.remaining < len(DELAYS_S):
            self._delay(DELAYS_S[len(DELAYS_S) - 1 - verdict.remaining])
            # The time that an attempt is made to wait is not the storage's.
            req.exchange.deadline = Deadline.after(self._clock, self._deadline_s)

    def _delay(self, delay_s: float) -> None:
        if not self._delayed.acquire(blocking=False):
            raise RateLimited(delay_s)
        try:
            self._clock.sleep(delay_s)
        finally:
            self._delayed.release()
