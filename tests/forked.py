"""Python with the service imported: one process imports it, and forks for each program that a test runs.

Importing takes longer than all that a server does until it answers. Real starts are the subject of
tests/servers/test_terminal.py, test_demo.py and test_refusals.py, and of tests/http/wire.

As a program, `forked.py SOCKET` takes orders from that socket: a line of JSON, and the descriptors of standard input,
output and error and of a pipe. Into the pipe go the id of the new process and, when it has ended, its exit status.
"""

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, Final

MOST_BYTES: Final = 1 << 20


class Forked:
    """A running program, with the part of `subprocess.Popen` that tests use.

    Args:
        status: Where its id comes from, and how it ended.
    """

    def __init__(self, status: IO[str]) -> None:
        self._status = status
        self.pid = int(status.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status; None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status as soon as there is one.

        Raises:
            subprocess.TimeoutExpired: It runs after so many seconds.
        """
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            self.returncode = int(self._status.readline())
            self._status.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, if it runs."""
        self.send_signal(signal.SIGKILL)


def start(
    arguments: Sequence[str],
    folder: Path,
    variables: Mapping[str, str],
    *,
    said: IO[bytes],
    complained: IO[bytes],
    told: IO[bytes] | None = None,
) -> Forked:
    """Start what `python` would with these arguments, in a folder and a session of its own.

    Args:
        arguments: A file, ``-m`` and a module, or ``-c`` and a program, and the arguments of that.
        folder: Where it runs.
        variables: All of its environment.
        said: Its standard output.
        complained: Its standard error.
        told: Its standard input; empty without.
    """
    ours, theirs = os.pipe()
    order = json.dumps([list(arguments), str(folder), dict(variables)]).encode()
    with Path(os.devnull).open("rb") as nothing:
        files = [each.fileno() for each in (told or nothing, said, complained)]
        socket.send_fds(_orders(), [order], [*files, theirs])
    os.close(theirs)
    return Forked(os.fdopen(ours))


def run(
    arguments: Sequence[str], folder: Path, variables: Mapping[str, str], *, told: str, timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Run the same until it ends; return its exit status and what it said."""
    with TemporaryFile() as given, TemporaryFile() as said, TemporaryFile() as complained:
        given.write(told.encode())
        given.seek(0)
        status = start(arguments, folder, variables, told=given, said=said, complained=complained).wait(timeout_s)
        said.seek(0)
        complained.seek(0)
        return subprocess.CompletedProcess(arguments, status, said.read().decode(), complained.read().decode())


@cache
def _orders() -> socket.socket:
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    nothing = subprocess.DEVNULL
    # In a folder that is gone at once: what remembers at its import where it is would do that for all programs.
    with theirs, TemporaryDirectory() as nowhere:
        program = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            cwd=nowhere,
            env=variables,
            stdin=nothing,
            stdout=nothing,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )

    def end() -> None:
        ours.close()
        program.wait()

    atexit.register(end)
    return ours


def main() -> None:
    """Take orders until there are no more."""
    _import_everything()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as orders:
        while True:
            order, descriptors, _, _ = socket.recv_fds(orders, MOST_BYTES, 4)
            if not order:
                sys.exit(0)
            assert threading.active_count() == 1, "a fork with threads about may never end"
            if os.fork() == 0:
                break
            for each in descriptors:
                os.close(each)
    _attend(*json.loads(order), *descriptors)


def _import_everything() -> None:
    # Not gunicorn: it remembers the folder where it is imported.
    import_module("songs_api.cli")
    for each in entry_points(group="songs.adapters"):
        each.load()
    # What was imported by now never becomes garbage, and its pages are not written to in the children.
    gc.collect()
    gc.freeze()


def _attend(arguments: list[str], folder: str, variables: dict[str, str], *descriptors: int) -> None:
    """Fork once more; become the program in the child, and say in the parent how it ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *files, status = descriptors
    child = os.fork()
    if child:
        for each in files:
            os.close(each)
        os.write(status, f"{child}\n".encode())
        _, ended = os.waitpid(child, 0)
        os.write(status, f"{os.waitstatus_to_exitcode(ended)}\n".encode())
        os._exit(0)
    os.setsid()
    for number, each in enumerate(files):
        os.dup2(each, number)
    os.closerange(len(files), max(descriptors) + 1)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    searched = [each for each in variables.get("PYTHONPATH", "").split(os.pathsep) if each not in sys.path]
    sys.path[:1] = ["", *searched]
    _become(*arguments)


def _become(kind: str, *arguments: str) -> None:
    if kind not in {"-c", "-m"}:
        sys.argv[:] = [kind, *arguments]
        sys.path[0] = str(Path(kind).parent)
        runpy.run_path(kind, run_name="__main__")
    elif kind == "-m":
        sys.argv[:] = arguments
        sys.path[0] = str(Path.cwd())
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv[:] = [kind, *arguments[1:]]
        exec(arguments[0], {"__name__": "__main__"})  # noqa: S102 - what a test wants to run


if __name__ == "__main__":
    main()
