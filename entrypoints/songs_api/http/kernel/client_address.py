"""The address of a client, as forwarded by trusted proxies only."""

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

from songs.ports.limiter import RateLimit

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
    """Return what a network may do where one of its sites may do this."""
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
