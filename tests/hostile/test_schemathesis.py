"""schemathesis reads our OpenAPI document and tries to catch the service doing anything else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import API, Launch

pytestmark = [pytest.mark.server, pytest.mark.timeout(1_800)]

CONFIGURATION = Path(__file__).parent / "schemathesis.toml"
SHORT, LONG = 3, 60

# Without a token whatever is not public is 401 (G4), also a method that a path does not have: not 405.
AS_NOBODY = ["--exclude-checks", "unsupported_method"]
# An admin that changes users may well change itself: the rest is asked as an editor.
AS_ADMIN = ["--include-operation-id", "list_users", "--include-operation-id", "change_user"]


def _run(folder: Path, port: int, examples: int, *options: str) -> subprocess.CompletedProcess[str]:
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        *("--config-file", str(CONFIGURATION), "run", f"http://127.0.0.1:{port}/openapi.json"),
        *("--checks", "all", "--max-examples", str(examples), "--no-color", "--warnings", "off", *options),
    ]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "NO_PROXY": "127.0.0.1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def _examine(launch: Launch, folder: Path, server: str, storage: str, who: str, examples: int) -> None:
    target = launch(server, storage)
    token = target.token(who) if who != "nobody" else ""
    options = ["--header", f"Authorization: Bearer {token}"] if token else AS_NOBODY
    if who == "admin":
        options += AS_ADMIN

    ran = _run(folder, target.port, examples, *options)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    print(ran.stdout[ran.stdout.rfind("Test cases:") :])  # noqa: T201 - how many requests were made
    if who == "editor":
        # Otherwise the rest of the run would have been about refusals only.
        assert target.ask("GET", f"{API}/songs", token=token)[0] == 200
    assert "Traceback" not in target.log.read_text()


@pytest.mark.parametrize(
    ("server", "storage", "who"), [("granian", "memory", "editor"), ("gunicorn", "sqlite", "nobody")]
)
def test_the_service_does_what_its_document_says(
    launch: Launch, tmp_path: Path, server: str, storage: str, who: str
) -> None:
    """Some hundred requests, valid, invalid, and in sequences: each answer is documented, and none a 500."""
    _examine(launch, tmp_path, server, storage, who, SHORT)


@pytest.mark.thorough
@pytest.mark.parametrize("server", ["granian", "gunicorn"])
@pytest.mark.parametrize("storage", ["memory", "sqlite"])
@pytest.mark.parametrize("who", ["editor", "admin", "nobody"])
def test_the_service_does_what_its_document_says_at_length(
    launch: Launch, tmp_path: Path, server: str, storage: str, who: str
) -> None:
    """The same with thousands of requests, on each server and storage."""
    _examine(launch, tmp_path, server, storage, who, LONG)
