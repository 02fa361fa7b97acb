"""Limiters whose server can be made to fail; all but one deal wrongly with that."""

from songs.errors import LimiterUnavailable
from songs.ports.clock import Clock
from songs.ports.limiter import RateLimit, Verdict
from songs_memory.limiter import MemoryLimiter
from songs_plugins import AdapterSpec

from .backends import Backend, DriverError, served_by
from .limiters import SPEC


class Served(MemoryLimiter):
    """Asks the server once for everything."""

    def __init__(self, server: Backend, clock: Clock) -> None:
        super().__init__(clock)
        self.server = server

    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Count on the server."""
        hit = super().hit
        try:
            return self.server.do(lambda: hit(bucket, limit))
        except DriverError as error:
            return self.without_answer(error)

    def give_back(self, bucket: str, limit: RateLimit, window: str) -> None:
        """Undo on the server."""
        give_back = super().give_back
        try:
            self.server.do(lambda: give_back(bucket, limit, window))
        except DriverError as error:
            raise LimiterUnavailable from error

    def without_answer(self, error: DriverError) -> Verdict:
        """Say so."""
        raise LimiterUnavailable from error


def _planted(kind: type[Served]) -> AdapterSpec:
    return served_by(Backend(), SPEC, kind)


served = _planted(Served)


class _Leaks(Served):
    def without_answer(self, error: DriverError) -> Verdict:
        """Let the driver's error through."""
        raise error


server_error_leaks = _planted(_Leaks)


class _Allows(Served):
    def without_answer(self, error: DriverError) -> Verdict:
        """Allow what was not counted."""
        return Verdict(allowed=True, remaining=0, reset_s=1.0)


silence_allows = _planted(_Allows)


class _GivesUp(Served):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Never ask a server again that failed once."""
        if self.server.failed:
            raise LimiterUnavailable
        return super().hit(bucket, limit)


server_is_given_up = _planted(_GivesUp)


class _Silent(Served):
    def without_answer(self, error: DriverError) -> Verdict:
        """Say nothing of the driver's error."""
        raise LimiterUnavailable from None


cause_is_lost = _planted(_Silent)
