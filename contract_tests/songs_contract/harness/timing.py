"""Time: a bound on how long one test may take, and waiting for what a server's own clock decides."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, TypeVar
from uuid import uuid4

from songs_contract.harness.subject import Subject
from songs_contract.report.explanations import OutOfPatience

T = TypeVar("T")

CHILD_S: Final = 30.0
"""How long a child may take that was forked off, on a busy machine."""


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


def eventually(condition: Callable[[], bool], *, within_s: float) -> None:
    """Return when `condition` holds; at once where the adapter goes by the kit's own clock.

    Raises:
        AssertionError: It did not hold within `within_s` seconds.
    """
    give_up_at_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < give_up_at_s, f"did not come true within {within_s} s"
        time.sleep(0.02)


def elapse(subject: Subject, duration_s: float) -> None:
    """Let `duration_s` seconds pass.

    An adapter in this process goes by the kit's clock, which is moved. A shared one may go by a server's clock, which
    the kit cannot move: then they really pass, so a suite asks for a second or two at most.
    """
    subject.clock.advance(duration_s)
    if subject.declares("shared"):
        time.sleep(duration_s)


def while_it_lasts(subject: Subject, lasts_s: float, look: Callable[[str], T], times: int = 5) -> T:
    """Return what `look` saw of a window or an entry that lasts `lasts_s` seconds, and began after `look` did.

    On a busy machine more time may pass than the test lets pass. What was seen after the end says nothing, so it looks
    again: it judges nothing itself, and is given a name of its own each time, for a bucket or a group.

    Raises:
        OutOfPatience: Each of `times` attempts took too long; nothing is known.
    """
    for _ in range(times):
        began_s = _now_s(subject)
        seen = look(f"attempt-{uuid4().hex}")
        if _now_s(subject) - began_s < lasts_s:
            return seen
    msg = f"{times} times what takes less than {lasts_s:g} s took longer"
    raise OutOfPatience(msg)


def _now_s(subject: Subject) -> float:
    # A shared adapter may go by a server's clock: the kit's own is ahead of it by all that it was moved.
    return time.monotonic() if subject.declares("shared") else subject.clock.monotonic_s()
