"""Parents, standard streams and cores of the processes of a service."""

import contextlib
import itertools
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TextIO

_PR_SET_PDEATHSIG: Final = 1
_POLL_S: Final = 1.0


def end_with_parent(parent: int) -> None:
    """Let this process be killed when its parent, the process `parent`, ends.

    A main process that is killed would leave workers that go on serving unnoticed. They are killed, not stopped:
    acknowledged writes are stored, and one slow request could keep them for ever.
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


class Pinning:
    """Assigns cores to the processes that this one forks.

    `choose` is called before each fork, here; `pin` after it, in the child. The replacement of a worker that died
    gets its core: the one that the fewest living children are bound to.

    Args:
        cores: The cores; if empty, no process is bound.
    """

    def __init__(self, cores: tuple[int, ...]) -> None:
        self._cores = cores
        self._turns = itertools.cycle(range(len(cores)))
        self._chosen: int | None = None

    def choose(self) -> None:
        """Choose a core for the next child."""
        if not self._cores:
            return
        used = Counter(core for child in _children() for core in _bound_to(child))
        # Children that were forked a moment ago may not be bound yet: among equals they take turns.
        first = next(self._turns)
        self._chosen = min(self._cores[first:] + self._cores[:first], key=lambda core: used[core])

    def pin(self) -> None:
        """Bind this process, and the threads that it will start, to the core that was chosen."""
        if self._chosen is not None:
            # If it is not permitted here, it is not needed either.
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, {self._chosen})


def _children() -> Iterator[int]:
    for task in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            yield from map(int, task.read_text().split())


def _bound_to(pid: int) -> set[int]:
    """Return the core that a process is bound to, if it is bound to one."""
    try:
        cores = os.sched_getaffinity(pid)
    except OSError:
        return set()
    return cores if len(cores) == 1 else set()
