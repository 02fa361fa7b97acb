"""Caches: entries, leases, invalidation, time to live."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songs.errors import CacheUnavailable
from songs.ports.cache import Cache, Hit, Miss
from songs_contract.harness.driver import lease_of, race
from songs_contract.harness.subject import Subject, place
from songs_contract.harness.timing import eventually
from songs_contract.law import clause, requires
from songs_contract.models.state_model import texts
from songs_plugins import Port

PORT = Port.CACHE
TTL_S = 60.0


def put(cache: Cache, group: str, key: str, value: bytes, ttl_s: float = TTL_S) -> None:
    """Fill an entry that is not there."""
    cache.fill(group, key, value, lease=lease_of(cache, group, key), ttl_s=ttl_s)


def value_of(cache: Cache, group: str, key: str) -> bytes | None:
    """Return the entry's value, or None."""
    found = cache.get(group, key)
    return found.value if isinstance(found, Hit) else None


@clause("CACHE-1")
@pytest.mark.parametrize("value", [b"", b"\x00", bytes(range(256)), b"x" * 200_000])
def test_round_trip(cache: Cache, value: bytes) -> None:
    """What was filled comes back, byte for byte, as often as it is asked for."""
    assert value_of(cache, "group", "key") is None
    put(cache, "group", "key", value)
    assert [value_of(cache, "group", "key") for _ in range(3)] == [value] * 3


@clause("CACHE-1", "CACHE-6")
@given(st.dictionaries(st.tuples(texts(12), texts(12)), st.binary(max_size=20), min_size=1, max_size=8))
def test_any_names(cache: Cache, entries: dict[tuple[str, str], bytes]) -> None:
    """Entries under any groups and keys are told apart."""
    cache.invalidate({group for group, _ in entries})
    for (group, key), value in entries.items():
        put(cache, group, key, value)
    assert {names: value_of(cache, *names) for names in entries} == entries


@clause("CACHE-6")
def test_names_that_run_together(cache: Cache) -> None:
    """Group and key do not blend, whatever separates them inside."""
    pairs = [("a", "bc"), ("ab", "c"), ("a:b", "c"), ("a", "b:c"), ("", "a"), ("a", ""), ("a\x00", "b"), ("a", "\x00b")]
    for n, pair in enumerate(pairs):
        put(cache, *pair, str(n).encode())
    assert [value_of(cache, *pair) for pair in pairs] == [str(n).encode() for n in range(len(pairs))]
    cache.invalidate(["a"])
    left = [pair for pair in pairs if value_of(cache, *pair) is not None]
    assert left == [pair for pair in pairs if pair[0] != "a"]


@clause("CACHE-6")
@pytest.mark.parametrize("length", [63, 250, 1000])
def test_long_names(cache: Cache, length: int) -> None:
    """Names that differ in their last character alone are told apart, however long they are."""
    long = "n" * length
    pairs = [(f"{long}{last}", "key") for last in "ab"] + [("group", f"{long}{last}") for last in "ab"]
    for n, pair in enumerate(pairs):
        put(cache, *pair, str(n).encode())
    assert [value_of(cache, *pair) for pair in pairs] == [str(n).encode() for n in range(len(pairs))]


@clause("CACHE-2")
def test_a_lease_from_before_an_invalidation(cache: Cache) -> None:
    """A fill that began before an invalidation does not count after it; one that began later does."""
    old = lease_of(cache, "group", "key")
    cache.invalidate(["group"])
    cache.fill("group", "key", b"stale", lease=old, ttl_s=TTL_S)
    assert value_of(cache, "group", "key") is None
    fresh = lease_of(cache, "group", "key")
    cache.fill("group", "key", b"stale", lease=old, ttl_s=TTL_S)
    cache.fill("group", "key", b"fresh", lease=fresh, ttl_s=TTL_S)
    cache.fill("group", "key", b"stale", lease=old, ttl_s=TTL_S)
    assert value_of(cache, "group", "key") == b"fresh"


@clause("CACHE-2")
def test_leases_are_never_handed_out_twice(cache: Cache) -> None:
    """After an invalidation there is always another lease: a counter that starts anew would repeat one."""
    seen = set()
    for _ in range(50):
        seen.add(lease_of(cache, "group", "key"))
        cache.invalidate(["group"])
    assert len(seen) == 50
    assert lease_of(cache, "group", "key") not in seen


