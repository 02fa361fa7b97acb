"""Signals at a terminal, where every process of the service gets them, and from a supervisor."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.running import HANGS_S, environment, free_port
from tests.servers.terminal import INTERRUPT, QUIT, Terminal

# Five starts, each of some seconds on a busy machine, are one test.
pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]

SOON_S = 20.0
"""Well below the 30 s after which a server kills a worker that does not end."""
MANY = pytest.param(10, marks=[pytest.mark.thorough, pytest.mark.timeout(600)])
HALF = (
    b"POST /api/v1/auth/register HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
)

MODULE = [sys.executable, "-m", "songs_api"]
COMMANDS = {
    "demo": ["demo"],
    "granian": ["serve", "--server", "granian"],
    "granian-two": ["serve", "--server", "granian", "--workers", "2"],
    "gunicorn": ["serve", "--server", "gunicorn"],
    "gunicorn-two": ["serve", "--server", "gunicorn", "--workers", "2"],
}

PASSES_ON = """
import signal, subprocess, sys
program = subprocess.Popen(sys.argv[1:])
signal.signal(signal.SIGINT, lambda number, _: program.send_signal(number))
sys.exit(program.wait())
"""
RUNNER = (sys.executable, "-c", PASSES_ON)
"""A program that runs another one and passes on the signal that both get."""
FORKS = """
import os, signal
from songs_api.servers.processes import StopSignals, obey_sigterm, shield_workers
StopSignals(lambda: None, list).install()
shield_workers()
child = os.fork()
if not child:
    os.kill(os.getpid(), signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
    obey_sigterm()
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
SENDS = """
import os, signal, subprocess, time
from pathlib import Path
from songs_api.servers import processes

processes._MAIN_PROCESS_S = 600.0
main, (ours, theirs) = os.getpid(), os.pipe()
worker = os.fork()
if worker == 0:
    signal.alarm(600)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
    processes.obey_first_sigterm(main)
    os.write(theirs, b".")
    time.sleep(600)
os.read(ours, 1)
for _ in range(3):
    subprocess.run(["kill", "-TERM", str(worker)], check=True)
    while "ShdPnd:\t0000000000000000" not in Path(f"/proc/{worker}/status").read_text():
        time.sleep(0.01)
print("runs" if os.waitpid(worker, os.WNOHANG)[0] == 0 else "ended", flush=True)
os.kill(worker, signal.SIGTERM)
print(os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]))
"""
BEGUN = {"granian-two": "Spawning worker-2", "gunicorn-two": "Booting worker"}

At = Callable[..., Terminal]


@pytest.fixture
def at_terminal(tmp_path: Path) -> Iterator[At]:
    """Start a command of `COMMANDS` at a terminal, and wait until it answers unless told otherwise."""
    started: list[Terminal] = []

    def call(kind: str, *, wait: bool = True, runner: tuple[str, ...] = ()) -> Terminal:
        port = free_port()
        variables = environment({"SONGS_PORT": str(port), "SONGS_STORAGE": "sqlite", "SONGS_SQLITE_PATH": "songs.db"})
        started.append(Terminal([*runner, *MODULE, *COMMANDS[kind]], tmp_path, variables, port))
        if wait:
            started[-1].read_until("curl" if kind == "demo" else "documentation http")
        return started[-1]

    yield call
    for terminal in started:
        terminal.end()


def _assert_gone(terminal: Terminal) -> None:
    ends_s = time.monotonic() + SOON_S
    while terminal.members():
        assert time.monotonic() < ends_s, "there are orphans"
        time.sleep(0.02)


@pytest.mark.parametrize("times", [1, MANY])
@pytest.mark.parametrize("kind", COMMANDS)
def test_ctrl_c(at_terminal: At, kind: str, times: int) -> None:
    """It says that it stops, ends well before its workers would be killed, and leaves nobody behind."""
    for _ in range(times):
        terminal = at_terminal(kind)

        terminal.press(INTERRUPT)

        assert terminal.status(SOON_S) == 0
        assert "Ctrl-C again ends at once" in terminal.screen
        assert "refused to gracefully stop" not in terminal.screen
        assert "Traceback" not in terminal.screen
        _assert_gone(terminal)


@pytest.mark.parametrize("times", [1, MANY])
@pytest.mark.parametrize("kind", COMMANDS)
def test_a_signal_that_comes_twice(at_terminal: At, kind: str, times: int) -> None:
    """From the terminal and from a program that runs it, which passes on what it gets: that is one Ctrl-C."""
    for _ in range(times):
        terminal = at_terminal(kind, runner=RUNNER)

        terminal.press(INTERRUPT)

        assert terminal.status(SOON_S) == 0
        _assert_gone(terminal)


@pytest.mark.parametrize("times", [2, MANY])
@pytest.mark.parametrize("kind", ["granian-two", "gunicorn-two"])
def test_sigterm_to_the_whole_group(at_terminal: At, kind: str, times: int) -> None:
    """Some supervisors send it to every process."""
    for _ in range(times):
        terminal = at_terminal(kind)

        os.killpg(terminal.process.pid, signal.SIGTERM)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(terminal.process.pid, signal.SIGTERM)

        assert terminal.status(SOON_S) == 0
        assert "Ctrl-C" not in terminal.screen.replace("^C", "")
        assert "Unexpected exit" not in terminal.screen
        _assert_gone(terminal)


@pytest.mark.parametrize("times", [2, MANY])
@pytest.mark.parametrize("kind", BEGUN)
def test_sigterm_to_the_whole_group_while_workers_start(at_terminal: At, kind: str, times: int) -> None:
    """None of them loses it: the service would wait 30 s for that one, and kill it."""
    for _ in range(times):
        terminal = at_terminal(kind, wait=False)
        terminal.read_until(BEGUN[kind])

        os.killpg(terminal.process.pid, signal.SIGTERM)

        assert terminal.status(SOON_S) == 0
        assert "Traceback" not in terminal.screen
        _assert_gone(terminal)


def test_sigterm_to_a_worker_without_a_handler() -> None:
    """What comes between the fork and the worker's handler waits for that, and is not the inherited one's."""
    run = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, check=False, timeout=SOON_S)

    assert run.stdout == "7\n", run.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say who sent a signal")
