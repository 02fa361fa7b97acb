"""The cache on a real server: what it survives, what it forgets, and what it costs."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from songs.errors import CacheUnavailable
from songs.ports.cache import Hit, Miss
from songs_contract.harness.timing import eventually
from songs_redis import RedisCache
from songs_redis.testing import PrivateServer

Put = Callable[..., None]
LeaseOf = Callable[[RedisCache, str, str], bytes]
COSTS = tomllib.loads((Path(__file__).parents[1] / "costs.toml").read_text(encoding="utf-8"))["redis"]
RUBBISH: list[tuple[Any, ...]] = [
    ("SET", "rubbish"),
    ("SET", "sixteen bytes ok"),
    ("SET", ""),
    ("RPUSH", "a", "b"),
    ("SADD", "a"),
    ("ZADD", 1, "a"),
    ("HSET", "f", "v"),
    ("XADD", "*", "f", "v"),
    ("PFADD", "a"),
    ("GEOADD", 1, 1, "a"),
]


def _rubbish(admin: Any, pattern: str, what: tuple[Any, ...]) -> int:
    keys = admin("KEYS", pattern)
    for key in keys:
        admin("DEL", key)
        admin(what[0], key, *what[1:])
    return len(keys)


@pytest.mark.redis
def test_a_restart_from_an_old_snapshot(server: PrivateServer, admin: Any, cache: RedisCache, put: Put) -> None:
    """Neither entries nor leases of before a restart count after it, though the snapshot still has them."""
    put(cache, "g", "k", b"old")
    lease = cache.get("g", "other")
    admin("SAVE")
    cache.invalidate(["g"])
    server.kill()
    server.start()
    assert admin("KEYS", "songs:e:*"), "the snapshot was not loaded"
    found = cache.get("g", "k")
    assert isinstance(found, Miss)
    assert found.lease != getattr(lease, "lease", None)
    cache.fill("g", "other", b"old", lease=lease.lease, ttl_s=60)  # type: ignore[union-attr, arg-type]
    assert isinstance(cache.get("g", "other"), Miss)
    put(cache, "g", "k", b"new")
    assert cache.get("g", "k") == Hit(b"new")


@pytest.mark.redis
def test_a_restart_without_an_invalidation(server: PrivateServer, admin: Any, cache: RedisCache, put: Put) -> None:
    """Even then nothing comes back: nobody knows what was invalidated after the snapshot."""
    put(cache, "g", "k", b"old")
    admin("SAVE")
    server.kill()
    server.start()
    assert isinstance(cache.get("g", "k"), Miss)


@pytest.mark.redis
@pytest.mark.parametrize("loss", ["FLUSHALL", "an eviction of the generation", "an eviction of the entry"])
def test_a_loss_between_lease_and_fill(admin: Any, cache: RedisCache, put: Put, lease_of: LeaseOf, loss: str) -> None:
    """A late fill of an old value does not count after the server lost the invalidation of it."""
    put(cache, "g", "here", b"old")
    lease = lease_of(cache, "g", "k")
    cache.invalidate(["g"])
    after = lease_of(cache, "g", "k")
    if loss == "FLUSHALL":
        admin("FLUSHALL")
    else:
        admin("DEL", *admin("KEYS", "songs:g:*" if "generation" in loss else "songs:e:*"))
    cache.fill("g", "k", b"old", lease=lease, ttl_s=60)
    assert isinstance(cache.get("g", "k"), Miss)
    assert isinstance(cache.get("g", "here"), Miss)
    cache.fill("g", "k", b"old", lease=lease, ttl_s=60)
    assert isinstance(cache.get("g", "k"), Miss)
    assert (lease_of(cache, "g", "k") == after) == ("entry" in loss)


@pytest.mark.redis
@pytest.mark.parametrize("what", RUBBISH, ids=lambda what: f"{what[0]}-{len(str(what[1]))}")
def test_rubbish_in_an_entry(admin: Any, cache: RedisCache, put: Put, what: tuple[Any, ...]) -> None:
    """It is a miss, which can be filled; a fill over it counts as well."""
    put(cache, "g", "k", b"value")
    assert _rubbish(admin, "songs:e:*", what) == 1
    put(cache, "g", "k", b"again")
    assert cache.get("g", "k") == Hit(b"again")


@pytest.mark.redis
@pytest.mark.parametrize("what", RUBBISH, ids=lambda what: f"{what[0]}-{len(str(what[1]))}")
def test_rubbish_in_a_generation(
    admin: Any, cache: RedisCache, put: Put, lease_of: LeaseOf, what: tuple[Any, ...]
) -> None:
    """Entries are a miss, old leases do not count, an invalidation works, and the group can be used again."""
    put(cache, "g", "k", b"value")
    lease = lease_of(cache, "g", "other")
    assert _rubbish(admin, "songs:g:*", what) == 1
    cache.fill("g", "other", b"stale", lease=lease, ttl_s=60)
    assert isinstance(cache.get("g", "other"), Miss)
    assert isinstance(cache.get("g", "k"), Miss)
    _rubbish(admin, "songs:g:*", what)
    cache.invalidate(["g"])
    assert admin("KEYS", "songs:g:*") == []
    put(cache, "g", "k", b"again")
    assert cache.get("g", "k") == Hit(b"again")


@pytest.mark.redis
def test_an_entry_of_another_format(admin: Any, cache: RedisCache, put: Put) -> None:
    """What another version of this program wrote is a miss."""
    put(cache, "g", "k", b"value")
    (key,) = admin("KEYS", "songs:e:*")
    entry = admin("GET", key)
    admin("SET", key, b"\x02" + entry[1:])
    assert isinstance(cache.get("g", "k"), Miss)
    admin("SET", key, entry)
    assert cache.get("g", "k") == Hit(b"value")


@pytest.mark.redis
def test_nothing_stays_for_ever(admin: Any, cache: RedisCache, put: Put) -> None:
    """Every key expires; a group lives on as long as its entries, and an entry no longer than was asked for."""
    put(cache, "g", "k", b"value", ttl_s=172_800.0)
    put(cache, "h", "k", b"value", ttl_s=30.0)
    for key in admin("KEYS", "*"):
        assert 0 < admin("PTTL", key) <= 172_800_000
    assert sorted(admin("PTTL", key) // 86_000_000 for key in admin("KEYS", "songs:g:*")) == [1, 2]
    assert min(admin("PTTL", key) for key in admin("KEYS", "songs:e:*")) <= 30_000


@pytest.mark.redis
def test_a_time_to_live_of_nothing(admin: Any, cache: RedisCache, put: Put) -> None:
    """An entry whose time is over at once is not kept; to the server it would be an error."""
    for ttl_s in (0.0, 0.0009, -1.0):
        put(cache, "g", "k", b"value", ttl_s=ttl_s)
        assert admin("KEYS", "songs:e:*") == []


@pytest.mark.redis
def test_a_full_server(admin: Any, cache: RedisCache, put: Put) -> None:
    """It refuses entries, and still takes invalidations: the cache stays believable."""
    put(cache, "g", "k", b"old")
    admin("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(CacheUnavailable, match="OutOfMemory"):
        cache.get("other", "k")
    assert cache.get("g", "k") == Hit(b"old")
    cache.invalidate(["g"])
    with pytest.raises(CacheUnavailable, match="OutOfMemory"):
        cache.get("g", "k")
    cache.ping()


@pytest.mark.redis
def test_a_server_that_cannot_save(admin: Any, cache: RedisCache, put: Put) -> None:
    """It refuses invalidations, and a ping says so: PING of its own would not."""
    admin("CONFIG", "SET", "min-replicas-to-write", "1")
    with pytest.raises(CacheUnavailable, match="NOREPLICAS"):
        cache.invalidate(["g"])
    with pytest.raises(CacheUnavailable, match="NOREPLICAS"):
        cache.ping()
    admin("CONFIG", "SET", "min-replicas-to-write", "0")
    cache.ping()


@pytest.fixture
def pair(
    new_redis_server: Callable[..., PrivateServer], new_redis_admin: Any, free_port: int
) -> tuple[PrivateServer, ...]:
    """A primary and its replica."""
    first = new_redis_server("--port", str(free_port), "--repl-diskless-sync", "no")
    second = new_redis_server("--replicaof", "127.0.0.1", str(free_port))
    ask = new_redis_admin(second)
    eventually(lambda: ask("INFO", "replication")["master_link_status"] == "up", within_s=20)
    return first, second


@pytest.mark.redis
def test_a_replica_is_not_believed(
    pair: tuple[PrivateServer, ...], new_redis_admin: Any, new_cache: Any, put: Put
) -> None:
    """A replica, which may lag, answers nothing; promoted, it starts without what it copied."""
    first, second = pair
    put(new_cache(first.url), "g", "k", b"value")
    ask, copy = new_redis_admin(second), new_cache(second.url)
    eventually(lambda: bool(ask("KEYS", "songs:e:*")), within_s=20)
    for call in (lambda: copy.get("g", "k"), lambda: copy.invalidate(["g"]), copy.ping):
        with pytest.raises(CacheUnavailable, match=r"NOTPRIMARY|ReadOnly"):
            call()
    ask("REPLICAOF", "NO", "ONE")
    copy.ping()
    assert isinstance(copy.get("g", "k"), Miss)


@pytest.mark.redis
def test_a_restart_of_a_primary_with_a_replica(
    pair: tuple[PrivateServer, ...], new_redis_admin: Any, new_cache: Any, put: Put
) -> None:
    """Such a snapshot holds the replication id of before; the primary takes another one all the same."""
    first, _ = pair
    cache, ask = new_cache(first.url), new_redis_admin(first)
    put(cache, "g", "k", b"old")
    eventually(lambda: ask("INFO", "persistence")["rdb_bgsave_in_progress"] == 0, within_s=20)
    ask("SAVE")
    assert b"repl-id" in (first.folder / "dump.rdb").read_bytes()
    first.kill()
    first.start()
    assert ask("KEYS", "songs:e:*")
    assert isinstance(cache.get("g", "k"), Miss)


@pytest.mark.redis
def test_round_trips(server: PrivateServer, new_relay_to: Any, new_cache: Any, lease_of: LeaseOf) -> None:
    """A get takes one, hit or miss, a fill one, and an invalidation one for any number of groups; connecting none.

    A ping takes one by a connection of its own.
    """
    relay = new_relay_to(server)
    cache = new_cache(relay.url)
    costs: dict[str, int] = {}

    def cost(name: str, call: Callable[[], Any]) -> None:
        before = relay.round_trips
        call()
        costs[f"cache.{name}"] = relay.round_trips - before

    cost("get, a miss", lambda: cache.get("g", "k"))
    lease = lease_of(cache, "g", "k")
    cost("fill", lambda: cache.fill("g", "k", b"value", lease=lease, ttl_s=60))
    cost("get, a hit", lambda: cache.get("g", "k"))
    cost("invalidate, of a hundred groups", lambda: cache.invalidate([f"g{n}" for n in range(100)]))
    cost("invalidate, of none", lambda: cache.invalidate([]))
    cost("ping", cache.ping)
    assert costs == {name: COSTS[name] for name in COSTS if name.startswith("cache.")}
    assert relay.connections == 2


@pytest.mark.redis
def test_prefixes_are_apart(server: PrivateServer, new_client: Any, put: Put) -> None:
    """Two services with prefixes of their own share a server and nothing else."""
    one, two = (RedisCache(new_client(server.url), prefix) for prefix in ("one", "two"))
    for cache in (one, two):
        cache.open()
        put(cache, "g", "k", repr(cache).encode())
    one.invalidate(["g"])
    assert isinstance(one.get("g", "k"), Miss)
    assert isinstance(two.get("g", "k"), Hit)
