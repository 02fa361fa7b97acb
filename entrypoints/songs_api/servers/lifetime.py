"""What every process of a service holds on to: its parent, and its standard streams."""

import os
import signal
import sys
import threading
import time
from typing import Final, TextIO

_PR_SET_PDEATHSIG: Final = 1
_POLL_S: Final = 1.0


def end_with_parent(parent: int) -> None:
    """Let this process be killed when its parent, the process `parent`, ends.

    A server's main process that is killed leaves workers that go on serving, unknown to anyone. They are not asked but
    killed: whatever was acknowledged is stored, and one slow request could keep them for ever.
    """
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - workers only need it

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True, name="parent").start()
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


_closed: Final[set[str]] = set()


def open_standard_streams() -> None:
    """Open what is closed of standard input, output and error as the device that takes everything and holds nothing.

    Else the next file that is opened gets its number, and what is printed there ends up in a database.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
            _closed.add(name)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115 - a number


def was_closed(name: str) -> bool:
    """Return whether the standard stream of this name, such as ``stdin``, was closed when the program began."""
    return name in _closed or getattr(sys, name) is None


def discard(stream: TextIO) -> None:
    """Let a standard stream that cannot be written take everything, so that nothing stumbles over it again."""
    descriptor = os.open(os.devnull, os.O_WRONLY)
    os.dup2(descriptor, stream.fileno())
    os.close(descriptor)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_S)
    os.kill(os.getpid(), signal.SIGKILL)
