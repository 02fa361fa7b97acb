"""Signing in while others guess the password of the same user, on a real server with as few threads as it takes."""

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.running import SONGS, Running, free_port

PASSWORD = "correct horse battery staple"
CONNECTIONS = 24
TRIES = 5
WITHIN_S = 30.0
"""A deadline with a wide margin, on a machine that does other things: it took some tenths of a second."""


def _sign_in(connection: http.client.HTTPConnection, name: str, password: str, address: str) -> tuple[int, float]:
    headers = {"Content-Type": "application/json", "X-Forwarded-For": address}
    connection.request(
        "POST", "/api/v1/auth/login", json.dumps({"username": name, "password": password}), headers=headers
    )
    answer = connection.getresponse()
    answer.read()
    return answer.status, float(answer.headers.get("Retry-After", "0"))


@contextmanager
def _guessing(port: int, addresses: int) -> Iterator[Counter[int]]:
    """Guess ada's password from so many addresses in turn, on many connections, without ever waiting."""
    statuses: Counter[int] = Counter()
    stop = threading.Event()
    turns = itertools.cycle(f"198.51.{n // 250}.{n % 250}" for n in range(addresses))

    def guess() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while not stop.is_set():
            try:
                statuses[_sign_in(connection, "ada", "a guess", next(turns))[0]] += 1
            except (OSError, http.client.HTTPException):
                connection.close()
        connection.close()

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        running = [pool.submit(guess) for _ in range(CONNECTIONS)]
        try:
            yield statuses
        finally:
            stop.set()
        for each in running:
            each.result()


def _gets_in(port: int, address: str) -> float:
    """Sign in with the right password, as a client that waits as long as it is told to; return how long that took."""
    began_s, statuses = time.monotonic(), Counter[int]()
    while time.monotonic() < began_s + WITHIN_S:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            status, wait_s = _sign_in(connection, "ada", PASSWORD, address)
        finally:
            connection.close()
        statuses[status] += 1
        if status == 200:
            return time.monotonic() - began_s
        assert wait_s <= WITHIN_S, f"{status}: to be tried again in {wait_s} s"
        time.sleep(wait_s)
    pytest.fail(f"the right password was refused for {WITHIN_S} s: {statuses}")


@pytest.mark.server
@pytest.mark.timeout(300)
@pytest.mark.parametrize("server", ["granian", "gunicorn"])
@pytest.mark.parametrize(
    ("threads", "addresses"),
    [
        (4, 20),
        (32, 200),
        pytest.param(4, 200, marks=pytest.mark.thorough),
        pytest.param(7, 200, marks=pytest.mark.thorough),
        pytest.param(32, 20, marks=pytest.mark.thorough),
    ],
)
def test_the_right_password_gets_in(tmp_path: Path, server: str, threads: int, addresses: int) -> None:
    """From a new address and from a known one, however many guess, with limits that hold none of them back."""
    variables = {
        "SONGS_SERVER": server,
        "SONGS_THREADS": str(threads),
        "SONGS_LIMITER": "memory",
        "SONGS_LIMITER_DEFAULT": "none",
        "SONGS_LIMITER_SIGN_IN": "1000000/minute",
        "SONGS_LIMITER_SIGN_IN_ADDRESS": "1000000/minute",
        "SONGS_TRUSTED_PROXIES": "127.0.0.1",
        "SONGS_BCRYPT_ROUNDS": "8",
        "SONGS_LOG_LEVEL": "error",
    }
    running = Running.start([*SONGS, "serve"], tmp_path, free_port(), variables)
    running.submitted.note({"password": PASSWORD})
    try:
        running.wait_until_it_answers()
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
        body = json.dumps({"username": "ada", "password": PASSWORD})
        connection.request("POST", "/api/v1/auth/register", body, headers={"Content-Type": "application/json"})
        assert connection.getresponse().status == 201
        connection.close()
        with _guessing(running.port, addresses) as guesses:
            while sum(guesses.values()) < 2 * addresses:
                time.sleep(0.01)
            mine = [_gets_in(running.port, "192.0.2.1") for _ in range(TRIES)]
            mine += [_gets_in(running.port, f"192.0.2.{n}") for n in range(2, 2 + TRIES)]
        print(f"{server}, {threads} threads, {addresses} addresses: {max(mine):.2f} s; guesses: {dict(guesses)}")  # noqa: T201
        assert guesses[200] == 0
        assert running.told() == []
    finally:
        running.stop()
