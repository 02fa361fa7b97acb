"""What cannot be served is refused in one line, with exit status 2."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.server


@pytest.fixture(params=["plain", "reuseport"])
def taken(request: pytest.FixtureRequest) -> Iterator[int]:
    """A port on which another server listens: an ordinary one, or one that shares ports as granian does."""
    with socket.socket() as other:
        if request.param == "reuseport":
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.mark.parametrize("server", ["granian", "gunicorn"])
def test_a_port_in_use_is_told(refused: Callable[..., Any], taken: int, server: str) -> None:
    """Also where the other server would share it without a word."""
    ran = refused(server, SONGS_PORT=str(taken))

    assert ran.returncode == 2
    assert f"songs: port {taken} on 127.0.0.1 is in use; stop what listens there" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("kind", ["granian", "gunicorn", "gunicorn-alone"])
@pytest.mark.parametrize(
    ("variables", "problems"),
    [
        (
            {"SONGS_STORAGE": "nosuch", "SONGS_JWT_SECERT": "x"},
            [
                "SONGS_STORAGE: there is no adapter 'nosuch'",
                "SONGS_JWT_SECERT is not a setting; did you mean SONGS_JWT",
            ],
        ),
        (
            {"SONGS_WORKERS": "2", "SONGS_ENVIRONMENT": "production"},
            ["SONGS_WORKERS: the storage 'memory' serves one process", "SONGS_STORAGE: the storage 'memory' forgets"],
        ),
    ],
    ids=["wrong", "unfit"],
)
def test_wrong_settings_are_told(
    refused: Callable[..., Any], kind: str, variables: dict[str, str], problems: list[str]
) -> None:
    """Each in a line of its own, however the server is started."""
    ran = refused(kind, **variables)

    assert ran.returncode == 2
    told = [line for line in ran.stderr.splitlines() if line.startswith("songs: ")]
    assert len(told) == len(problems)
    assert all(line.startswith(f"songs: {problem}") for line, problem in zip(told, problems, strict=True))
    assert "Traceback" not in ran.stderr
