"""What a cached read must cost at least: one pipelined round trip with redis-py, behind the same server."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import redis


def application(url: str, ready: Path) -> Any:  # noqa: ANN401 - a WSGI application
    """Return an application that counts a hit and gets an entry, in one round trip, and answers with the entry."""
    client = redis.Redis.from_url(url)
    client.set("benchmark:entry", b'{"message":"' + 160 * b"x" + b'"}')
    ready.write_text(json.dumps({}))

    def respond(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        pipeline = client.pipeline(transaction=False)
        pipeline.incr("benchmark:hits")
        pipeline.get("benchmark:entry")
        body = pipeline.execute()[1]
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return respond
