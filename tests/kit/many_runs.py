"""Runs pytest many times: one process imports the kit once, and forks for each run.

`many_runs.py READ WRITE [READ WRITE ...]`: for each two file descriptors a server, all at once. It reads orders, a line
of JSON each: ``{"arguments": [...], "folder": ..., "environment": {...}}``, and answers each with a line:
``{"status": ..., "stdout": ..., "stderr": ..., "took_s": ...}``.
"""

import contextlib
import gc
import io
import json
import os
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import strategies

KIT: Final = ["-p", "songs_contract.plugin", "-p", "no:cacheprovider", "-p", "no:randomly"]
SUITES: Final = ["--pyargs", "songs_contract.suites"]


def main() -> None:
    """Start the servers, and wait until they end."""
    numbers = [int(each) for each in sys.argv[1:]]
    _import_everything()
    servers = []
    for own in zip(numbers[::2], numbers[1::2], strict=True):
        server = os.fork()
        if server == 0:
            for each in set(numbers) - set(own):
                # One that ends must not seem to live on in the others.
                os.close(each)
            serve(*own)
            os._exit(0)
        servers.append(server)
    for each in numbers:
        os.close(each)
    for each in servers:
        os.waitpid(each, 0)


def serve(orders: int, answers: int) -> None:
    """Answer orders until there are no more."""
    with os.fdopen(orders) as taken, os.fdopen(answers, "w") as given:
        for line in taken:
            given.write(json.dumps(run(**json.loads(line))) + "\n")
            given.flush()


def run(arguments: list[str], folder: str, environment: dict[str, str]) -> dict[str, Any]:
    """Return how pytest ended and what it printed, in a process of its own with that folder and environment."""
    with tempfile.TemporaryDirectory() as kept:
        files = [Path(kept, name) for name in ("stdout", "stderr")]
        started_s = time.monotonic()
        assert threading.active_count() == 1, "a fork with threads about may never end"
        child = os.fork()
        if child == 0:
            _become(files, folder, environment)
            _end(arguments, Path(kept, "places"))
        _, status = os.waitpid(child, 0)
        stdout, stderr = (path.read_text(encoding="utf-8", errors="replace") for path in files)
    return {
        "status": os.waitstatus_to_exitcode(status),
        "stdout": stdout,
        "stderr": stderr,
        "took_s": time.monotonic() - started_s,
    }


def _import_everything() -> None:
    """Import the suites as pytest does, with its asserts, and make the tables of characters."""
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main([*KIT, "--collect-only", "-q", *SUITES, "--songs-adapter", "memory"])
    strategies.text().validate()
    # What was imported by now never becomes garbage, and its pages are not written to in the children.
    gc.collect()
    gc.freeze()
    # The children live for less than a second: looking for garbage now and then would be a tenth of their time.
    gc.set_threshold(100_000)


def _become(files: list[Path], folder: str, environment: dict[str, str]) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for number, path in enumerate(files, 1):
        written = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(written, number)
        os.close(written)
    os.close(nothing)
    os.chdir(folder)
    os.environ.update(environment)


def _end(arguments: list[str], places: Path) -> None:
    status: int = pytest.ExitCode.INTERNAL_ERROR
    try:
        status = int(pytest.main([f"--basetemp={places}", *arguments]))
    except BaseException:  # noqa: BLE001 - the child must not return to the loop of its parent
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    # Without the parent's clean-up; threads that a defect left behind end with it.
    os._exit(status)


if __name__ == "__main__":
    main()
