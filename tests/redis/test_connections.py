"""Connections: how many there are, who uses them, and what a server asks before it answers."""

import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from songs.errors import CacheUnavailable
from songs.ports.cache import Hit, Miss
from songs_contract.harness.timing import eventually
from songs_plugins import AdapterContext
from songs_redis import RedisCache, RedisSettings
from songs_redis.plugin import songs_adapters
from songs_redis.testing import PROGRAM, PrivateServer, ServerNotStartedError


def _together(count: int, call: Callable[[int], Any]) -> None:
    start = threading.Barrier(count)
    failures: list[BaseException] = []

    def run(number: int) -> None:
        start.wait(20)
        try:
            call(number)
        except Exception as error:  # noqa: BLE001 - told to the test
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert failures == []


@pytest.mark.redis
def test_connections_are_bounded_and_kept(server: PrivateServer, admin: Any, new_cache: Any) -> None:
    """Many threads share a few connections, which are used again and again, and closed at the end."""
    before = admin("INFO", "stats")["total_connections_received"]
    cache = new_cache(server.url, connections=3)
    for _ in range(3):
        _together(12, lambda number: [cache.get("g", f"{number}-{n}") for n in range(20)])
    assert 1 <= admin("INFO", "stats")["total_connections_received"] - before <= 3
    cache.close()
    eventually(lambda: admin("INFO", "clients")["connected_clients"] == 1, within_s=20)
    cache.close()


@pytest.mark.redis
def test_building_and_opening_connects_to_nothing(server: PrivateServer, admin: Any, clock: Any) -> None:
    """The first call does. Adapters are made by their descriptors, with one connection a caller and one to spare."""
    settings = RedisSettings(url=SecretStr(server.url))
    for spec in songs_adapters():
        adapter = spec.build(settings, AdapterContext(clock=clock, ids=clock, concurrency=5))
        adapter.open()
        adapter.open()
        assert admin("INFO", "clients")["connected_clients"] == 1
        assert adapter._client._connections == 11
        adapter.close()


@pytest.mark.redis
def test_a_call_that_is_interrupted(server: PrivateServer, cache: RedisCache, put: Any) -> None:
    """Whatever ends a call between question and answer, its answer is nobody else's."""
    put(cache, "g", "a", b"of a")
    put(cache, "g", "b", b"of b")
    pool = cache._client._pool
    assert pool is not None
    link: Any = pool._idle[0]
    read, link.read_response = link.read_response, _interrupt
    with pytest.raises(KeyboardInterrupt):
        cache.get("g", "a")
    link.read_response = read
    assert cache.get("g", "b") == Hit(b"of b")
    assert not link.is_connected


def _interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.redis
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_of_an_open_cache(server: PrivateServer, cache: RedisCache, put: Any) -> None:
    """Parent and child each have connections of their own, also when the fork came between a lock's hands."""
    for n in range(20):
        put(cache, "g", f"k{n}", str(n).encode())
    pool = cache._client._pool
    assert pool is not None
    with pool.breaker._lock:
        child = os.fork()
        if child == 0:
            wrong = 1
            try:
                wrong = sum(cache.get("g", f"k{n % 20}") != Hit(str(n % 20).encode()) for n in range(500))
            finally:
                os._exit(min(wrong, 1))
    for n in range(500):
        assert cache.get("g", f"k{n % 20}") == Hit(str(n % 20).encode())
    _, status = os.waitpid(child, 0)
    assert status == 0


@pytest.mark.redis
def test_a_password_and_a_database(new_redis_server: Any, new_cache: Any, put: Any, clock: Any) -> None:
    """Both are given when a connection is made; without the right one nothing is answered, nor told."""
    server = new_redis_server("--requirepass", "hunter2")
    one, two = new_cache(f"{server.url}?password=hunter2&db=1"), new_cache(f"{server.url}?password=hunter2&db=2")
    put(one, "g", "k", b"value")
    assert one.get("g", "k") == Hit(b"value")
    assert isinstance(two.get("g", "k"), Miss)
    for password in ("", "&password=hunter3", "&password=hunter2&db=99"):
        with pytest.raises(CacheUnavailable) as caught:
            new_cache(f"{server.url}?{password}").get("g", "k")
        assert "hunter" not in f"{caught.value} {caught.value.__cause__} {caught.value.__cause__.__cause__}"  # type: ignore[union-attr]


@pytest.mark.redis
def test_an_encrypted_connection(
    new_redis_server: Any, new_cache: Any, put: Any, free_port: int, tmp_path: Path, clock: Any
) -> None:
    """It works with a certificate that is trusted, and not with one that is not."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl on the PATH to make a certificate with")
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate]
    subject = ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*request, *subject], check=True, capture_output=True)
    options = ["--tls-port", str(free_port), "--tls-cert-file", certificate, "--tls-key-file", key]
    try:
        new_redis_server(*options, "--tls-auth-clients", "no")
    except ServerNotStartedError as error:
        pytest.skip(f"this redis-server has no TLS: {error}")
    for host in ("localhost", "127.0.0.1"):
        cache = new_cache(f"rediss://{host}:{free_port}?ssl_ca_certs={certificate}")
        cache.invalidate(["g"])
        put(cache, "g", "k", b"value" * 100_000)
        assert cache.get("g", "k") == Hit(b"value" * 100_000)
        assert len(cache._client._pool._idle) == 1
    with pytest.raises(CacheUnavailable) as caught:
        new_cache(f"rediss://localhost:{free_port}").get("g", "k")
    assert "CERTIFICATE" in str(caught.value.__cause__.__cause__)  # type: ignore[union-attr]


def test_a_sandbox_without_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It says what is missing and where to get it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    sandbox = songs_adapters()[0].sandbox
    assert sandbox is not None
    with pytest.raises(ServerNotStartedError, match="no program 'redis-server'"), sandbox(tmp_path):
        pass


@pytest.mark.redis
def test_a_sandbox_leaves_nothing(tmp_path: Path) -> None:
    """Its server has ended, and its socket is gone, when it is left."""
    if shutil.which(PROGRAM) is None:
        pytest.skip(f"there is no {PROGRAM} on the PATH")
    sandbox = songs_adapters()[0].sandbox
    assert sandbox is not None
    with sandbox(tmp_path) as settings:
        assert isinstance(settings, RedisSettings)
        path = Path(settings.options()["path"])
        assert path.is_socket()
    assert not path.parent.exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.redis
def test_a_server_that_does_not_start(new_redis_server: Any) -> None:
    """The reason is told."""
    with pytest.raises(ServerNotStartedError, match="maxmemory"):
        new_redis_server("--maxmemory", "lots")
