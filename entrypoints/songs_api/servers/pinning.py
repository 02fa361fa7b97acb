"""A core for each worker, so that its threads do not fight for the interpreter's lock across cores."""

import contextlib
import itertools
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path


class Pinning:
    """Deals out cores to the processes that this one forks.

    `choose` is called before each fork, here; `pin` after it, in the child. Whoever takes the place of a worker that
    died gets its core: the one that the fewest living children are bound to.

    Args:
        cores: The cores; none: nobody is bound to any.
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
            # What is not permitted here is not needed either.
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
