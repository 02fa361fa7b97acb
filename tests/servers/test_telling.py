"""What a service of several processes tells: one set of metrics, lines of one form, nothing that is secret."""

import http.client
import json
import re
import signal
import time

import pytest
from tests.running import SECRET, Running

from .conftest import Start

TOKEN = "a-token-for-those-who-watch"
COUNT = re.compile(
    r'songs_request_duration_seconds_count\{method="GET",route="/api/v1/health/ready",status="200"\} (\d+)'
)
PATIENCE_S = 30.0

pytestmark = pytest.mark.server


def _metrics(server: Running) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    assert response.status == 200, text
    return text


def _until_counted(server: Running, count: int) -> int:
    """Return how many requests are counted, once they are at least `count`: processes count every quarter second."""
    ends_s = time.monotonic() + PATIENCE_S
    while True:
        match = COUNT.search(_metrics(server))
        found = int(match[1]) if match else 0
        if found >= count or time.monotonic() > ends_s:
            return found
        time.sleep(0.1)


@pytest.mark.parametrize("kind", ["granian", "gunicorn", "gunicorn-alone"])
def test_metrics_are_of_all_processes(start: Start, kind: str) -> None:
    """Whichever process is asked answers for all of them; the log is JSON in production, and keeps secrets."""
    server = start(
        kind,
        SONGS_WORKERS="2",
        SONGS_STORAGE="sqlite",
        SONGS_SQLITE_PATH="songs.db",
        SONGS_ENVIRONMENT="production",
        SONGS_METRICS_TOKEN=TOKEN,
    )
    for _ in range(40):
        assert server.get("/api/v1/health/ready")[0] == 200

    assert [_until_counted(server, 40) for _ in range(8)] == [40] * 8

    server.process.send_signal(signal.SIGTERM)
    server.process.wait(40)
    log = server.log.read_text()
    told = [line for line in log.splitlines() if line.startswith("{")]
    events = [json.loads(line) for line in told]
    assert sum(event.get("route") == "/api/v1/health/ready" for event in events) == 40
    assert SECRET not in log
    assert TOKEN not in log
    plain = [line for line in log.splitlines() if not line.startswith("{")]
    assert all(line.startswith(("songs-api ", "songs: ")) for line in plain), plain
