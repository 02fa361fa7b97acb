"""The order of ids between threads, and between processes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from songs.ports.ids import IdGenerator
from songs_contract.harness.subject import Subject, plain
from songs_contract.law import clause
from songs_plugins import Port

PORT = Port.IDS


@pytest.fixture
def others(subject: Subject) -> Iterator[list[Callable[[], str]]]:
    """Return functions, each of which lets another process make an id."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", "songs_contract.harness.processes"]
    children: list[subprocess.Popen[str]] = []

    def start() -> Callable[[], str]:
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=environment
        )
        children.append(child)
        requests, answers = child.stdin, child.stdout
        assert requests is not None
        assert answers is not None
        requests.write(
            json.dumps({"target": subject.target, "settings": plain(subject.settings), "task": "ids"}) + "\n"
        )

        def new_id() -> str:
            requests.write("\n")
            return answers.readline().rstrip("\n")

        return new_id

    yield [start(), start()]
    for child in children:
        child.communicate(timeout=30)


@clause("IDS-2")
def test_order_between_threads(subject: Subject) -> None:
    """An id is greater than every id that any thread was given before."""
    ids: IdGenerator = subject.build()
    with ExitStack() as stack:
        threads = [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(3)]
        # In turns, so that several of them have one in the same millisecond, whatever else the machine does.
        made = [thread.submit(ids.new_id).result(30) for _ in range(300) for thread in threads]
    assert made == sorted(set(made))


@clause("IDS-1", "IDS-3")
def test_order_between_processes(subject: Subject, others: list[Callable[[], str]]) -> None:
    """Ids of several processes are in the order of time when the milliseconds are others."""
    ids: IdGenerator = subject.build()
    made: list[str] = []
    for _ in range(20):
        for new_id in (ids.new_id, *others):
            made.append(new_id())
            moment_ms = time.time_ns() // 1_000_000
            while time.time_ns() // 1_000_000 <= moment_ms:
                pass
    assert "" not in made, "a process could not make an id"
    assert made == sorted(set(made))
