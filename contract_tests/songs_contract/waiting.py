"""Waiting for what a server's own clock decides, which the kit cannot move."""

import time
from collections.abc import Callable


def eventually(condition: Callable[[], bool], *, within_s: float) -> None:
    """Return when `condition` holds; at once where the adapter goes by the kit's own clock.

    Raises:
        AssertionError: It did not hold within `within_s` seconds.
    """
    give_up_at_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < give_up_at_s, f"did not come true within {within_s} s"
        time.sleep(0.02)
