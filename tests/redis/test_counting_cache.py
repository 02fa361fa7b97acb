"""Limiter and cache in one round trip: what TOG-1 to TOG-10 cannot see of them."""

from typing import Any

import pytest

from songs.errors import LimiterUnavailable
from songs.ports.limiter import RateLimit
from songs_redis.testing import PrivateServer

LIMIT = RateLimit(2, 60)
COUNTED = b"*5\r\n:1\r\n:1\r\n:900\r\n$2\r\nab\r\n:1\r\n"


@pytest.mark.redis
def test_it_is_one_round_trip(server: PrivateServer, new_relay_to: Any, new_counting_cache: Any) -> None:
    """Counted by a relay in between: two commands go out at once."""
    relay = new_relay_to(server)
    cache = new_counting_cache(relay.url)
    cache.count_and_get("bucket", LIMIT, "group", "key")
    before = relay.round_trips

    cache.count_and_get("bucket", LIMIT, "group", "key")

    assert relay.round_trips - before == 1


@pytest.mark.parametrize(
    ("answers", "found"),
    [(COUNTED + b"-NOTPRIMARY x\r\n", None), (COUNTED + b":7\r\n", None)],
    ids=["refused", "senseless"],
)
def test_a_cache_that_cannot_answer_takes_no_verdict_away(
    new_relay: Any, new_counting_cache: Any, answers: bytes, found: None
) -> None:
    """Its entry is missing, and that is all."""
    relay = new_relay(lambda _: answers)
    cache = new_counting_cache(relay.url)

    verdict, got = cache.count_and_get("bucket", LIMIT, "group", "key")

    assert (verdict.allowed, verdict.remaining, verdict.reset_s, got) == (True, 1, 0.9, found)


@pytest.mark.parametrize(
    "answers",
    [b"-OOM x\r\n*1\r\n$3\r\nabc\r\n", b":7\r\n*1\r\n$3\r\nabc\r\n", b"*3\r\n:1\r\n:1", None],
    ids=["refused", "senseless", "cut off", "closed"],
)
def test_a_limiter_that_cannot_answer_is_unavailable(
    new_relay: Any, new_counting_cache: Any, answers: bytes | None
) -> None:
    """As when it is asked alone."""
    relay = new_relay(lambda _: answers)
    cache = new_counting_cache(relay.url, call_s=0.2)

    with pytest.raises(LimiterUnavailable):
        cache.count_and_get("bucket", LIMIT, "group", "key")
