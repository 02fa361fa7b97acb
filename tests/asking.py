"""Requests that a test makes again and again, straight through WSGI."""

import io
import json
from collections.abc import Callable
from typing import Any

from falcon import testing

from songs.ports.clock import Deadline
from songs_api.bootstrap.container import Container
from songs_api.http.app import create_app

Ask = Callable[[], None]


def asker(container: Container, deadline: Deadline) -> Callable[..., Ask]:
    """Register a user; return a function that makes a request of theirs, of a path and perhaps a body.

    What it returns makes the request each time that it is called, and fails unless the status is 2xx.
    """
    accounts = container.accounts()
    token = accounts.token_for(accounts.register("someone", "a long passphrase", deadline=deadline)).access_token
    app: Any = create_app(container.services())

    def asking(path: str, body: object = None) -> Ask:
        text = b"" if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {token}"}
        if text:
            headers |= {"Content-Type": "application/json", "Content-Length": str(len(text))}
        environ = testing.create_environ(f"/api/v1{path}", method="POST" if text else "GET", headers=headers)
        statuses: list[str] = []

        def ask() -> None:
            environ["wsgi.input"] = io.BytesIO(text)
            for _ in app(environ, lambda status, *_: statuses.append(status)):
                pass
            assert statuses.pop()[0] == "2"

        return ask

    return asking
