"""A bound on how long one test may take: an adapter that hangs fails a clause, and does not hang the kit."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest


@contextmanager
def bounded(patience_s: float) -> Iterator[None]:
    """Fail the test when the block lasts longer than `patience_s` seconds.

    It interrupts the main thread, wherever that waits. Outside of it, on systems without alarms, and where someone
    else uses the alarm (a plugin for timeouts does), it does nothing.
    """
    usable = hasattr(signal, "SIGALRM") and threading.current_thread() is threading.main_thread()
    if not usable or signal.getsignal(signal.SIGALRM) is not signal.SIG_DFL:
        yield
        return

    def give_up(number: int, frame: FrameType | None) -> None:
        pytest.fail(f"a call did not return within {patience_s:g} s")

    signal.signal(signal.SIGALRM, give_up)
    # Again and again: hypothesis takes the first failure for one of the test's, and calls the test once more.
    signal.setitimer(signal.ITIMER_REAL, patience_s, patience_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
