"""The watch over all tests of this folder can see: what is submitted and comes back, or is logged, fails a test."""

import logging
from typing import Any

import falcon
import pytest
from tests.submitted import Submitted

from .conftest import WatchedClient

TEXT = "something nobody else knows"


def _echo(environ: Any, start_response: Any) -> list[bytes]:
    body = (
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        + environ.get("HTTP_AUTHORIZATION", "").encode()
    )
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


@pytest.mark.parametrize(
    "sent",
    [
        {"json": {"password": TEXT}},
        {"json": {"new_password": [TEXT]}},
        {"json": {"refresh_token": {"in": TEXT}}},
        {"headers": {"Authorization": f"Bearer {TEXT.replace(' ', '-')}"}},
    ],
)
def test_an_answer_that_repeats_a_secret_fails(sent: dict[str, Any]) -> None:
    """A password or a token in a body or a header, at any depth."""
    client = WatchedClient(_echo, Submitted())

    with pytest.raises(AssertionError, match="repeats a secret"):
        client.simulate_post("/", **sent)


def test_an_answer_that_repeats_anything_else_does_not() -> None:
    """Names and songs may come back."""
    assert WatchedClient(_echo, Submitted()).simulate_post("/", json={"username": TEXT}).status == falcon.HTTP_200


def test_a_log_that_repeats_a_secret_is_seen(caplog: pytest.LogCaptureFixture) -> None:
    """The message with its arguments, and the traceback with what an error says."""
    submitted = Submitted()
    submitted.note({"password": TEXT})
    logging.getLogger("test").error("failed with %s", "what?", exc_info=ValueError(TEXT))

    assert submitted.found_in(logging.Formatter().format(caplog.records[-1])) == [TEXT]
