"""Kinds of servers, started and ended for one test; and those that will not start."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.running import HANGS_S, SONGS, Running, environment, free_port

PROGRAM = Path(__file__).parent / "program.py"


Start = Callable[..., Running]
Default = Callable[[str], Running]
Refused = Callable[..., subprocess.CompletedProcess[str]]


def command_of(kind: str) -> list[str]:
    """Return how a kind of server is started: by `songs serve`, by gunicorn alone, or the program of these tests."""
    server, _, program = kind.partition("-")
    if program == "program":
        return [sys.executable, str(PROGRAM), server]
    if program == "alone":
        return [sys.executable, "-m", "gunicorn", "-c", "python:songs_api.servers.gunicorn", "songs_api.wsgi:app"]
    return [*SONGS, "serve", "--server", server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a kind of server with some variables, wait until it answers, and end it after the test."""
    started: list[Running] = []

    def call(kind: str, **variables: str) -> Running:
        started.append(Running.start(command_of(kind), tmp_path, free_port(), variables))
        started[-1].wait_until_it_answers()
        return started[-1]

    yield call
    for running in started:
        running.stop()
    assert [running.told() for running in started] == [[] for _ in started]


@pytest.fixture(scope="session")
def default(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Default]:
    """Return the server of a kind that has no settings of its own: tests share it, and leave it as it was."""
    started: dict[str, Running] = {}

    def get(kind: str) -> Running:
        if kind not in started:
            started[kind] = Running.start(command_of(kind), tmp_path_factory.mktemp(kind), free_port(), {})
            started[kind].wait_until_it_answers()
        return started[kind]

    yield get
    for running in started.values():
        running.stop()
    assert [running.told() for running in started.values()] == [[] for _ in started]


@pytest.fixture
def refused(tmp_path: Path) -> Refused:
    """Start a kind of server that will not start, and return what it said."""

    def call(kind: str, **variables: str) -> subprocess.CompletedProcess[str]:
        variables = environment({"SONGS_PORT": str(free_port()), **variables})
        return subprocess.run(
            command_of(kind), cwd=tmp_path, env=variables, capture_output=True, text=True, check=False, timeout=HANGS_S
        )

    return call
