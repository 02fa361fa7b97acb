"""Rate limits: where a request comes from, what it counts against, and the headers that report what is left."""

import math
import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

from songs.caching.coherence_view import Prefetched
from songs.errors import RateLimited
from songs.ports.limiter import RateLimit, RateLimiter, Verdict
from songs_api.http.kernel.operation import RequestContext
from songs_api.http.services import AppServices
from songs_api.resilient_limiter import ProcessWindows, ResilientLimiter, Windows
from songs_api.shared_windows import SharedWindows

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UNKNOWN: Final = "unknown"
WIDER: Final = 16
"""The limit of an IPv6 network of 48 bits, in limits of one site of 64 bits. It has 65,536 sites."""
_IPV6_SITE: Final = 64
_IPV6_NETWORK: Final = 48
_WITH_PORT: Final = re.compile(r"\[(?P<six>[^\]]+)\](?::[0-9]{1,5})?|(?P<four>[0-9.]+):[0-9]{1,5}", re.ASCII)
_FOR: Final = re.compile(r"(?:^|;)[ \t]*for=[ \t]*\"?([^\";]*)", re.IGNORECASE)


def client_address(remote: str, forwarded_for: str, trusted: Sequence[Network]) -> Address | None:
    """Return the nearest address that is not of a trusted proxy; None if there is no address (a socket).

    Args:
        remote: The peer of the connection.
        forwarded_for: The X-Forwarded-For header, in which each proxy appends its own peer on the right.
        trusted: The proxies' networks.
    """
    address = _address(remote)
    if address is None or not forwarded_for or not trusted:
        return address
    hops = forwarded_for.split(",")
    while hops and any(address in network for network in trusted):
        further = _address(hops.pop().strip())
        if further is None:
            break
        address = further
    return address


def forwarded_for(forwarded: str) -> str:
    """Return the addresses of a Forwarded header (RFC 7239) as X-Forwarded-For has them.

    It is read from the right only as far as proxies are trusted, so that what a client made of its beginning, such as a
    quote that is not closed, changes nothing of what a proxy appended.
    """
    found = (_FOR.search(element) for element in forwarded.split(","))
    return ",".join(match[1].strip() if match else "" for match in found)


def bucket_of(environ: Mapping[str, Any], trusted: Sequence[Network]) -> str:
    """Return the rate limit's bucket of where a request comes from."""
    return address_bucket(_client_of(environ, trusted))


def wider_bucket_of(environ: Mapping[str, Any], trusted: Sequence[Network]) -> str | None:
    """Return the bucket of the IPv6 network that a request comes from, which may do `WIDER` times as much; or None."""
    address = _client_of(environ, trusted)
    if isinstance(address, IPv6Address):
        return f"net:{ip_network((address, _IPV6_NETWORK), strict=False)}"
    return None


def wider(rate: RateLimit | None) -> RateLimit | None:
    """Return the limit of a network, given the limit of one site."""
    return rate and RateLimit(rate.amount * WIDER, rate.window_s)


def _client_of(environ: Mapping[str, Any], trusted: Sequence[Network]) -> Address | None:
    return client_address(environ.get("REMOTE_ADDR", ""), environ.get("HTTP_X_FORWARDED_FOR", ""), trusted)


def address_bucket(address: Address | None) -> str:
    """Return the rate limit's bucket of an address. IPv6 clients have 2**64 addresses each, which share one."""
    if isinstance(address, IPv6Address):
        return f"addr:{ip_network((address, _IPV6_SITE), strict=False)}"
    return f"addr:{address or UNKNOWN}"


def _address(text: str) -> Address | None:
    if with_port := _WITH_PORT.fullmatch(text):
        text = with_port["six"] or with_port["four"]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


OUTAGE_DIVISOR: Final = 4
"""While the limiter does not answer, a quarter of the limits on signing in and registering is allowed."""


