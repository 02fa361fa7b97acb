"""Limits over a limiter that may fail, as the application makes them."""

from songs.ports.clock import Clock
from songs.ports.limiter import RateLimit, RateLimiter
from songs_api.http.kernel.rate_limits import Limit
from songs_api.resilient_limiter import ProcessWindows, ResilientLimiter, Windows


def limit_over(
    limiter: RateLimiter,
    rate: RateLimit,
    clock: Clock,
    *,
    windows: Windows | None = None,
    processes: int = 1,
    outage_divisor: int = 1,
) -> Limit:
    """Return a limit of one of so many processes, which remember in `windows`, or each for itself."""
    if windows is None:
        windows = ProcessWindows(processes)
    return Limit("default", rate, ResilientLimiter(limiter, windows, clock, outage_divisor=outage_divisor))
