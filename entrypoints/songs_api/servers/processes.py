"""Processes of a service: their parents, standard streams, cores and signals.

The first Ctrl-C stops gracefully, the second ends at once, and workers follow their main process alone. A terminal
sends its signals to every process of the foreground group, and some supervisors do the same. A worker that gets one of
its own beside its main process' is stopped twice at the same moment; granian's handlers deadlock then.
"""

import contextlib
import itertools
import os
import queue
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, TextIO

from songs_api.servers.options import GRACE_S
from songs_api.telemetry.logs import say

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


def exists(pid: int) -> bool:
    """Return whether there is a process of this id; one that has ended counts until its parent has seen that."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


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


INTERRUPTED: Final = 128 + signal.SIGINT
"""The exit status after a second Ctrl-C."""
_STOPS: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
_ONE_PRESS_S: Final = 0.3
"""A program that runs the service may pass on the signal that the terminal sent to both."""
_AT_ONCE_S: Final = 2.0
_MAIN_PROCESS_S: Final = 5.0
_STOPPING: Final = (
    f"songs: stopping; requests that were begun are answered, for at most {GRACE_S} s. Ctrl-C again ends at once."
)


class StopSignals:
    """Acts on the signals of a server's main process, in a thread of its own.

    The handlers only put the signal into a queue, which is safe anywhere: a handler that takes a lock deadlocks when it
    interrupts the thread that holds it.

    SIGTERM, the first SIGINT and, at a terminal, SIGHUP stop gracefully. SIGQUIT and a second SIGINT kill the workers.
    SIGHUP without a terminal is left to `hang_up`; it stays ignored where it is, as under ``nohup``.

    Args:
        stop: Stops the server gracefully; further calls do nothing.
        workers: Returns the process ids of the workers.
        hang_up: Handles SIGHUP without a terminal; None leaves SIGHUP as it is.

    Attributes:
        asked: Whether a stop was requested; true before stopping begins.
        status: The exit status if the workers were killed; else None.
    """

    def __init__(
        self,
        stop: Callable[[], None],
        workers: Callable[[], Iterable[int]],
        hang_up: Callable[[], None] | None = None,
    ) -> None:
        self.asked = False
        self.status: int | None = None
        self._stop = stop
        self._workers = workers
        self._hang_up = hang_up
        self._at_terminal = at_terminal()
        self._ignores_hang_up = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._queue: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._interrupted_at_s: float | None = None
        # A shell makes what it starts the leader of a group: then nobody but workers got the terminal's signal as well.
        self._one_press_s = 0.0 if os.getpgrp() == os.getpid() else _ONE_PRESS_S

    def install(self) -> None:
        """Begin to act, in place of the handlers that are there. Called by the main thread."""
        signals = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT]
        if self._ignores_hang_up:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        elif self._at_terminal or self._hang_up is not None:
            signals.append(signal.SIGHUP)
        # A main process that replaces itself is forked like a worker.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS | {signal.SIGQUIT})
        threading.Thread(target=self._run, daemon=True, name="signals").start()
        for each in signals:
            signal.signal(each, self._note)

    def _note(self, number: int, _: object) -> None:
        self.asked = self.asked or number != signal.SIGHUP or self._at_terminal
        self._queue.put(number)

    def _run(self) -> None:
        while True:
            self._act(self._queue.get(), time.monotonic())

    def _act(self, number: int, now_s: float) -> None:
        if number == signal.SIGQUIT:
            self._end(128 + number)
        elif number == signal.SIGHUP and not self._at_terminal:
            if self._hang_up is not None:
                self._hang_up()
        elif number == signal.SIGINT and self._interrupted_at_s is not None:
            if now_s - self._interrupted_at_s > self._one_press_s:
                self._end(INTERRUPTED)
        else:
            if number == signal.SIGINT:
                self._interrupted_at_s = now_s
                _say(_STOPPING)
            self._stop()

    def _end(self, status: int) -> None:
        self.status = status
        self._stop()
        deadline_s = time.monotonic() + _AT_ONCE_S
        while time.monotonic() < deadline_s:
            # Again and again: one may be being started at this moment.
            for pid in list(self._workers()):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        os._exit(status)


def at_terminal() -> bool:
    """Return whether this process was started at a terminal."""
    return any(os.isatty(descriptor) for descriptor in (0, 1, 2))


def _say(line: str) -> None:
    # In a thread of its own: a terminal that is stopped (Ctrl-S) must not keep the next signal waiting.
    threading.Thread(target=say, args=(line,), daemon=True, name="notice").start()


def shield_workers() -> None:
    """Let processes that this one forks from now on not receive what a terminal sends to its foreground group.

    The signals are blocked, not ignored: servers set handlers of their own in a worker, and every thread that it will
    start inherits this. SIGTERM is blocked as well until the worker has a handler that does what it asks for
    (`obey_first_sigterm`, `obey_sigterm`): the one that it inherits would lose it, and the service not end for 30 s.
    """
    before = threading.local()

    def block() -> None:
        before.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)

    def restore() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before.mask)

    os.register_at_fork(before=block, after_in_parent=restore)


def obey_sigterm() -> None:
    """Let SIGTERM call the handler that is set now. Called by the main thread of a worker that was shielded."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def obey_first_sigterm(parent: int) -> None:
    """Let the first SIGTERM, and no other one, call the handler that is set by then; without one, end the process.

    The handler runs in a thread of its own, and so interrupts nothing, not even itself. Called in a worker that was
    shielded from SIGTERM, or by its main thread before there are others.

    Args:
        parent: The main process. On Linux a signal from anybody else is obeyed 5 s later, unless the main process
            sends its own before: it may have got the same one, and would take a worker that is gone too soon for one
            that failed, and replace it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    threading.Thread(target=_wait_for_sigterm, args=(parent,), daemon=True, name="sigterm").start()


def _wait_for_sigterm(parent: int) -> None:
    if sys.platform == "linux":
        received: signal.struct_siginfo | None = signal.sigwaitinfo({signal.SIGTERM})
        ends_s = time.monotonic() + _MAIN_PROCESS_S
        # Others may send it more than once.
        while received is not None and received.si_pid != parent:
            received = signal.sigtimedwait({signal.SIGTERM}, max(0.0, ends_s - time.monotonic()))
    else:
        signal.sigwait({signal.SIGTERM})
    handler = signal.getsignal(signal.SIGTERM)
    if callable(handler):
        handler(signal.SIGTERM, None)
    else:
        os._exit(128 + signal.SIGTERM)


def end_with(stop_signals: StopSignals) -> None:
    """End the process with the status of `stop_signals`, if there is one."""
    if stop_signals.status is not None:
        sys.exit(stop_signals.status)
