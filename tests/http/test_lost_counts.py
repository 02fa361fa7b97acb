"""A limiter that loses its counts, or does not answer, allows nobody more than the limit."""

from collections.abc import Mapping

import pytest

from songs.ports.limiter import RateLimit
from songs_api.http.routes import PREFIX
from songs_api.parts import HttpOptions, Limits

from .conftest import Build, Service

LIMIT = RateLimit(amount=10, window_s=60)
OPTIONS = HttpOptions(limits=Limits(default=LIMIT))
OF_TWO = HttpOptions(limits=Limits(default=LIMIT, processes=2))


def _allowed(service: Service, headers: Mapping[str, str], times: int) -> int:
    """Return how many of so many requests were answered."""
    answers = [service.client.simulate_get(f"{PREFIX}/songs", headers=headers).status_code for _ in range(times)]
    assert set(answers) <= {200, 429}
    return answers.count(200)


def test_counts_that_are_lost(build: Build) -> None:
    """When the limiter starts anew in the middle of a window, the window goes on."""
    service = build(OPTIONS)
    ada, limiter = service.join("ada"), service.parts.limiter
    allowed = _allowed(service, ada, 6)
    service.parts.clock.sleep(30)
    limiter.close()
    limiter.open()

    assert allowed + _allowed(service, ada, 10) == LIMIT.amount


@pytest.mark.xfail(strict=True, reason="a process does not know what others used since it last heard what was left")
def test_processes_without_their_limiter(build: Build) -> None:
    """What is left when the limiter ends is left once, and not once for each process."""
    one = build(OF_TWO)
    other = build(OF_TWO, replaced={"storage": one.parts.storage, "limiter": one.parts.limiter})
    ada = one.join("ada")
    allowed = _allowed(one, ada, 4) + _allowed(other, ada, 2)
    one.parts.limiter.close()

    assert allowed + _allowed(one, ada, 10) + _allowed(other, ada, 10) <= LIMIT.amount
