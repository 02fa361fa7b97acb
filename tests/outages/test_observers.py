"""Nothing that observes the service ends it, holds it, or lets it grow, however logs and metrics fail."""

import contextlib
import http.client
import itertools
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Container, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests import forked
from tests.outages.disk import SmallDisk
from tests.running import SONGS, Running, environment, free_port
from tests.servers.conftest import command_of
from tests.submitted import Submitted

from songs_contract.harness.timing import eventually

pytestmark = pytest.mark.server

KINDS = ["granian", "gunicorn", "gunicorn-alone"]


def _cases(failures: Iterable[str], of_all: Container[str]) -> list[Any]:
    """Return every server with every failure; where gunicorn alone differs in nothing from `songs serve`, thorough."""
    cases = []
    for kind, failure in itertools.product(KINDS, failures):
        is_thorough = kind == "gunicorn-alone" and failure not in of_all
        cases.append(pytest.param(kind, failure, marks=[pytest.mark.thorough] if is_thorough else []))
    return cases


TOKEN = "a-token-for-those-who-watch"
MANY = 1_500
"""More than the lines of which a pipe holds, 64 KiB, whoever writes them."""
PATIENCE_S = 60.0
SOON_S = 25.0
"""Less than the 30 s after which a worker that does not end is killed."""
AT_ONCE = 40
"""More than the service has threads."""
OTHERS = ("/api/v1/health", "/docs", "/openapi.json", "/nothing", "/api/v1/songs")
MALFORMED = b"GET / HTTP/one\r\nHost: x\r\n\r\n"


@dataclass
class Output:
    """Where a service prints: `descriptor` is what it gets; None: its standard streams are closed."""

    descriptor: int | None
    reader: int | None = None

    def break_off(self) -> None:
        """Let whoever reads it go away."""
        if self.reader is not None:
            os.close(self.reader)
            self.reader = None


@contextlib.contextmanager
def _output(kind: str) -> Iterator[Output]:
    """Yield a pipe whose reader is stuck, or goes away; a full disk; or nothing at all."""
    if kind == "closed":
        yield Output(None)
        return
    if kind == "full":
        output = Output(os.open("/dev/full", os.O_WRONLY))
    else:
        reader, writer = os.pipe()
        output = Output(writer, reader)
    try:
        yield output
    finally:
        output.break_off()
        os.close(output.descriptor or -1)


