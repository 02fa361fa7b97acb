"""Groups and keys of caches: no two are taken for one another, however near they are."""

from collections.abc import Sequence

import pytest

from songs.ports.cache import Cache, Hit
from songs_contract.harness.driver import lease_of
from songs_contract.harness.near_misses import SEPARATORS, any_texts, joined_alike
from songs_contract.law import clause, requires
from songs_plugins import Port

PORT = Port.CACHE

LONGEST = 1_200
Name = tuple[str, str]


def fill_all(cache: Cache, names: Sequence[Name]) -> None:
    """Fill an entry of its own under each name."""
    for n, (group, key) in enumerate(names):
        cache.fill(group, key, str(n).encode(), lease=lease_of(cache, group, key), ttl_s=600.0)


def missing(cache: Cache, names: Sequence[Name]) -> list[Name]:
    """Return the names under which there is not what `fill_all` put there."""
    return [name for n, name in enumerate(names) if cache.get(*name) != Hit(str(n).encode())]


@clause("CACHE-6")
@requires("keeps")
@pytest.mark.parametrize("position", [0, 1], ids=["group", "key"])
def test_near_misses(cache: Cache, position: int) -> None:
    """A name that is nearly another one is another one."""
    names = [(text, "same") if position == 0 else ("same", text) for text in any_texts(LONGEST)]
    fill_all(cache, names)
    assert missing(cache, names) == []


@clause("CACHE-6")
@requires("keeps")
def test_joined_names(cache: Cache) -> None:
    """Group and key are told apart whatever joins them, and whatever they hold themselves."""
    pairs = [name for separator in SEPARATORS for both in joined_alike(separator) for name in both]
    names = list(dict.fromkeys(pairs))
    fill_all(cache, names)
    assert missing(cache, names) == []


@clause("CACHE-3", "CACHE-6")
@requires("keeps")
def test_only_the_group_itself_is_invalidated(cache: Cache) -> None:
    """Those whose names are nearly the same stay."""
    invalidated, *others = [(text, "key") for text in any_texts(LONGEST)]
    fill_all(cache, [invalidated, *others])
    cache.invalidate([invalidated[0]])
    assert missing(cache, [invalidated, *others]) == [invalidated]
