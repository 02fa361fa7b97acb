"""Where a request comes from, and how that is limited."""

from ipaddress import ip_address, ip_network
from typing import Literal

import pytest

from songs.ports.limiter import RateLimit
from songs_api.http.kernel.operation import PREFIX
from songs_api.http.kernel.rate_limits import WIDER, address_bucket, client_address, forwarded_for
from songs_api.settings.service import HttpSettings, ServiceSettings

from .conftest import Build, Service, limited, limits

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
HEADERS: tuple[Literal["x-forwarded-for", "forwarded"], ...] = ("x-forwarded-for", "forwarded")


@pytest.mark.parametrize(
    ("remote", "header", "expected"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.1", "10.0.0.3,10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "198.51.100.7, garbage", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7, garbage, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "198.51.100.7, ", "10.0.0.1"),
        ("::ffff:10.0.0.1", "::ffff:198.51.100.7", "198.51.100.7"),
        ("fd00::1", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", "198.51.100.7:4711", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7:1, 10.0.0.2:65535", "198.51.100.7"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("10.0.0.1", "[2001:db8::1]", "2001:db8::1"),
        ("10.0.0.1", "[::ffff:198.51.100.7]:80", "198.51.100.7"),
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", "198.51.100.7:", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7:port", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7:123456", "10.0.0.1"),
        ("10.0.0.1", "[198.51.100.7", "10.0.0.1"),
        ("10.0.0.1", "[]:80", "10.0.0.1"),
        ("", "198.51.100.7", None),
        ("unix:", "198.51.100.7", None),
    ],
)
def test_only_named_proxies_are_believed(remote: str, header: str, expected: str | None) -> None:
    """The header is walked from the right for as long as the address so far is a trusted proxy's."""
    address = client_address(remote, header, PROXIES)

    assert address == (None if expected is None else ip_address(expected))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("for=198.51.100.7", "198.51.100.7"),
        ("For=198.51.100.7;proto=https;by=10.0.0.1", "198.51.100.7"),
        ("proto=http; for=198.51.100.7:4711", "198.51.100.7"),
        ('for="[2001:db8::1]:4711"', "2001:db8::1"),
        ("for=203.0.113.9, for=198.51.100.7", "198.51.100.7"),
        ("for=198.51.100.7, for=10.0.0.2", "198.51.100.7"),
        ('for="203.0.113.9, for=198.51.100.7', "198.51.100.7"),
        ('for=203.0.113.9;by="x, for=198.51.100.7', "198.51.100.7"),
        ("for=203.0.113.9, by=10.0.0.2", "10.0.0.1"),
        ("for=unknown", "10.0.0.1"),
        ("for=_hidden", "10.0.0.1"),
        ("xfor=203.0.113.9", "10.0.0.1"),
        ("", "10.0.0.1"),
    ],
)
def test_forwarded_is_read_from_the_right(header: str, expected: str) -> None:
    """RFC 7239; whatever a client wrote on the left of what its proxy appended changes nothing."""
    assert client_address("10.0.0.1", forwarded_for(header), PROXIES) == ip_address(expected)


def test_either_header_is_read_and_never_both(build: Build) -> None:
    """Who is told to read Forwarded believes no X-Forwarded-For, and the other way round."""
    for header in HEADERS:
        service = build(
            ServiceSettings(
                limits=limits(register=RateLimit(1, 3600)),
                http=HttpSettings(trusted_proxies=(ip_network("127.0.0.0/8"),), forwarded_header=header),
            )
        )
        statuses = []
        for n in range(4):
            addresses = [f"192.0.2.{n % 2}", f"198.51.100.{n}"]
            if header == "x-forwarded-for":
                addresses.reverse()
            result = service.client.simulate_post(
                f"{PREFIX}/auth/register",
                remote_addr="127.0.0.1",
                headers={"Forwarded": f"for={addresses[0]}", "X-Forwarded-For": addresses[1]},
                json={"username": f"user{n}", "password": "a long pass phrase"},
            )
            statuses.append(result.status_code)

        assert statuses == [201, 201, 429, 429]


def test_a_network_of_ipv6_has_limits_above_its_sites(build: Build) -> None:
    """Its 2**16 sites may do 16 times what one may: registering, signing in, and the rest without a token."""
    settings = limited(
        default=RateLimit(3, 60),
        register=RateLimit(1, 3600),
        sign_in=RateLimit(9, 60),
        sign_in_address=RateLimit(2, 60),
    )
    service = build(settings)

    def post(path: str, site: int, network: str = "2001:db8:1") -> int:
        body = {"username": f"u{site:04}", "password": "a long pass phrase"}
        return service.client.simulate_post(
            f"{PREFIX}/auth/{path}", json=body, remote_addr=f"{network}:{site:x}::1"
        ).status_code

    registered = [post("register", site) for site in range(20)]
    signed_in = [post("login", 100 + site) for site in range(40)]

    assert registered == [201] * WIDER + [429] * (20 - WIDER)
    # 16 times the 3 of all requests without a token come before 16 times the 2 of signing in.
    assert signed_in == [401] * (3 * WIDER - 20) + [429] * (40 - 3 * WIDER + 20)
    assert post("login", 50, "2001:db8:2") == 401


@pytest.mark.parametrize(
    ("address", "bucket"),
    [
        ("192.0.2.1", "addr:192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "addr:2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "addr:2001:db8:1:2::/64"),
    ],
)
def test_an_ipv6_site_is_one_client(address: str, bucket: str) -> None:
    """Whoever has one IPv6 address has 2**64 of them."""
    assert address_bucket(ip_address(address)) == bucket


HOSTS = {
    "none, or an empty one": "",
    "two": "a.example,b.example",
    "two and a blank": "a.example, b.example",
    "a blank": "a example",
    "a path": "a.example/x",
    "a user": "a@b.example",
    "a port that is none": "a.example:http",
    "a bracket": "[::1",
    "other letters": "\xe9.example",
}


@pytest.mark.parametrize("path", ["/api/v1/health", "/api/v1/songs", "/api/v1/nothing"])
@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS.keys())
def test_a_request_names_one_host(service: Service, user: dict[str, str], path: str, host: str) -> None:
    """400 for HTTP/1.1 without one host (RFC 9112, 3.2), whether or not the target was answered before."""
    extras = {"HTTP_HOST": host}
    for _ in range(2):
        service.client.simulate_get(path, headers=user)
        result = service.client.simulate_get(path, headers=user, extras=extras)

        assert (result.status_code, result.json["code"]) == (400, "malformed")


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8000", "a-b.example.", "192.0.2.1:1", "[2001:db8::1]:443", "[fe80::1%25eth0]", "x:"],
)
def test_hosts_that_are_right(service: Service, host: str) -> None:
    """A name, an address, a port."""
    assert service.client.simulate_get("/api/v1/health", extras={"HTTP_HOST": host}).status_code == 200


def test_http_1_0_needs_no_host(service: Service) -> None:
    """As its probes send none; a wrong one is wrong there too."""
    for protocol in ("HTTP/1.0", "HTTP/1"):
        extras = {"HTTP_HOST": "", "SERVER_PROTOCOL": protocol}
        wrong = {"HTTP_HOST": "a,b", "SERVER_PROTOCOL": protocol}

        assert service.client.simulate_get("/api/v1/health", extras=extras).status_code == 200
        assert service.client.simulate_get("/api/v1/health", extras=wrong).status_code == 400
