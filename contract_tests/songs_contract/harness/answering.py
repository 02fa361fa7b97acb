"""Calls of a cache or a limiter that another process asks for, each answered with what it came to."""

import json
import sys
from collections.abc import Callable
from typing import Any

from songs.ports.cache import Cache, Miss
from songs.ports.limiter import RateLimit, RateLimiter


def answer(adapter: Any) -> None:  # noqa: ANN401 - a cache or a limiter
    """Answer each line of standard input."""
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        sys.stdout.write(json.dumps(_CALLS[name](adapter, *arguments)) + "\n")
        sys.stdout.flush()


def _fill(cache: Cache, group: str, key: str, value: str) -> None:
    found = cache.get(group, key)
    assert isinstance(found, Miss)
    cache.fill(group, key, value.encode(), lease=found.lease or b"", ttl_s=600.0)


def _get(cache: Cache, group: str, key: str) -> str | None:
    found = cache.get(group, key)
    return None if isinstance(found, Miss) else found.value.decode()


def _hit(limiter: RateLimiter, bucket: str, amount: int, window_s: int) -> list[Any]:
    verdict = limiter.hit(bucket, RateLimit(amount, window_s))
    return [verdict.allowed, verdict.remaining, verdict.window]


def _give_back(limiter: RateLimiter, bucket: str, amount: int, window_s: int, window: str) -> None:
    limiter.give_back(bucket, RateLimit(amount, window_s), window)


_CALLS: dict[str, Callable[..., Any]] = {
    "fill": _fill,
    "get": _get,
    "invalidate": lambda cache, *groups: cache.invalidate(groups),
    "ping": lambda cache: cache.ping(),
    "hit": _hit,
    "give_back": _give_back,
}
