"""Servers that are slow, or deaf, or no Redis servers at all, and names that nobody knows."""

import socket
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from songs.errors import CacheUnavailable, LimiterUnavailable
from songs.ports.limiter import RateLimit
from songs_redis import RedisSettings
from songs_redis.client import CALL_S, NotAnsweredError
from songs_redis.wire import Links, Resolver

InTime = Callable[[], AbstractContextManager[None]]


def test_a_server_that_is_slow(new_cache: Any, in_time: InTime) -> None:
    """A call ends in time though bytes keep coming: it is the whole of it that is limited."""
    over = threading.Event()
    slow = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        client, _ = slow.accept()
        with client, suppress(OSError):
            client.recv(10_000)
            client.sendall(b"*2\r\n$1\r\nx\r\n$100000\r\n")
            while not over.wait(0.02):
                client.sendall(b"x")

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with in_time(), pytest.raises(CacheUnavailable):
            new_cache(f"redis://127.0.0.1:{slow.getsockname()[1]}", call_s=CALL_S).get("g", "k")
    finally:
        over.set()
        thread.join()
        slow.close()


def test_a_server_that_takes_no_bytes(new_cache: Any, in_time: InTime) -> None:
    """A fill of more bytes than the system takes, which nobody reads, ends in time."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        cache = new_cache(f"redis://127.0.0.1:{deaf.getsockname()[1]}", call_s=CALL_S)
        with in_time(), pytest.raises(CacheUnavailable):
            cache.fill("g", "k", b"x" * 16_000_000, lease=b"l", ttl_s=60)


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_a_server_that_accepts_and_says_nothing(new_cache: Any, in_time: InTime, scheme: str) -> None:
    """Whether a password, a database or a handshake of TLS comes first, the call ends in time."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        cache = new_cache(f"{scheme}://user:pw@127.0.0.1:{deaf.getsockname()[1]}/3", call_s=CALL_S)
        for call in (lambda: cache.get("g", "k"), cache.ping):
            with in_time(), pytest.raises(CacheUnavailable) as caught:
                call()
            assert "pw" not in f"{caught.value}{caught.value.__cause__}{caught.value.__cause__.__cause__}"  # type: ignore[union-attr]


@pytest.mark.parametrize("crowd", [0, 3])
def test_a_socket_that_nobody_accepts_on(new_cache: Any, in_time: InTime, crowd: int) -> None:
    """A call on a socket in the file system ends in time, though connecting alone would not."""
    with tempfile.TemporaryDirectory(prefix="songs-") as folder, socket.socket(socket.AF_UNIX) as deaf:
        path = Path(folder) / "s"
        deaf.bind(str(path))
        deaf.listen(0)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(crowd)]
        for each in waiting:
            each.setblocking(False)  # noqa: FBT003 - as the library has it
            each.connect_ex(str(path))
        try:
            with in_time(), pytest.raises(CacheUnavailable):
                new_cache(f"unix://{path}", call_s=CALL_S).get("g", "k")
        finally:
            for each in waiting:
                each.close()


@pytest.mark.parametrize("url", ["redis://127.0.0.1", "rediss://127.0.0.1", "unix:///nowhere"])
def test_no_time_left(url: str) -> None:
    """It is the time that is over, whatever the driver would like to know of the connection."""
    link = Links(RedisSettings(url=SecretStr(url)).options()).make()
    with pytest.raises(redis.exceptions.TimeoutError):
        link.ask(("PING",), time.monotonic())


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:1", "rediss://127.0.0.1:1", "unix:///nowhere/at/all", "redis://\x01"]
)
def test_nobody_there(new_cache: Any, in_time: InTime, url: str) -> None:
    """An address where nobody listens, or that is none, is a cache that does not answer."""
    with in_time(), pytest.raises(CacheUnavailable):
        new_cache(url, call_s=CALL_S).get("g", "k")


def test_a_name_that_takes_long_to_look_up(monkeypatch: pytest.MonkeyPatch, in_time: InTime) -> None:
    """Nobody waits for it longer than they have; only one look-up is under way; the last addresses stand."""
    release, asked = threading.Event(), list[str]()
    quick = threading.Event()

    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        assert quick.is_set() or release.wait(20)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    resolver = Resolver("slow", 6379)
    try:
        for _ in range(2):
            with in_time(), pytest.raises(TimeoutError):
                resolver.addresses(time.monotonic() + 0.01)
        assert asked == ["slow"]
    finally:
        release.set()
    expected = [(socket.AF_INET, ("10.0.0.1", 6379))]
    assert resolver.addresses(time.monotonic() + 20) == expected
    release.clear()
    try:
        with in_time():
            assert resolver.addresses(time.monotonic() + 0.02) == expected
    finally:
        release.set()


def test_a_name_that_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error at first, and none for who knew it before."""
    answers: list[Any] = [
        socket.gaierror(-2, "unknown"),
        [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 6379))],
        socket.gaierror(-3, "no name server"),
    ]

    def look_up(*_: Any, **__: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    resolver = Resolver("host", 6379)
    with pytest.raises(OSError, match="unknown"):
        resolver.addresses(time.monotonic() + 20)
    found = resolver.addresses(time.monotonic() + 20)
    assert resolver.addresses(time.monotonic() + 20) == found


REPLIES = [
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"*2\r\n$-1\r\n$-1\r\n",
    b"*0\r\n",
    b"*-1\r\n",
    b"$-1\r\n",
    b"+OK\r\n",
    b"-\r\n",
    b"-LOADING Redis is loading the dataset in memory\r\n",
    b"-NOAUTH Authentication required.\r\n",
    b":x\r\n",
    b"$x\r\n",
    b"*1\r\n:7\r\n",
    b"*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n",
    b"*1\r\n" * 5_000,
    b"\xff\xfe\x00\r\n",
    b"",
]


@pytest.mark.parametrize("reply", REPLIES, ids=range(len(REPLIES)))
def test_what_is_no_answer(new_relay: Any, new_cache: Any, new_limiter: Any, reply: bytes, in_time: InTime) -> None:
    """Whatever a server says, nothing but the ports' own errors comes of it, in time."""
    relay = new_relay(lambda _asked: reply)
    with in_time(), pytest.raises(CacheUnavailable):
        new_cache(relay.url, call_s=CALL_S).get("g", "k")
    with in_time(), pytest.raises(LimiterUnavailable):
        new_limiter(relay.url, call_s=CALL_S).hit("b", RateLimit(1, 1))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([b"*", b"$", b":", b"+", b"-", b"\r\n", b"1", b"2", b"9", b"a", b"\xff"]), max_size=12))
def test_any_bytes(new_relay: Any, new_client: Callable[..., Any], bytes_: list[bytes]) -> None:
    """No bytes make anything else than an answer, or the error that there is none."""
    relay = new_relay(lambda _asked: b"".join(bytes_) + b"\r\n")
    client = new_client(relay.url, call_s=CALL_S)
    client.open()
    try:
        client.call(("EVAL",))
    except NotAnsweredError:
        pass
    finally:
        client.close()
        relay.close()
