"""The service on this storage."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

PATIENCE_S = 60.0


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_the_service_answers(tmp_path: Path) -> None:
    """`songs serve` prepares the file by itself, becomes ready, and ends when it is told to."""
    port = free_port()
    variables = {"SONGS_STORAGE": "jsonfile", "SONGS_JSONFILE_PATH": str(tmp_path / "songs.jsonl")}
    log = tmp_path / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [Path(sys.executable).with_name("songs"), "serve", "--port", str(port), "--workers", "1"],
            cwd=tmp_path,
            env={**os.environ, **variables, "SONGS_JWT_SECRET": "for-this-test-" * 5},
            stdout=output,
            stderr=output,
        )
    try:
        give_up_at_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/health/ready", timeout=10) as answer:
                    assert answer.status == 200
                    break
            except urllib.error.URLError:
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < give_up_at_s, log.read_text()
                time.sleep(0.1)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(PATIENCE_S)
    assert server.returncode == 0, log.read_text()
