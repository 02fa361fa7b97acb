"""The limiter on a real server."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from songs.errors import LimiterUnavailable
from songs.ports.limiter import RateLimit, Verdict
from songs_contract.harness.timing import eventually
from songs_redis import RedisLimiter
from songs_redis.testing import PrivateServer

COSTS = tomllib.loads((Path(__file__).parents[1] / "costs.toml").read_text(encoding="utf-8"))["redis"]
HITS = """
import sys
from pydantic import SecretStr
from songs.ports.limiter import RateLimit
from songs_redis import RedisLimiter, RedisSettings
from songs_redis.client import Client
from songs_system.system import SystemClock

settings = RedisSettings(url=SecretStr(sys.argv[1]))
limiter = RedisLimiter(Client(settings, SystemClock(), connections=2, call_s=30), "songs")
limiter.open()
print("ready", flush=True)
sys.stdin.readline()
print(*(limiter.hit("bucket", RateLimit(500, 600)).remaining for _ in range(400)))
"""


@pytest.mark.redis
def test_processes_count_together(server: PrivateServer) -> None:
    """Two processes with 400 hits each on a limit of 500: 500 are allowed, each with another remainder."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", HITS, server.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        left = sorted(int(word) for process in processes for word in process.communicate(timeout=60)[0].split())
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert left == sorted([0] * 300 + list(range(500)))


@pytest.mark.redis
def test_a_hit_is_one_round_trip(server: PrivateServer, new_relay_to: Any, new_limiter: Any) -> None:
    """The first of a window, another one, and one that is refused."""
    relay = new_relay_to(server)
    limiter = new_limiter(relay.url)
    for what, allowed in (("the first of a window", True), ("allowed", True), ("refused", False)):
        before = relay.round_trips
        assert limiter.hit("bucket", RateLimit(2, 60)).allowed == allowed
        assert relay.round_trips - before == COSTS[f"limiter.hit, {what}"]


@pytest.mark.redis
def test_a_window_is_a_key_that_ends(admin: Any, limiter: RedisLimiter) -> None:
    """It expires when the window does; neither later nor refused hits prolong it."""
    limit = RateLimit(2, 60)
    limiter.hit("bucket", limit)
    (key,) = admin("KEYS", "songs:*")
    assert 59_000 < admin("PTTL", key) <= 60_000
    admin("PEXPIRE", key, 10_000)
    for expected in (True, False, False):
        verdict = limiter.hit("bucket", limit)
        assert verdict.allowed == expected
        assert 9 < verdict.reset_s <= 10
    assert admin("HGET", key, "hits") == b"2"
    admin("PEXPIRE", key, 1)
    eventually(lambda: admin("DBSIZE") == 0, within_s=5)
    assert limiter.hit("bucket", limit) == Verdict(allowed=True, remaining=1, reset_s=60.0)


@pytest.mark.redis
@pytest.mark.parametrize(
    "what",
    [
        ("SET", "rubbish"),
        ("SET", "-3"),
        ("SET", "1.5"),
        ("SET", "1e3"),
        ("SET", ""),
        ("SET", "2"),
        ("HSET", "hits", "2", "changes", "2", "name", "ab"),
        ("HSET", "hits", "-1", "changes", "1", "name", "ab"),
        ("HSET", "hits", "1", "changes", "x", "name", "ab"),
        ("HSET", "hits", "1", "changes", "1", "name", "no hex"),
        ("HSET", "hits", "1", "name", "ab"),
        ("SET", "1", "EX", "61"),
        ("RPUSH", "1"),
        ("SADD", "1"),
        ("ZADD", 1, "a"),
        ("HSET", "f", "1"),
        ("XADD", "*", "f", "1"),
    ],
    ids=lambda what: " ".join(str(word) for word in what),
)
def test_rubbish_in_a_window(admin: Any, limiter: RedisLimiter, what: tuple[Any, ...]) -> None:
    """Anything but a count that ends in time is no window: the hit begins a new one."""
    limit = RateLimit(2, 60)
    limiter.hit("bucket", limit)
    (key,) = admin("KEYS", "songs:*")
    admin("DEL", key)
    admin(what[0], key, *what[1:])
    assert [limiter.hit("bucket", limit).allowed for _ in range(3)] == [True, True, False]
    assert 0 < admin("PTTL", key) <= 60_000


@pytest.mark.redis
def test_a_limit_of_none(admin: Any, limiter: RedisLimiter) -> None:
    """It refuses everything, and keeps nothing."""
    assert limiter.hit("bucket", RateLimit(0, 60)) == Verdict(allowed=False, remaining=0, reset_s=60.0)
    assert admin("DBSIZE") == 0


@pytest.mark.redis
def test_a_full_server(admin: Any, limiter: RedisLimiter) -> None:
    """A server that refuses to count is a limiter that does not answer."""
    admin("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(LimiterUnavailable, match="OutOfMemory"):
        limiter.hit("bucket", RateLimit(1, 60))
    admin("CONFIG", "SET", "maxmemory", "0")
    assert limiter.hit("bucket", RateLimit(1, 60)).allowed