class Limit:
    """One limit: a name, and a number of requests for each bucket in a window. Thread-safe.

    Args:
        name: The name, of characters that need no quoting.
        rate: The number of requests in a window; None allows everything without asking the limiter.
        limiter: Counts requests.
    """

    def __init__(self, name: str, rate: RateLimit | None, limiter: RateLimiter | ResilientLimiter) -> None:
        self._rate = rate
        self._limiter = limiter
        self._hit = limiter.hit
        self._resilient = limiter if isinstance(limiter, ResilientLimiter) else None
        self._prefix = f"{name}:"
        self._quoted = f'"{name}"'
        self._policy = f"{self._quoted};q={rate.amount};w={rate.window_s}" if rate else ""

    def charge(self, context: RequestContext, bucket: str) -> Verdict | None:
        """Count one request, and add what is left as headers (draft-ietf-httpapi-ratelimit-headers-10).

        A request that prefetches an entry asks the limiter together with the cache.

        Raises:
            RateLimited: The request is beyond the limit.
        """
        verdict = self.hit(bucket, context.prefetched)
        if verdict is None:
            return None
        state = f"{self._quoted};r={verdict.remaining};t={math.ceil(verdict.reset_s)}"
        context.charged = _joined(context.charged, self._policy, state) if context.charged else (self._policy, state)
        if not verdict.allowed:
            raise RateLimited(verdict.reset_s)
        return verdict

    def hit(self, bucket: str, prefetched: Prefetched | None = None) -> Verdict | None:
        """Count one hit and return the verdict; None where there is no limit."""
        if self._rate is None:
            return None
        if prefetched is None:
            return self._hit(self._prefix + bucket, self._rate)
        if self._resilient is None:
            return prefetched.hit(self._prefix + bucket, self._rate)
        return self._resilient.hit(self._prefix + bucket, self._rate, prefetched.hit)

    def used(self, verdict: Verdict | None) -> int:
        """Return how many hits of a window were used when a hit was answered so; 0 where there is no limit."""
        return 0 if self._rate is None or verdict is None else self._rate.amount - verdict.remaining

    def give_back(self, bucket: str, verdict: Verdict | None) -> None:
        """Undo an allowed hit, given its verdict, if its window has not ended."""
        if self._rate is not None and verdict is not None and verdict.allowed:
            self._limiter.give_back(self._prefix + bucket, self._rate, verdict.window)


class AddressLimit:
    """A limit on addresses, with a wider one on networks of IPv6 sites, whose owner has many addresses. Thread-safe.

    Args:
        addresses: The limit on each address or site.
        networks: The limit on each network.
        trusted: Networks of proxies whose forwarded addresses are believed.
    """

    def __init__(self, addresses: Limit, networks: Limit, trusted: Sequence[Network]) -> None:
        self.addresses = addresses
        self._networks = networks
        self._trusted = trusted

    def charge(self, context: RequestContext, environ: Mapping[str, Any]) -> Verdict | None:
        """Count one request against where it comes from, and return what came of it for its address.

        Raises:
            RateLimited: It is one too many.
        """
        verdict = self.addresses.charge(context, bucket_of(environ, self._trusted))
        if (network := wider_bucket_of(environ, self._trusted)) is not None:
            self._networks.charge(context, network)
        return verdict


class RateLimits:
    """Makes limits over one limiter.

    Args:
        services: Its limiter, and the remembered windows.
        outage_divisor: At most this fraction of a limit is allowed while the limiter does not respond.
    """

    def __init__(self, services: AppServices, *, outage_divisor: int = 1) -> None:
        self._services = services
        self._outage_divisor = outage_divisor

    def limit(self, name: str, rate: RateLimit | None) -> Limit:
        """Return the limit of this name, one of `shared_windows.LIMITS`."""
        services = self._services
        declared = services.limiter_capabilities
        if not declared.limits:
            # Nothing is counted, so nothing is promised in headers.
            rate = None
        if not declared.shared:
            # One that counts in this process's memory neither fails nor forgets.
            return Limit(name, rate, services.limiter)
        windows: Windows = (alone := ProcessWindows(services.settings.deployment.workers))
        if services.window_table is not None:
            windows = SharedWindows(services.window_table, name, alone, services.clock)
        meter = services.telemetry.meter
        resilient = ResilientLimiter(
            services.limiter, windows, services.clock, outage_divisor=self._outage_divisor, meter=meter
        )
        return Limit(name, rate, resilient)

    def address_limit(self, name: str, network_name: str, rate: RateLimit | None) -> AddressLimit:
        """Return a limit on addresses, with the one on their networks."""
        trusted = self._services.settings.http.trusted_proxies
        return AddressLimit(self.limit(name, rate), self.limit(network_name, wider(rate)), trusted)


def _joined(earlier: tuple[str, str], policy: str, state: str) -> tuple[str, str]:
    policies, states = earlier
    return f"{policies}, {policy}", f"{states}, {state}"
