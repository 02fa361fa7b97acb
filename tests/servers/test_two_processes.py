"""Two services over one storage, as behind a load balancer: what one was told counts for the other."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any

import pytest
from tests.running import Running

from .conftest import Start

pytestmark = pytest.mark.server

PASSWORD = "a long phrase of ada's own"
AT_ONCE = 10
PATIENCE_S = 60.0
"""Far less than the life of an access token: what is refused by then was revoked."""

Pair = tuple[Running, Running]


@pytest.fixture
def pair(start: Start) -> Pair:
    """Two services with the user ada."""
    return _pair(start)


@pytest.fixture
def cached_pair(start: Start, new_redis_server: Callable[..., Any]) -> Pair:
    """Two services with the user ada, whose cache and limiter are one Redis server."""
    return _pair(start, SONGS_CACHE="redis", SONGS_LIMITER="redis", SONGS_REDIS_URL=new_redis_server().url)


def _pair(start: Start, **variables: str) -> Pair:
    variables = {"SONGS_STORAGE": "sqlite", "SONGS_SQLITE_PATH": "songs.db"} | variables
    variables["SONGS_LIMITER_DEFAULT"] = "1000/minute"  # more than a test asks while it waits for `PATIENCE_S`
    first, second = (start("granian", **variables) for _ in range(2))
    assert _call(first, "POST", "/auth/register", {"username": "ada", "password": PASSWORD})[0] == 201
    return first, second


def _call(at: Running, method: str, path: str, body: object = None, token: str = "") -> tuple[int, Any]:
    at.submitted.note(body)
    at.submitted.note([token], secret=True)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    connection = HTTPConnection("127.0.0.1", at.port, timeout=60)
    try:
        connection.request(method, f"/api/v1{path}", None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        content = response.read()
        return response.status, json.loads(content) if content else None
    finally:
        connection.close()


def _sign_in(at: Running) -> dict[str, str]:
    status, tokens = _call(at, "POST", "/auth/login", {"username": "ada", "password": PASSWORD})
    assert status == 200, tokens
    return dict(tokens)


def test_a_refresh_token_is_good_once_for_both(pair: Pair) -> None:
    """Ten clients show one token to both at the same moment: one gets the next tokens, and both know those."""
    token = _sign_in(pair[0])["refresh_token"]
    ready = threading.Barrier(AT_ONCE)

    def refresh(number: int) -> tuple[int, Any]:
        ready.wait(60)
        return _call(pair[number % 2], "POST", "/auth/refresh", {"refresh_token": token})

    with ThreadPoolExecutor(AT_ONCE) as clients:
        answers = list(clients.map(refresh, range(AT_ONCE)))

    assert sorted(status for status, _ in answers) == [200] + [401] * (AT_ONCE - 1)
    (won,) = [tokens for status, tokens in answers if status == 200]
    assert [_call(each, "GET", "/users/me", token=won["access_token"])[0] for each in pair] == [200, 200]
    assert _call(pair[1], "POST", "/auth/refresh", {"refresh_token": won["refresh_token"]})[0] == 200


def test_what_one_revokes_the_other_refuses_soon(pair: Pair) -> None:
    """After signing out at one, its access tokens are refused there at once, and by the other before they expire."""
    _sign_out_and_see(pair)


def test_no_cache_keeps_anyone_in(cached_pair: Pair) -> None:
    """The same with every cache on: that a list is in the cache gets nobody to it."""
    _sign_out_and_see(cached_pair)


def _sign_out_and_see(pair: Pair) -> None:
    here, there = pair
    tokens = _sign_in(here)
    token = tokens["access_token"]
    for path in ("/users/me", "/songs", "/songs"):
        assert [_call(each, "GET", path, token=token)[0] for each in pair] == [200, 200]

    assert _call(here, "POST", "/auth/logout", {"refresh_token": tokens["refresh_token"]})[0] == 204
    signed_out_s = time.monotonic()

    # `/songs` reads nothing of the user: the token is judged by what is remembered.
    assert _call(here, "GET", "/songs", token=token)[0] == 401
    while (status := _call(there, "GET", "/songs", token=token)[0]) == 200:
        assert time.monotonic() - signed_out_s < PATIENCE_S
        time.sleep(0.1)  # until the other asks the storage again
    assert status == 401
    print(f"\nrefused by the other after {time.monotonic() - signed_out_s:.2f} s")  # noqa: T201 - a figure, with -s
    assert _call(there, "GET", "/songs", token=_sign_in(there)["access_token"])[0] == 200
