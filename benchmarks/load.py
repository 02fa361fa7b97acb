"""The load: wrk with a list of requests, on the core that the server does not have."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from processes import LOAD_CORE, cpu_s, pinned

HERE: Final = Path(__file__).resolve().parent
CONNECTIONS: Final = 16
ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Request:
    """One request."""

    method: str
    path: str
    body: str = ""

    def line(self) -> str:
        """Return its line for requests.lua."""
        return f"{self.method} {self.path} {self.body}".rstrip()


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run of the load came to. `cpu_us` is the server's CPU time for one request."""

    per_second: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    errors: int


def wrk() -> str:
    """Return the load generator's path."""
    program = shutil.which("wrk")
    if program is None:
        raise SystemExit("There is no wrk on the PATH: apt-get install wrk, or your system's equivalent.")
    return program


def write(requests: Sequence[Request], file: Path) -> None:
    """Write down requests for `measure`."""
    file.write_text("".join(request.line() + "\n" for request in requests), encoding="utf-8")


def measure(
    file: Path, *, port: int, pid: int, token: str, duration_s: float, connections: int = CONNECTIONS
) -> Sample:
    """Send the requests of a file in turns for a while; return what came of it."""
    options = ["-t1", f"-c{connections}", f"-d{duration_s}s", "--timeout=10s", "-s", str(HERE / "requests.lua")]
    command = [wrk(), *options, f"http://127.0.0.1:{port}", "--", str(file), token]
    for _ in range(ATTEMPTS):
        before_s = cpu_s(pid)
        output = subprocess.run(pinned(LOAD_CORE, command), check=True, capture_output=True, text=True).stdout
        used_s = cpu_s(pid) - before_s
        told = json.loads(output.strip().rpartition("\n")[2])
        if told["requests"]:
            break
    else:
        raise SystemExit(
            f"No request of {file} was answered in {duration_s} s, {ATTEMPTS} times: is the machine too busy?"
        )
    return Sample(
        per_second=told["requests"] / (told["duration_us"] / 1e6),
        cpu_us=used_s / told["requests"] * 1e6,
        p50_ms=told["p50_us"] / 1000,
        p99_ms=told["p99_us"] / 1000,
        errors=told["errors"],
    )
