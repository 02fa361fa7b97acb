"""A clock that stands still, and issuers and claims for the tests of songs_security."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from tests.clock import ManualClock

from songs.model import Role
from songs.ports.tokens import AccessClaims
from songs_security.tokens import JwtTokens

SECRET = b"the secret of these tests, long enough for the longest of hashes too"
# Far from the real time: a token that is judged by any other clock is refused.
START = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still but for `advance`."""
    return ManualClock(START, 0.0)


@pytest.fixture
def advance(clock: ManualClock) -> Callable[[float], None]:
    """Moves `clock` on by some seconds, or back."""
    return clock.advance


@pytest.fixture
def secret() -> bytes:
    """What the tokens of `tokens` are signed with."""
    return SECRET


@pytest.fixture
def issuer(clock: ManualClock) -> Callable[..., JwtTokens]:
    """Makes an issuer; whatever is not given is as in `tokens`."""

    def make(
        secret: bytes = SECRET, previous: bytes | None = None, name: str = "issuer", audience: str = "audience"
    ) -> JwtTokens:
        return JwtTokens(secret=secret, previous_secret=previous, issuer=name, audience=audience, clock=clock)

    return make


@pytest.fixture
def tokens(issuer: Callable[..., JwtTokens]) -> JwtTokens:
    """An issuer named ``issuer`` for ``audience``."""
    return issuer()


@pytest.fixture
def claims() -> AccessClaims:
    """Claims that are good for an hour."""
    return AccessClaims(
        token_id="t1",
        user_id="u1",
        name="ada",
        role=Role.EDITOR,
        token_version=3,
        issued_at=START,
        expires_at=START + timedelta(hours=1),
    )