@contextlib.contextmanager
def _served(kind: str, folder: Path, output: Output, **variables: str) -> Iterator[Running]:
    """Yield a service that prints to `output`."""
    port = free_port()
    command, log = command_of(kind), folder / "log"
    if command[: len(SONGS)] == SONGS:
        command = [sys.executable, "-m", "songs_api", *command[len(SONGS) :]]  # as the script that is installed
    variables = environment({"SONGS_PORT": str(port), "SONGS_THREADS": "16", **variables})
    log.touch()
    process: subprocess.Popen[bytes] | forked.Forked
    if output.descriptor is None:
        closed = ["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', *command]
        process = subprocess.Popen(closed, cwd=folder, env=variables, start_new_session=True)
    else:
        with os.fdopen(os.dup(output.descriptor), "wb") as said:
            process = forked.start(command[1:], folder, variables, said=said, complained=said)
    running = Running(process, port, log, Submitted(), int(variables["SONGS_WORKERS"]))
    try:
        running.wait_until_it_answers()
        yield running
    finally:
        running.kill()


def _malformed(port: int) -> None:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        connection.sendall(MALFORMED)
        connection.recv(1024)


def _refused(port: int, count: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    for _ in range(count):
        connection.request("GET", "/api/v1/songs")
        connection.getresponse().read()
    connection.close()


def _assert_all_threads_answer(running: Running) -> None:
    with ThreadPoolExecutor(AT_ONCE) as clients:
        answers = [clients.submit(running.get, timeout_s=PATIENCE_S) for _ in range(AT_ONCE)]
        assert {answer.result()[0] for answer in answers} == {200}


# A stream that is closed is for the main process to open; and what is stuck holds it, too.
@pytest.mark.parametrize(("kind", "output_kind"), _cases(["stuck", "broken", "full", "closed"], {"stuck", "closed"}))
def test_a_log_that_takes_nothing(tmp_path: Path, kind: str, output_kind: str) -> None:
    """Requests that are no HTTP, and refused ones, are answered, workers replaced, and SIGTERM ends the service."""
    with (
        _output(output_kind) as output,
        _served(
            kind, tmp_path, output, SONGS_LOG_LEVEL="debug", SONGS_STORAGE="sqlite", SONGS_SQLITE_PATH="s.db"
        ) as it,
    ):
        if output_kind == "broken":
            output.break_off()
        with ThreadPoolExecutor(4) as clients:
            list(clients.map(_malformed, [it.port] * MANY))
            list(clients.map(_refused, [it.port] * 4, [MANY // 4] * 4))
        _assert_all_threads_answer(it)

        (worker,) = it.children()
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: it.children() not in ([worker], []), within_s=PATIENCE_S)
        it.wait_until_it_answers()
        _assert_all_threads_answer(it)

        it.process.send_signal(signal.SIGTERM)
        assert it.process.wait(SOON_S) == 0
    assert (tmp_path / "s.db").read_bytes()[:15] == b"SQLite format 3"


def test_a_reader_that_goes_on_gets_what_was_kept(tmp_path: Path) -> None:
    """It was stopped for a while: whole lines follow, and one says how many were dropped, if any were."""
    with (
        _output("stuck") as output,
        _served("gunicorn", tmp_path, output, SONGS_LOG_FORMAT="json", SONGS_LOG_LEVEL="info") as it,
    ):
        _refused(it.port, MANY)
        for _ in range(MANY):
            it.get()
        received: list[bytes] = []
        reader = threading.Thread(target=_read_all, args=(output.reader, received))
        reader.start()
        it.process.send_signal(signal.SIGTERM)
        it.process.wait(SOON_S)
        os.close(output.descriptor or -1)
        output.descriptor = os.open(os.devnull, os.O_WRONLY)
        reader.join(PATIENCE_S)
    lines = b"".join(received).decode().splitlines()
    assert all(line.startswith(("{", "songs")) and line.isprintable() for line in lines)
    assert sum('"route":"/api/v1/health"' in line for line in lines) >= MANY


def _read_all(descriptor: int | None, received: list[bytes]) -> None:
    while descriptor is not None and (part := os.read(descriptor, 65_536)):
        received.append(part)


def _metrics(running: Running) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE_S)
    connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    assert response.status == 200, text
    return text


def _counted(running: Running, route: str = "/api/v1/health/ready") -> float:
    name = f'songs_request_duration_seconds_count{{method="GET",route="{route}",status="200"}} '
    return sum(float(line.removeprefix(name)) for line in _metrics(running).splitlines() if line.startswith(name))


@contextlib.contextmanager
def _metrics_full(folder: Path, _: Running) -> Iterator[None]:
    """The disk of the metrics is full."""
    with SmallDisk(folder).full(left_bytes=0):
        yield


@contextlib.contextmanager
def _metrics_cut(folder: Path, _: Running) -> Iterator[None]:
    """Somebody empties the files of the metrics."""
    for file in folder.iterdir():
        os.truncate(file, 0)
    yield


@contextlib.contextmanager
def _metrics_garbage(folder: Path, _: Running) -> Iterator[None]:
    """Somebody writes something else into the files of the metrics."""
    for file in folder.iterdir():
        file.write_bytes(b"\xff" * 70_000)
    yield


@contextlib.contextmanager
def _metrics_removed(folder: Path, _: Running) -> Iterator[None]:
    """Somebody removes the folder of the metrics, and makes it again."""
    moved = folder.with_name("moved")
    folder.rename(moved)
    yield
    moved.rename(folder)


@contextlib.contextmanager
def _no_growth(_: Path, running: Running) -> Iterator[None]:
    """No process of the service may write to any file."""
    pids = [running.process.pid, *running.children()]
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    yield
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


FAILURES = {
    "full": _metrics_full,
    "cut": _metrics_cut,
    "garbage": _metrics_garbage,
    "removed": _metrics_removed,
    "no-growth": _no_growth,
}


# The files are the workers', and the folder was made by the test.
@pytest.mark.parametrize(("kind", "failure"), _cases(FAILURES, {"full"}))
def test_metrics_that_cannot_be_kept(tmp_path: Path, kind: str, failure: str) -> None:
    """The same workers go on answering, every route of theirs; what they count is there again afterwards."""
    folder = tmp_path / "metrics"
    folder.mkdir()
    variables = {
        "SONGS_STORAGE": "sqlite",
        "SONGS_SQLITE_PATH": "s.db",
        "SONGS_WORKERS": "2",
        "SONGS_METRICS_TOKEN": TOKEN,
        "PROMETHEUS_MULTIPROC_DIR": str(folder),
    }
    with contextlib.ExitStack() as stack:
        if failure == "full":
            stack.enter_context(SmallDisk.mounted(2, folder))
        log = stack.enter_context((tmp_path / "output").open("ab"))
        it = stack.enter_context(_served(kind, tmp_path, Output(log.fileno()), **variables))
        for _ in range(20):
            it.get("/api/v1/health/ready")
        eventually(lambda: _counted(it) >= 20, within_s=PATIENCE_S)
        workers = it.children()
        assert len(workers) == 2

        with FAILURES[failure](folder, it):
            for path in (
                "/api/v1/health",
                "/docs",
                "/openapi.json",
                "/nothing",
                "/api/v1/songs",
                "/api/v1/health/ready",
            ):
                for _ in range(40):
                    it.get(path)
            _metrics(it)
            _assert_all_threads_answer(it)
            assert it.children() == workers

        for _ in range(20):
            it.get("/api/v1/health/ready")
        eventually(lambda: _counted(it) >= 80, within_s=PATIENCE_S)
        assert it.children() == workers
        it.process.send_signal(signal.SIGTERM)
        assert it.process.wait(SOON_S) == 0


def test_metrics_stay_exact_on_a_full_disk(tmp_path: Path, full_disk_service: Callable[..., Running]) -> None:
    """What was reserved is enough: both workers' counts are seen in every answer while the disk is full."""
    it = full_disk_service()
    before = max(_counted(it) for _ in range(8))
    for _ in range(100):
        it.get("/api/v1/health/ready")

    eventually(lambda: [_counted(it) for _ in range(8)] == [before + 100] * 8, within_s=PATIENCE_S)


@pytest.fixture
def full_disk_service(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Start a service of two workers with metrics on a small disk, and fill that."""
    folder = tmp_path / "metrics"
    folder.mkdir()
    with contextlib.ExitStack() as stack:

        def call() -> Running:
            disk = stack.enter_context(SmallDisk.mounted(2, folder))
            log = stack.enter_context((tmp_path / "output").open("ab"))
            variables = {
                "SONGS_STORAGE": "sqlite",
                "SONGS_SQLITE_PATH": "s.db",
                "SONGS_WORKERS": "2",
                "SONGS_METRICS_TOKEN": TOKEN,
                "PROMETHEUS_MULTIPROC_DIR": str(folder),
            }
            it = stack.enter_context(_served("granian", tmp_path, Output(log.fileno()), **variables))
            # The second worker may come a moment after the first one answers, and reserves its place when it comes.
            eventually((folder / "1.1").exists, within_s=PATIENCE_S)
            for _ in range(40):
                it.get("/api/v1/health/ready")
            eventually(lambda: [_counted(it) for _ in range(8)] == [40] * 8, within_s=PATIENCE_S)
            disk.fill()
            return it

        yield call


@pytest.mark.parametrize("kind", KINDS)
def test_no_room_for_metrics_at_the_start(tmp_path: Path, kind: str) -> None:
    """A disk that is full from the beginning keeps nobody from serving; a warning says what is missing."""
    folder = tmp_path / "metrics"
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        disk = stack.enter_context(SmallDisk.mounted(2, folder))
        disk.fill()
        log = stack.enter_context((tmp_path / "output").open("ab"))
        variables = {"SONGS_METRICS_TOKEN": TOKEN, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
        it = stack.enter_context(_served(kind, tmp_path, Output(log.fileno()), **variables))
        workers = it.children()
        for _ in range(20):
            it.get("/api/v1/health/ready")

        eventually(lambda: _counted(it) >= 20, within_s=PATIENCE_S)
        assert it.children() == workers
        printed = tmp_path / "output"
        eventually(lambda: "The metrics of this process cannot be kept" in printed.read_text(), within_s=PATIENCE_S)
        disk.empty()
        eventually(lambda: "are kept again" in printed.read_text(), within_s=PATIENCE_S)
