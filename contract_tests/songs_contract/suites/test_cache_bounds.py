"""Values, and many of everything: groups in one call, leases of one group, invalidations."""

from collections.abc import Callable, Collection

import pytest

from songs.ports.cache import Cache, Hit, Miss
from songs_contract.harness.driver import lease_of
from songs_contract.harness.subject import Subject
from songs_contract.law import clause, requires
from songs_plugins import Port

PORT = Port.CACHE

TTL_S = 600.0
LEASES = 300
GROUPS = 2_600
LAST_OF_MANY = (0, 99, 100, 127, 128, 254, 255, 256, 511, 512, 999, 1_000, 1_023, 1_024, 2_047, 2_048, GROUPS - 1)
FEW_INVALIDATIONS = 300
MANY_INVALIDATIONS = 66_000

VALUES = {
    "a line": b"a line\n",
    "spaces around it": b"  value \t",
    "NULs around it": b"\0value\0\0",
    "no UTF-8": b"\xff\xfe\xc3",
    "a number": b"007",
    "words": b"None",
    "JSON": b'{"b": 1,  "a": 1.0}',
    "a pickle": b"\x80\x04N.",
    "gzip": b"\x1f\x8b\x08\x00",
    "quotes": b"'\"\\x00",
}
COLLECTIONS: dict[str, Callable[[list[str]], Collection[str]]] = {
    "list": list,
    "tuple": tuple,
    "set": frozenset,
    "keys": lambda groups: dict.fromkeys(groups).keys(),
}


def put(cache: Cache, group: str, value: bytes = b"value", key: str = "key") -> None:
    """Fill an entry that is not there."""
    cache.fill(group, key, value, lease=lease_of(cache, group, key), ttl_s=TTL_S)


@clause("CACHE-1")
@requires("keeps")
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_bytes_stay_those_bytes(cache: Cache, value: bytes) -> None:
    """Nothing is cut off, read or converted, and what comes back is `bytes`, which nobody else can change."""
    put(cache, "group", value)
    found = cache.get("group", "key")
    assert found == Hit(value)
    assert type(found.value) is bytes


@clause("CACHE-1")
@requires("keeps")
def test_a_value_that_is_very_long(cache: Cache) -> None:
    """It is there as a whole, or not at all."""
    value = bytes(range(256)) * 5_000 + b"end"
    put(cache, "group", value)
    found = cache.get("group", "key")
    assert isinstance(found, Miss) or found.value == value, "a part of it came back"


@clause("CACHE-3")
@requires("keeps")
@pytest.mark.parametrize("collection", COLLECTIONS.values(), ids=COLLECTIONS)
def test_groups_in_any_collection(cache: Cache, collection: Callable[[list[str]], Collection[str]]) -> None:
    """What holds the groups may be any collection; those that nobody knows keep no other from being forgotten."""
    put(cache, "group")
    put(cache, "another")
    cache.invalidate(collection(["unheard-of", "group", "never", "another"]))
    assert [isinstance(cache.get(group, "key"), Miss) for group in ("group", "another")] == [True, True]
    cache.invalidate(collection(["group", "another"]))
    cache.invalidate(collection([]))


@clause("CACHE-3")
@requires("keeps")
def test_many_groups_at_once(cache: Cache) -> None:
    """However many groups there are, all of them are forgotten."""
    groups = [f"group-{n}" for n in range(GROUPS)]
    filled = [groups[n] for n in LAST_OF_MANY]
    for group in (*filled, "another"):
        put(cache, group)
    cache.invalidate(groups)
    assert [group for group in filled if cache.get(group, "key") == Hit(b"value")] == []
    assert cache.get("another", "key") == Hit(b"value")


@clause("CACHE-2")
@requires("keeps")
def test_many_leases_of_a_group(cache: Cache) -> None:
    """An invalidation voids every lease of the group, which are `bytes`, however many keys have one, filled or not."""
    leases = {f"key-{n}": lease_of(cache, "group", f"key-{n}") for n in range(LEASES)}
    assert {type(lease) for lease in leases.values()} == {bytes}
    cache.fill("group", "key-0", b"value", lease=leases["key-0"], ttl_s=TTL_S)
    cache.invalidate(["group"])
    for key, lease in leases.items():
        cache.fill("group", key, b"stale", lease=lease, ttl_s=TTL_S)
    assert [key for key in leases if isinstance(cache.get("group", key), Hit)] == []


@clause("CACHE-2")
@requires("keeps")
def test_many_invalidations(subject: Subject, cache: Cache) -> None:
    """However often a group is invalidated: a lease of the first time is good for nothing ever after."""
    old = lease_of(cache, "group")
    asked = (256, 257, FEW_INVALIDATIONS, 65_536, 65_537)
    # Over a network as many would take long.
    for n in range(1, FEW_INVALIDATIONS + 1 if subject.declares("shared") else MANY_INVALIDATIONS):
        cache.invalidate(["group"])
        if n in asked or n % 97 == 0:
            lease_of(cache, "group")
            cache.fill("group", "key", b"stale", lease=old, ttl_s=TTL_S)
            assert isinstance(cache.get("group", "key"), Miss), f"it counted after {n} invalidations"
