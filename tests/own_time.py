"""Time that is this process's own: what a busy machine adds to it is no matter of what a test looks at."""

import time
from pathlib import Path


class Stopwatch:
    """Measures from when it is made."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._kept_s = _kept_waiting_s()

    @property
    def passed_s(self) -> float:
        """How long ago that is."""
        return time.monotonic() - self._began_s

    @property
    def took_s(self) -> float:
        """How long it took, without what threads of this process spent ready to run while others had the cores."""
        return self.passed_s - sum(
            kept_s - self._kept_s.get(thread, 0.0) for thread, kept_s in _kept_waiting_s().items()
        )


def _kept_waiting_s() -> dict[str, float]:
    kept_s = {}
    for each in Path("/proc/self/task").glob("*/schedstat"):  # Linux has it; elsewhere nothing is taken off
        try:
            kept_s[each.parent.name] = int(each.read_text().split()[1]) / 1e9
        except (OSError, IndexError):  # the thread is gone
            continue
    return kept_s