@clause("CACHE-2", "CACHE-4")
def test_a_lease_from_before_everything_was_lost(subject: Subject, cache: Cache) -> None:
    """A lease does not count after the cache was closed and opened, which may have emptied it."""
    old = [lease_of(cache, f"group-{n}", "key") for n in range(5)]
    cache.invalidate(["group-0"])
    cache.close()
    cache.open()
    for n, lease in enumerate(old):
        cache.invalidate([f"group-{n}"])
        cache.fill(f"group-{n}", "key", b"stale", lease=lease, ttl_s=TTL_S)
        assert value_of(cache, f"group-{n}", "key") is None


@clause("CACHE-4")
def test_an_entry_from_before_an_invalidation(cache: Cache) -> None:
    """What was invalidated is not there again after the cache was closed and opened."""
    put(cache, "group", "key", b"stale")
    cache.invalidate(["group"])
    cache.close()
    cache.open()
    assert value_of(cache, "group", "key") is None


@clause("CACHE-2")
def test_foreign_leases(cache: Cache) -> None:
    """A lease is good for its group alone, and rubbish for nothing; neither is an error."""
    other = lease_of(cache, "other", "key")
    for lease in (other, b"", b"\x00", b"rubbish" * 50):
        cache.fill("group", "key", b"stale", lease=lease, ttl_s=TTL_S)
        assert value_of(cache, "group", "key") is None


@clause("CACHE-3")
def test_invalidating_a_group(cache: Cache) -> None:
    """All entries of the named groups are gone, those of others stay."""
    for group in ("a", "b", "c"):
        for key in ("1", "2"):
            put(cache, group, key, b"value")
    cache.invalidate(["a", "c", "unheard-of"])
    left = [(group, key) for group in "abc" for key in "12" if value_of(cache, group, key) is not None]
    assert left == [("b", "1"), ("b", "2")]
    cache.invalidate([])
    assert value_of(cache, "b", "1") == b"value"


@clause("CACHE-3")
@requires("shared")
def test_invalidation_reaches_everyone(subject: Subject, cache: Cache) -> None:
    """What one object invalidates is gone for another, and so are the leases that it holds."""
    other: Cache = subject.open()
    put(cache, "group", "key", b"old")
    assert value_of(other, "group", "key") == b"old"
    lease = lease_of(other, "group", "second")
    cache.invalidate(["group"])
    assert value_of(other, "group", "key") is None
    other.fill("group", "second", b"stale", lease=lease, ttl_s=TTL_S)
    assert value_of(cache, "group", "second") is None


@clause("CACHE-2", "CACHE-3")
def test_no_stale_fill_in_a_race(cache: Cache, rounds: int) -> None:
    """While a truth changes, each change followed by an invalidation, no reader finds what it was before."""
    truth = [0]

    def write() -> None:
        for _ in range(100 * rounds):
            truth[0] += 1
            cache.invalidate(["group"])

    def read() -> None:
        for _ in range(100 * rounds):
            acknowledged = truth[0] - 1
            found = cache.get("group", "key")
            if isinstance(found, Hit):
                assert int(found.value) >= acknowledged, "an older value than the one that was invalidated"
            elif found.lease is not None:
                cache.fill("group", "key", str(truth[0]).encode(), lease=found.lease, ttl_s=TTL_S)

    assert race([write, read, read, read]) == [None] * 4


@clause("CACHE-5")
def test_time_to_live(subject: Subject, cache: Cache) -> None:
    """An entry is gone when its time is over, and not before; others have their own time."""
    put(cache, "group", "short", b"value", ttl_s=0.3)
    put(cache, "group", "long", b"value", ttl_s=600.0)
    subject.clock.advance(0.301)
    eventually(lambda: value_of(cache, "group", "short") is None, within_s=2.0)
    assert value_of(cache, "group", "long") == b"value"


@clause("CACHE-5")
def test_time_before_it_is_over(subject: Subject, cache: Cache) -> None:
    """An entry is there while its time lasts."""
    put(cache, "group", "key", b"value", ttl_s=30.0)
    subject.clock.advance(20.0)
    assert value_of(cache, "group", "key") == b"value"