def test_sigterm_of_others_more_than_once() -> None:
    """A worker goes on waiting for that of its main process: it does not take the second of a supervisor for it."""
    run = subprocess.run([sys.executable, "-c", SENDS], capture_output=True, text=True, check=False, timeout=HANGS_S)

    assert run.stdout == "runs\n7\n", run.stderr


@pytest.mark.parametrize("kind", ["granian", "gunicorn"])
def test_two_presses_of_ctrl_c(at_terminal: At, kind: str) -> None:
    """However fast they follow each other, they are two where a shell started it: nobody passes on the first one."""
    terminal = at_terminal(kind)
    with socket.create_connection(("127.0.0.1", terminal.port)) as slow:
        slow.sendall(HALF)
        time.sleep(0.5)
        terminal.press(INTERRUPT)
        terminal.read_until("Ctrl-C again ends at once")

        terminal.press(INTERRUPT)

        assert terminal.status(SOON_S) == 130
    _assert_gone(terminal)


@pytest.mark.parametrize("kind", ["granian", "gunicorn"])
def test_the_second_ctrl_c_ends_at_once(at_terminal: At, kind: str) -> None:
    """A request that is not over holds the first one, for 30 s at most, and not the second."""
    terminal = at_terminal(kind)
    with socket.create_connection(("127.0.0.1", terminal.port)) as slow:
        slow.sendall(HALF)
        time.sleep(0.5)
        terminal.press(INTERRUPT)
        terminal.read_until("Ctrl-C again ends at once")
        time.sleep(1.0)
        assert terminal.process.poll() is None

        terminal.press(INTERRUPT)

        assert terminal.status(SOON_S) == 130
    _assert_gone(terminal)


@pytest.mark.parametrize("kind", ["granian-two", "gunicorn-two"])
def test_quitting_ends_at_once(at_terminal: At, kind: str) -> None:
    """Ctrl-backslash waits for nobody."""
    terminal = at_terminal(kind)
    with socket.create_connection(("127.0.0.1", terminal.port)) as slow:
        slow.sendall(HALF)
        time.sleep(0.5)

        terminal.press(QUIT)

        assert terminal.status(SOON_S) != 0
    _assert_gone(terminal)


@pytest.mark.parametrize("kind", ["demo", "granian-two", "gunicorn-two"])
def test_ctrl_c_while_it_starts(at_terminal: At, kind: str) -> None:
    """At whatever moment: it ends, without a traceback and without orphans."""
    for moment_s in (0.0, 0.2, 0.5, 1.0, 1.5):
        terminal = at_terminal(kind, wait=False)
        terminal.wait_until_signals_are_its_own()
        terminal.read_for(moment_s)

        terminal.press(INTERRUPT)

        assert terminal.status(SOON_S) in {0, 130, -signal.SIGINT}, terminal.screen
        assert "Traceback" not in terminal.screen, terminal.screen
        _assert_gone(terminal)


@pytest.mark.parametrize("kind", ["demo", "granian-two", "gunicorn-two"])
def test_a_terminal_that_is_closed(at_terminal: At, kind: str) -> None:
    """The service ends with its window, workers included."""
    terminal = at_terminal(kind)

    terminal.hang_up()

    terminal.process.wait(SOON_S)
    _assert_gone(terminal)
