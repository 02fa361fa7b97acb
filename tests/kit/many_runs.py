"""Runs pytest many times: one process imports the kit once, and forks for each run.

Reads orders from standard input, a line of JSON each: ``{"arguments": [...], "folder": ..., "environment": {...}}``.
Answers each with a line: ``{"status": ..., "stdout": ..., "stderr": ..., "took_s": ...}``.
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
    """Answer orders until there are no more."""
    _import_everything()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run(**json.loads(line))) + "\n")
        sys.stdout.flush()


def run(arguments: list[str], folder: str, environment: dict[str, str]) -> dict[str, Any]:
    """Return how pytest ended and what it printed, in a process of its own with that folder and environment."""
    with tempfile.TemporaryDirectory() as kept:
        files = [Path(kept, name) for name in ("stdout", "stderr")]
        started_s = time.monotonic()
        assert threading.active_count() == 1, "a fork with threads about may never end"
        child = os.fork()
        if child == 0:
            _become(files, folder, environment)
            _end(arguments)
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


def _end(arguments: list[str]) -> None:
    status: int = pytest.ExitCode.INTERNAL_ERROR
    try:
        status = int(pytest.main(arguments))
    except BaseException:  # noqa: BLE001 - the child must not return to the loop of its parent
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    # Without the parent's clean-up; threads that a defect left behind end with it.
    os._exit(status)


if __name__ == "__main__":
    main()
