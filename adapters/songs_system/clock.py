"""The clock of the machine."""

import time
from datetime import UTC, datetime

from songs.model import whole_milliseconds


class SystemClock:
    """What the operating system says."""

    def now(self) -> datetime:
        return whole_milliseconds(datetime.now(UTC))

    def monotonic_s(self) -> float:
        return time.monotonic()

    def sleep(self, duration_s: float) -> None:
        if duration_s > 0:
            time.sleep(duration_s)
