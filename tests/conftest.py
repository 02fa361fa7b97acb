"""What every test of the project may rely on."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import redis

from songs_redis.testing import PROGRAM, PrivateServer

hypothesis.settings.register_profile("songs", deadline=None, print_blob=True)


def pytest_configure() -> None:
    """Keep a developer's settings out of the tests; SONGS_TEST_* variables say where real servers are."""
    hypothesis.settings.load_profile("songs")
    for name in list(os.environ):
        if name.startswith("SONGS_") and not name.startswith("SONGS_TEST_"):
            del os.environ[name]
    os.environ["no_proxy"] = "127.0.0.1,localhost,::1"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Let `-n auto` start two workers a core: half of the time of the tests is waiting for what they started."""
    return 2 * (len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1)


TOGETHER = {
    "tests/postgres/": "the server of a process",
    "tests/http/wire/": "the servers of the wire",
    "tests/servers/test_early_answers.py": "the default servers",
    "tests/servers/test_request_lines.py": "the default servers",
    "tests/page/": "the browser",
    "tests/clients/test_generated_clients.py::test_a_": "a generated client",
}
"""Beginnings of the names of tests that one process runs, and what these share."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let `--dist loadscope` give each process one test after the other, or all at once of those that share something.

    pytest-xdist 3.8 has `loadgroup` for this, which with pytest 9.2 groups nothing.
    """
    if config.getvalue("dist") != "loadscope":
        return None
    # Only where it is installed.
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # noqa: PLC0415

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc] # pytest-xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            return next((shared for beginning, shared in TOGETHER.items() if nodeid.startswith(beginning)), nodeid)

    return Scheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of servers first, in their random order: none of the long ones is left when the others are done."""
    items.sort(key=lambda item: item.get_closest_marker("server") is None)


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The folder that holds pyproject.toml."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def project_files(project_root: Path) -> list[Path]:
    """Every file that a commit holds or would hold: tracked, or neither tracked nor ignored."""
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=project_root,
        check=True,
        capture_output=True,
        text=True,
    )
    files = [project_root / name for name in sorted(set(listing.stdout.split("\0")) - {""})]
    return [file for file in files if file.is_file()]


@pytest.fixture
def new_redis_server(tmp_path: Path) -> Iterator[Callable[..., PrivateServer]]:
    """Starts a redis-server with options; skips the test where there is no such program."""
    if shutil.which(PROGRAM) is None:
        pytest.skip(f"there is no {PROGRAM} on the PATH")
    made: list[PrivateServer] = []

    def start(*options: str) -> PrivateServer:
        folder = tmp_path / f"server-{len(made)}"
        folder.mkdir()
        made.append(PrivateServer(folder, *options))
        made[-1].start()
        return made[-1]

    yield start
    for server in made:
        server.remove()


@pytest.fixture
def new_redis_admin() -> Iterator[Callable[[PrivateServer], Callable[..., Any]]]:
    """Makes a function that sends one command to a server, as its operator would."""
    made: list[Any] = []

    def make(server: PrivateServer) -> Callable[..., Any]:
        made.append(redis.Redis(unix_socket_path=str(server.socket), protocol=2))
        return made[-1].execute_command  # type: ignore[no-any-return]

    yield make
    for each in made:
        each.close()
