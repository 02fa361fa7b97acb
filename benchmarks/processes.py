"""Starting what is measured on one core, and asking the operating system how much of it was used."""

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SERVER_CORE: Final = 0
LOAD_CORE: Final = 1
START_S: Final = 300.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def pinned(core: int | None, command: Sequence[str]) -> list[str]:
    """Return the command that runs `command` on one core; unchanged for None, and where there is only one."""
    if core is not None and (os.cpu_count() or 1) > max(SERVER_CORE, LOAD_CORE):
        return ["taskset", "--cpu-list", str(core), *command]
    return list(command)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str], *, core: int | None, log: Path, environment: Mapping[str, str], cwd: Path
) -> Iterator[int]:
    """Run a program on one core, or on all, while the block lasts; yield its process id. What it says goes to `log`."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            pinned(core, command),
            stdout=output,
            stderr=output,
            cwd=cwd,
            env={"PATH": os.environ["PATH"], **environment},
            start_new_session=True,
        )
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Run a Redis server beside the load, without saving anything; yield its URL."""
    program = shutil.which("redis-server")
    if program is None:
        raise SystemExit("There is no redis-server on the PATH; install it, or leave out what needs it with --only.")
    port = free_port()
    command = [program, f"--port {port}", "--bind 127.0.0.1", "--save", "", "--appendonly no"]
    with running(command, core=LOAD_CORE, log=folder / "redis.log", environment={}, cwd=folder):
        yield f"redis://127.0.0.1:{port}/0"


def wait_for(port: int, ready: Path, pid: int, log: Path) -> None:
    """Return once the server answers and has written what clients must know."""
    ends_s = time.monotonic() + START_S
    while time.monotonic() < ends_s:
        if ready.exists() and _answers(port):
            return
        if not Path(f"/proc/{pid}").exists() or _is_zombie(pid):
            break
        time.sleep(0.05)
    raise SystemExit(f"A server did not start; the end of {log}:\n{log.read_text(errors='replace')[-2000:]}")


def cpu_s(pid: int) -> float:
    """Return the seconds of CPU time that a process and its living descendants used."""
    used = 0.0
    for one in (pid, *_descendants(pid)):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            used += (int(fields[11]) + int(fields[12])) / _TICKS
    return used


def resident_bytes(pid: int) -> int:
    """Return the memory of a process and its descendants, what they share counted once (proportionally)."""
    size = 0
    for one in (pid, *_descendants(pid)):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    size += int(line.split()[1]) * 1024
    return size


def _descendants(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in task.read_text().split():
                yield int(child)
                yield from _descendants(int(child))


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True