@clause("CACHE-8")
def test_a_closed_cache(cache: Cache) -> None:
    """A cache that cannot answer says so by the one error that its callers expect; closing again is no error."""
    lease = lease_of(cache, "group", "key")
    cache.close()
    cache.close()
    for call in (
        lambda: cache.get("group", "key"),
        lambda: cache.fill("group", "key", b"value", lease=lease, ttl_s=TTL_S),
        lambda: cache.invalidate(["group"]),
        cache.ping,
    ):
        with pytest.raises(CacheUnavailable):
            call()
    cache.open()
    cache.open()
    cache.ping()


def identities_of(cache: Cache) -> dict[str, str]:
    """Return what each kind of answer says of who gave it."""
    first = cache.get("identified", "key")
    if isinstance(first, Miss) and first.lease is not None:
        cache.fill("identified", "key", b"value", lease=first.lease, ttl_s=TTL_S)
    second = cache.get("identified", "key")
    answers = {f"a {type(found).__name__.lower()}": found.identity for found in (first, second)}
    return {**answers, "an invalidation": cache.invalidate(["identified"]), "a ping": cache.ping()}


def identity_of(cache: Cache) -> str:
    """Return who a cache says it is, in all its answers."""
    identities = identities_of(cache)
    assert len(set(identities.values())) == 1, f"the answers do not come from one cache: {identities}"
    return cache.ping()


@clause("CACHE-10")
def test_every_answer_says_whose_it_is(cache: Cache) -> None:
    """A hit, a miss, an invalidation and a ping name one identity: visible ASCII, and not too long to be kept."""
    identity = identity_of(cache)
    assert isinstance(identity, str)
    assert re.fullmatch(r"[ -~]{1,200}", identity), identity


@clause("CACHE-10")
def test_the_identity_lasts(subject: Subject, cache: Cache) -> None:
    """It is the same while the cache goes on answering, however long that is, and whatever it forgets."""
    before = identity_of(cache)
    for n in range(20):
        subject.clock.advance(3600.0)
        cache.invalidate([f"group-{n}"])
        assert identity_of(cache) == before
    cache.open()
    assert identity_of(cache) == before, "it was open"


@clause("CACHE-10", "CACHE-11")
@requires("shared")
def test_the_identity_is_shared(subject: Subject, cache: Cache) -> None:
    """Objects that see each other's invalidations have one identity, or each would hold the other for a stranger."""
    assert identity_of(cache) == identity_of(subject.open())


@clause("CACHE-10", "CACHE-11")
@requires("not shared")
def test_a_cache_of_its_own_has_an_identity_of_its_own(subject: Subject, cache: Cache) -> None:
    """Of two that do not see each other's invalidations neither may pass for the other."""
    assert identity_of(cache) != identity_of(subject.open())


@clause("CACHE-10", "CACHE-11")
def test_another_place_has_another_identity(subject: Subject, cache: Cache, tmp_path: Path) -> None:
    """So has a cache of the same adapter that does not hear of an invalidation, on another server or wherever it is."""
    folder = tmp_path / "another"
    folder.mkdir()
    with place(subject.target, subject.spec, folder) as elsewhere:
        other: Cache = elsewhere.open()
        put(other, "group", "key", b"value")
        cache.invalidate(["group"])
        # Without a sandbox it may be the same place.
        hears = value_of(other, "group", "key") is None
        assert (identity_of(other) == identity_of(cache)) is hears


@clause("CACHE-10", "CACHE-11")
def test_a_cache_that_lost_something(cache: Cache) -> None:
    """What was closed and opened has another identity, or nothing that it handed out or kept before counts."""
    before = identity_of(cache)
    put(cache, "group", "key", b"old")
    lease = lease_of(cache, "group", "second")
    cache.close()
    cache.open()
    if identity_of(cache) == before:
        cache.invalidate(["group"])
        cache.fill("group", "second", b"stale", lease=lease, ttl_s=TTL_S)
        assert value_of(cache, "group", "key") is None
        assert value_of(cache, "group", "second") is None


@clause("CACHE-1")
@requires("not keeps")
def test_a_cache_that_keeps_nothing(subject: Subject) -> None:
    """It has nothing, offers no lease, and objects to nothing."""
    cache: Cache = subject.open()
    assert cache.get("group", "key") == Miss(lease=None)
    cache.fill("group", "key", b"value", lease=b"lease", ttl_s=TTL_S)
    cache.invalidate(["group"])
    cache.ping()
    assert cache.get("group", "key") == Miss(lease=None)
