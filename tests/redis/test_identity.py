"""Which server it is that answers: after a failover and back, through connections that live on, and from a dump."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from songs.errors import CacheUnavailable
from songs.ports.cache import Hit, Miss
from songs_contract.harness.timing import eventually
from songs_redis import RedisCache
from songs_redis.testing import PrivateServer

pytestmark = pytest.mark.redis

Admin = Callable[..., Any]


@pytest.fixture
def pair(
    new_redis_server: Callable[..., PrivateServer], new_redis_admin: Any, new_port: Callable[[], int]
) -> list[tuple[PrivateServer, Admin, int]]:
    """A primary and its replica, with what tells each of them what to do, and its port."""
    made = []
    for _ in range(2):
        port = new_port()
        server = new_redis_server("--port", str(port), "--repl-diskless-sync-delay", "0")
        made.append((server, new_redis_admin(server), port))
    made[1][1]("REPLICAOF", "127.0.0.1", made[0][2])
    _is_in_step(made[1][1])
    return made


def _is_in_step(replica: Admin) -> None:
    eventually(lambda: replica("INFO", "replication").get("master_link_status") == "up", within_s=20)


def _failover(old: tuple[PrivateServer, Admin, int], new: tuple[PrivateServer, Admin, int]) -> None:
    """Promote one and demote the other, as Sentinel does, but for the connections, which live on."""
    new[1]("REPLICAOF", "NO", "ONE")
    old[1]("REPLICAOF", "127.0.0.1", new[2])
    _is_in_step(old[1])


def test_the_identity_is_the_servers(server: PrivateServer, new_cache: Any, new_relay_to: Any, put: Any) -> None:
    """It is the same for whoever sees the same entries, whichever way leads to the server."""
    near, far = new_cache(server.url), new_cache(new_relay_to(server).url)
    put(near, "g", "k", b"value")
    assert far.get("g", "k") == Hit(b"value")
    assert near.ping() == far.ping() == near.get("g", "k").identity == far.get("g", "k").identity


def test_other_databases_and_prefixes(server: PrivateServer, new_client: Any) -> None:
    """Where keys are others the identity is another."""
    caches = [
        RedisCache(new_client(f"{server.url}{database}"), prefix)
        for database, prefix in (("", "songs"), ("?db=1", "songs"), ("", "other"), ("?db=1", "other"))
    ]
    for cache in caches:
        cache.open()
    assert len({cache.ping() for cache in caches}) == 4
    assert len({cache.invalidate(["g"]) for cache in caches}) == 4


def test_a_restart(server: PrivateServer, admin: Admin, cache: RedisCache) -> None:
    """A server that was started again is another one, with a snapshot or without."""
    identities = [cache.ping()]
    for _ in range(2):
        admin("SAVE")
        server.kill()
        server.start()
        identities.append(cache.ping())
    assert len(set(identities)) == 3


def test_a_failover_and_back(pair: Any, new_cache: Any, put: Any) -> None:
    """Each promotion makes another identity; what was invalidated elsewhere in between is not there again."""
    first, second = pair
    cache, other = new_cache(first[0].url), new_cache(second[0].url)
    put(cache, "g", "k", b"old")
    before = cache.ping()
    _failover(first, second)
    with pytest.raises(CacheUnavailable, match="NOTPRIMARY"):
        cache.get("g", "k")
    away = other.invalidate(["g"])
    _failover(second, first)
    found = cache.get("g", "k")
    assert isinstance(found, Miss)
    assert len({before, away, found.identity}) == 3


def test_a_primary_that_nobody_told(pair: Any, new_cache: Any, put: Any) -> None:
    """A partitioned one goes on, and has what it had; by its identity it is known not to be the one that forgot."""
    first, second = pair
    cache, other = new_cache(first[0].url), new_cache(second[0].url)
    put(cache, "g", "k", b"old")
    second[1]("REPLICAOF", "NO", "ONE")
    elsewhere = other.invalidate(["g"])
    found = cache.get("g", "k")
    assert found == Hit(b"old")
    assert found.identity != elsewhere


@pytest.mark.parametrize("call", ["get", "invalidate", "ping"])
def test_a_connection_that_outlives_the_primary(pair: Any, new_cache: Any, new_way: Any, call: str) -> None:
    """It is given up once it was answered by a replica: the name of the server leads to another one by now."""
    first, second = pair
    way = new_way(first[0])
    cache = new_cache(way.url, connections=1)
    before = cache.get("g", "k").identity
    _failover(first, second)
    way.lead_to(second[0].socket)
    calls = {"get": lambda: cache.get("g", "k"), "invalidate": lambda: cache.invalidate(["g"]), "ping": cache.ping}
    if call != "ping":
        with pytest.raises(CacheUnavailable, match="NOTPRIMARY"):
            calls[call]()
    calls[call]()
    assert cache.get("g", "k").identity not in {before, ""}


def test_a_ping_leads_away_from_an_old_primary(pair: Any, new_cache: Any, new_way: Any) -> None:
    """One that still takes itself for a primary is left at the next ping, which goes where the name leads now."""
    first, second = pair
    way = new_way(first[0])
    cache, known = new_cache(way.url), new_cache(second[0].url)
    before = cache.ping()
    assert cache.get("g", "k").identity == before
    second[1]("REPLICAOF", "NO", "ONE")
    way.lead_to(second[0].socket)
    assert cache.get("g", "k").identity == before
    assert cache.ping() == cache.get("g", "k").identity == known.ping() != before


def test_a_call_that_is_under_way_while_a_ping_leads_away(pair: Any, new_cache: Any, new_way: Any) -> None:
    """Its connection, to the old primary, is used no more: each write on it would switch the cache off for everyone."""
    first, second = pair
    way = new_way(first[0])
    cache, known = new_cache(way.url), new_cache(second[0].url)
    cache.ping()
    cache.get("g", "k")
    second[1]("REPLICAOF", "NO", "ONE")
    first[1]("CLIENT", "PAUSE", 30_000, "WRITE")
    with ThreadPoolExecutor(1) as threads:
        under_way = threads.submit(cache.invalidate, ["g"])
        eventually(lambda: not cache._client._pool._idle, within_s=20)
        way.lead_to(second[0].socket)
        assert cache.ping() == known.ping()
        first[1]("CLIENT", "UNPAUSE")
        assert under_way.result() != known.ping()
    for _ in range(3):
        assert cache.invalidate(["g"]) == known.ping()


def test_a_way_that_leads_to_the_old_primary_for_a_moment(pair: Any, new_cache: Any, new_way: Any) -> None:
    """A connection of that moment is left at the ping after its answer, though the pings before and after agree."""
    first, second = pair
    second[1]("REPLICAOF", "NO", "ONE")
    way = new_way(second[0])
    cache = new_cache(way.url)
    now = cache.ping()
    cache._client.forget_idle()
    way.lead_to(first[0].socket)
    assert cache.invalidate(["g"]) != now
    way.lead_to(second[0].socket)
    assert cache.ping() == now
    assert not cache._client._pool._idle


def test_a_server_that_goes_back_to_a_dump(
    new_redis_server: Any, new_redis_admin: Any, new_cache: Any, put: Any
) -> None:
    """Without a restart, too: neither entries nor leases of the dump count, though the identity is the same."""
    server = new_redis_server("--enable-debug-command", "yes")
    admin, cache = new_redis_admin(server), new_cache(server.url)
    put(cache, "g", "k", b"old")
    lease = cache.get("g", "other").lease
    before = cache.ping()
    admin("SAVE")
    cache.invalidate(["g"])
    put(cache, "g", "k", b"new")
    admin("DEBUG", "RELOAD", "NOSAVE")
    assert len(admin("KEYS", "songs:*")) == 2, "the dump was not loaded"
    assert cache.ping() == before
    assert isinstance(cache.get("g", "k"), Miss)
    cache.fill("g", "other", b"old", lease=lease, ttl_s=60)
    assert isinstance(cache.get("g", "other"), Miss)
    put(cache, "g", "k", b"newest")
    assert cache.get("g", "k") == Hit(b"newest")


def test_keys_that_are_put_back(admin: Admin, cache: RedisCache, put: Any) -> None:
    """An entry and its generation that somebody dumped and restores do not count, whatever became of them meanwhile."""
    put(cache, "g", "k", b"old")
    dumped = [(key, admin("DUMP", key)) for key in admin("KEYS", "songs:*")]
    cache.invalidate(["g"])
    for again in (False, True):
        if again:
            put(cache, "g", "k", b"new")
        for key, value in dumped:
            admin("RESTORE", key, 60_000, value, "REPLACE")
        assert isinstance(cache.get("g", "k"), Miss)
    put(cache, "g", "k", b"newest")
    assert cache.get("g", "k") == Hit(b"newest")


def test_a_server_that_does_not_tell_a_dump(admin: Admin, cache: RedisCache, put: Any) -> None:
    """Where it may not be asked how it holds a key, the cache works as it does elsewhere."""
    admin("ACL", "SETUSER", "default", "-object|encoding")
    for value in (b"one", b"two"):
        put(cache, "g", "k", value)
        assert [cache.get("g", "k") for _ in range(2)] == [Hit(value)] * 2
        assert cache.invalidate(["g"]) == cache.ping()
        assert isinstance(cache.get("g", "k"), Miss)


def test_many_groups_at_once(cache: RedisCache, put: Any) -> None:
    """More than one command of the server takes: all or none are forgotten, in one script."""
    groups = [f"g{n}" for n in range(2_500)]
    for group in groups[::500]:
        put(cache, group, "k", b"value")
    assert cache.invalidate(groups) == cache.ping()
    assert all(isinstance(cache.get(group, "k"), Miss) for group in groups[::500])
    assert cache.invalidate([]) == ""
