"""What granian warns of."""

import logging
import multiprocessing
import os
import signal
from collections.abc import Iterator
from multiprocessing.context import ForkProcess

import pytest

from songs_api.servers.granian import FalseWarnings

KILLING = "Killing worker-1 after it refused to gracefully stop"


@pytest.fixture
def worker() -> Iterator[ForkProcess]:
    """A process that sleeps until it is killed."""
    process = multiprocessing.get_context("fork").Process(target=signal.pause)
    process.start()
    yield process
    process.kill()
    process.join()


def _logged(text: str, pids: list[int]) -> bool:
    return FalseWarnings(lambda: pids).filter(logging.makeLogRecord({"msg": text}))


def test_a_worker_that_another_thread_saw_end_is_not_reported_as_killed(worker: ForkProcess) -> None:
    """The interpreter takes it for alive until that thread has said what it saw."""
    pid = worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

    assert worker.is_alive()
    assert not _logged(KILLING, [pid])


def test_a_worker_that_does_not_end_is_reported(worker: ForkProcess) -> None:
    """The second one too."""
    assert worker.pid is not None

    assert _logged(KILLING, [worker.pid])
    assert _logged(KILLING.replace("worker-1", "worker-2"), [0, worker.pid])


@pytest.mark.parametrize(("text", "logged"), [("Shutting down granian", True), ("8 Python threads", False)])
def test_other_lines(text: str, *, logged: bool) -> None:
    """Everything but advice about threads is logged."""
    assert _logged(text, []) is logged
