"""The address of the server, which may hold a password."""

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from songs_redis import RedisSettings


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://localhost", {"host": "localhost"}),
        ("redis://10.0.0.1:7000/3", {"host": "10.0.0.1", "port": 7000, "db": 3}),
        ("redis://[::1]:7000", {"host": "::1", "port": 7000}),
        ("rediss://user:p%2Fw%40@host", {"host": "host", "username": "user", "password": "p/w@"}),
        ("unix:///run/redis.sock?db=2&password=pw", {"path": "/run/redis.sock", "db": 2, "password": "pw"}),
        ("rediss://host?ssl_ca_certs=/ca.pem", {"host": "host", "ssl_ca_certs": "/ca.pem"}),
    ],
)
def test_addresses(url: str, expected: dict[str, Any]) -> None:
    """Hosts, sockets, databases, credentials and options of TLS are understood."""
    options = RedisSettings(url=SecretStr(url)).options()
    options.pop("connection_class", None)
    assert options == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hunter2",
        "http://:hunter2@host",
        "redis://:hunter2/3@host",
        "redis://:hunter2@host:99999",
        "redis://:hunter2@host:port",
        "redis://:hunter2@[::1",
        "redis://:hunter2@host?socket_timeout=60",
        "redis://:hunter2@host?db=hunter2",
        "redis://:hunter2@host?hunter2=1",
        "redis://:hunter2@host?protocol=3",
        "redis://:hunter2@host?retry_on_timeout=1",
        "unix://?password=hunter2",
    ],
)
def test_what_is_no_address(url: str) -> None:
    """It is refused with what would be right, and without repeating any of it."""
    with pytest.raises(ValidationError) as caught:
        RedisSettings(url=SecretStr(url))
    assert "hunter2" not in str(caught.value)
    assert "must" in str(caught.value) or "may only" in str(caught.value)


@pytest.mark.parametrize("prefix", ["", "a b", "é", "x" * 65, "a\n"])
def test_what_is_no_prefix(prefix: str) -> None:
    """Prefixes are short, and visible ASCII, so that an operator can type them."""
    with pytest.raises(ValidationError):
        RedisSettings(prefix=prefix)


def test_settings_do_not_show_the_password() -> None:
    """Neither as text nor for a debugger."""
    settings = RedisSettings(url=SecretStr("redis://:hunter2@host"))
    assert "hunter2" not in f"{settings} {settings!r}"
