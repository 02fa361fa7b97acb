"""Counts that a real server loses: what the service remembers of its windows bounds what that server says."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.limiting import limit_over

from songs.ports.limiter import RateLimit
from songs_api.http.kernel.rate_limits import Limit
from songs_redis import RedisLimiter
from songs_redis.testing import PrivateServer

RATE = RateLimit(100, 3600)


def _flush(server: PrivateServer, admin: Any) -> None:
    admin("FLUSHALL")


def _restart_empty(server: PrivateServer, admin: Any) -> None:
    (server.folder / "dump.rdb").unlink(missing_ok=True)
    server.kill()
    server.start()


def _restart_from_an_old_dump(server: PrivateServer, admin: Any) -> None:
    server.kill()
    server.start()


def _load_an_old_dump(server: PrivateServer, admin: Any) -> None:
    admin("DEBUG", "RELOAD", "NOSAVE")


def _hits(limit: Limit, times: int) -> int:
    verdicts = [limit.hit("bucket") for _ in range(times)]
    return sum(verdict is not None and verdict.allowed for verdict in verdicts)


@pytest.mark.redis
@pytest.mark.parametrize("lose", [_flush, _restart_empty, _restart_from_an_old_dump, _load_an_old_dump])
@pytest.mark.parametrize("before", [0, 30, 60, 100])
@pytest.mark.parametrize("in_outage", [0, 50])
def test_a_bucket_has_its_limit_once(
    new_redis_server: Callable[..., PrivateServer],
    new_redis_admin: Callable[[PrivateServer], Any],
    new_limiter: Callable[..., RedisLimiter],
    clock: Any,
    lose: Callable[[PrivateServer, Any], None],
    before: int,
    in_outage: int,
) -> None:
    """Whatever the server loses, and when, between a snapshot of 30 hits, an outage, and the end of the window."""
    server = new_redis_server("--enable-debug-command", "yes")
    admin = new_redis_admin(server)
    limit = limit_over(new_limiter(server.url), RATE, clock)
    allowed = _hits(limit, min(before, 30))
    admin("SAVE")
    allowed += _hits(limit, before - min(before, 30))
    if in_outage:
        admin("SAVE") if before <= 30 else None
        server.kill()
        allowed += _hits(limit, in_outage)
        server.start()
        clock.sleep(1)
    lose(server, new_redis_admin(server))
    clock.sleep(1)

    assert allowed + _hits(limit, 150) + _hits(limit, 150) == RATE.amount
