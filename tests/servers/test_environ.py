"""What a request's environ holds, on both servers."""

import json
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.server

SECRET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"


@pytest.mark.parametrize("server", ["granian", "gunicorn"])
def test_no_secret_and_no_header_of_the_shell_is_in_a_request(start: Callable[..., Any], server: str) -> None:
    """One of them copies the environment into each request's; by then the settings and HTTP_* are gone."""
    running = start(f"{server}-program", HTTP_AUTHORIZATION="Bearer of-the-shell", CONTENT_TYPE="text/of-the-shell")

    status, body = running.get("/environ")
    environ = json.loads(body)

    assert status == 200
    assert SECRET not in body.decode()
    assert "of-the-shell" not in body.decode()
    assert [name for name in environ if name.startswith("SONGS_")] == []
