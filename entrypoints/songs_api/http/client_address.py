"""Where a request comes from, believing only proxies that were named."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UNKNOWN: Final = "unknown"
_IPV6_SITE: Final = 64


def client_address(remote: str, forwarded_for: str, trusted: Sequence[Network]) -> Address | None:
    """Return the address that is nearest to us and not that of a trusted proxy; None where there is none (a socket).

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


def bucket_of(environ: Mapping[str, Any], trusted: Sequence[Network]) -> str:
    """Return the rate limit's bucket of where a request comes from."""
    forwarded_for = environ.get("HTTP_X_FORWARDED_FOR", "")
    return address_bucket(client_address(environ.get("REMOTE_ADDR", ""), forwarded_for, trusted))


def address_bucket(address: Address | None) -> str:
    """Return the rate limit's bucket of an address. IPv6 clients have 2**64 addresses each, which share one."""
    if isinstance(address, IPv6Address):
        return f"addr:{ip_network((address, _IPV6_SITE), strict=False)}"
    return f"addr:{address or UNKNOWN}"


def _address(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
