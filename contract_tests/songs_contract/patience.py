"""A bound on how long one test may take, so that an adapter that hangs does not hang the kit."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class OutOfPatience(BaseException):
    """A test took longer than one may: nothing is known of its clauses.

    It is no `Exception`: Hypothesis would take one for a property of the example that was running, run that example
    again, and report it as a counterexample of a clause.
    """


@contextmanager
def bounded(patience_s: float) -> Iterator[None]:
    """Raise `OutOfPatience` when the block lasts longer than `patience_s` seconds.

    It interrupts the main thread, wherever that waits. Outside of it, on systems without alarms, and where someone
    else uses the alarm (a plugin for timeouts does), it does nothing.
    """
    usable = hasattr(signal, "SIGALRM") and threading.current_thread() is threading.main_thread()
    if not usable or signal.getsignal(signal.SIGALRM) is not signal.SIG_DFL:
        yield
        return

    ran_out: list[OutOfPatience] = []

    def give_up(number: int, frame: FrameType | None) -> None:
        error = OutOfPatience(f"it did not end within {patience_s:g} s")
        ran_out.append(error)
        raise error

    signal.signal(signal.SIGALRM, give_up)
    # Again and again: an adapter may swallow the first, and what closes it may hang too.
    signal.setitimer(signal.ITIMER_REAL, patience_s, patience_s)
    try:
        yield
    except BaseException as error:
        if not ran_out or error in ran_out or error.__cause__ in ran_out:
            raise
        # Hypothesis replaces it by what it thinks of an example that was cut short.
        raise ran_out[0] from None
    else:
        if ran_out:
            raise ran_out[0]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
