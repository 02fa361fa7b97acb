"""The clock of the machine."""

import time
from datetime import UTC, datetime


class SystemClock:
    """The clock of the operating system."""

    # Not a method: several times in each request, a call that does nothing but call another.
    monotonic_s = staticmethod(time.monotonic)

    def now(self) -> datetime:
        # A binary fraction is nearer to its millisecond than to any other microsecond.
        return datetime.fromtimestamp(time.time_ns() // 1_000_000 / 1_000, UTC)

    def sleep(self, duration_s: float) -> None:
        if duration_s > 0:
            time.sleep(duration_s)
