"""A limiter's server that fails: for adapters whose descriptor says how to make it."""

from typing import Literal

import pytest

from songs.errors import LimiterUnavailable
from songs.ports.limiter import RateLimit, RateLimiter
from songs_contract.harness.subject import Subject
from songs_contract.harness.timing import eventually
from songs_contract.law import clause
from songs_plugins import FaultInjector, Port

PORT = Port.LIMITER

LIMIT = RateLimit(100, 60)
REST_S = 10.0


@clause("LIM-6")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_server_that_fails(subject: Subject, injector: FaultInjector, when: Literal["before", "after"]) -> None:
    """The hit ends with the one error, neither allowed nor refused, and soon after the server works hits do again."""
    limiter: RateLimiter = subject.open()
    assert limiter.hit("bucket", LIMIT).allowed
    injector.fail_at(1, when=when)
    with pytest.raises(LimiterUnavailable) as hit:
        limiter.hit("bucket", LIMIT)
    injector.fail_at(1, when=when)
    with pytest.raises(LimiterUnavailable) as given_back:
        limiter.give_back("bucket", LIMIT, "window")
    assert hit.value.__cause__ is not None, "what the driver raised is not the cause"
    assert given_back.value.__cause__ is not None, "what the driver raised is not the cause"
    injector.heal()

    def works() -> bool:
        try:
            return limiter.hit("bucket", LIMIT).allowed
        except LimiterUnavailable:
            return False

    # It may leave the server alone for a while.
    subject.clock.advance(REST_S)
    eventually(works, within_s=REST_S)
    limiter.close()
