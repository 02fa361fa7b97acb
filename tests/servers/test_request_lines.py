"""What a server believes of a request's first line: its version, and the host in a target that is a whole URL."""

import pytest

from .conftest import Default
from .raw import answer, connect

pytestmark = pytest.mark.server

HEALTH = "/api/v1/health"
WHOLE = f"http://songs.example{HEALTH}"
HOST = "Host: songs.example"


def _status_line(port: int, *lines: str) -> str:
    with connect(port) as connection:
        connection.sendall("\r\n".join((*lines, "Connection: close", "", "")).encode())
        received = b""
        while part := connection.recv(65_536):
            received += part
    return received.partition(b"\r\n")[0].decode()


@pytest.mark.parametrize(("server", "later"), [("granian", "HTTP/1.1 400"), ("gunicorn", "HTTP/1.1 200")])
def test_a_version_that_is_later_than_ours(default: Default, server: str, later: str) -> None:
    """Nobody claims to speak it: of the versions 1.x the answer is of 1.1, or a refusal; there is no other."""
    port = default(server).port

    assert _status_line(port, f"GET {HEALTH} HTTP/1.2", HOST).startswith(later)
    assert _status_line(port, f"HEAD {HEALTH} HTTP/1.9", HOST).startswith(later)
    assert _status_line(port, f"GET {HEALTH} HTTP/1.9").startswith("HTTP/1.1 400")
    for wrong in ("HTTP/2.0", "HTTP/0.9", "HTTP/1.1x", "http/1.1", "HTTP/01.1", ""):
        assert _status_line(port, f"GET {HEALTH} {wrong}", HOST).startswith("HTTP/1.1 400"), wrong
    assert _status_line(port, f"GET {HEALTH} HTTP/1.0").startswith("HTTP/1.0 200")


@pytest.mark.parametrize(("server", "without"), [("granian", 200), ("gunicorn", 400)])
def test_a_target_that_is_a_whole_url(default: Default, server: str, without: int) -> None:
    """It does not stand for the Host header but on granian, which hands over its host as if there had been one."""
    port = default(server).port
    for lines, expected in {
        (f"GET {WHOLE} HTTP/1.1", HOST): 200,
        (f"GET {WHOLE} HTTP/1.1", HOST, HOST): 400,
        (f"GET {WHOLE} HTTP/1.1",): without,
        (f"GET {HEALTH} HTTP/1.1",): 400,
    }.items():
        with connect(port) as connection:
            connection.sendall("\r\n".join((*lines, "", "")).encode())
            assert answer(connection)[0] == expected, lines
