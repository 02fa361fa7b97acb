"""What 200 clients that sign in at once cost those who read meanwhile: `python benchmarks/signins.py`. Prints a table.

Run it where the service is installed. Needs wrk.
"""

import http.client
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import load
from catalogue import catalogue
from processes import SERVER_CORE, free_port, running, wait_for

CLIENTS: Final = 200
READERS: Final = 8
ROUNDS: Final = 5
ROUND_S: Final = 3
SONGS: Final = 1_000
SETTLE_S: Final = 1.0
# One client stands for many, so it must not meet the limits of one.
NO_LIMITS: Final = {f"SONGS_LIMITER_SIGN_IN{which}": "none" for which in ("", "_ADDRESS", "_USER")}


def main() -> None:
    """Measure each server and print a line of the table for it."""
    print(
        f"load average {os.getloadavg()[0]:.1f}; {CLIENTS} clients, {READERS} readers, {ROUNDS} rounds of {ROUND_S} s"
    )
    print("| server | median of reads alone | while signing in | sign-ins a second | refused a second (503) |")
    print("|---|---|---|---|---|")
    for server in ("granian", "gunicorn"):
        with tempfile.TemporaryDirectory() as folder:
            alone_ms, beside_ms, done, refused = beside_sign_ins(server, Path(folder))
        print(f"| {server} | {alone_ms:.2f} ms | {beside_ms:.2f} ms | {done:.1f} | {refused:.0f} |", flush=True)


def beside_sign_ins(server: str, folder: Path, *, rounds: int = ROUNDS) -> tuple[float, float, float, float]:
    """Return the median milliseconds of a read alone and meanwhile, and sign-ins done and refused a second."""
    port, ready, log, songs = free_port(), folder / "ready.json", folder / "log", folder / "songs.jsonl"
    songs.write_text("".join(entry.line() + "\n" for entry in catalogue(SONGS)), encoding="utf-8")
    options = [f"--server={server}", f"--port={port}", f"--catalogue={songs}", f"--ready={ready}"]
    command = [sys.executable, str(Path(__file__).parent / "service.py"), *options]
    alone, meanwhile = [], []
    statuses: Counter[int] = Counter()
    with running(command, core=SERVER_CORE, log=log, environment=NO_LIMITS, cwd=folder) as pid:
        wait_for(port, ready, pid, log)
        known = json.loads(ready.read_text())
        queries = folder / "queries"
        load.write([load.Request("GET", f"/api/v1/songs/{song}/ratings") for song in known["ids"]], queries)

        def read() -> float:
            options: dict[str, Any] = {"port": port, "pid": pid, "token": known["token"], "connections": READERS}
            sample = load.measure(queries, duration_s=ROUND_S, **options)
            if sample.errors:
                raise SystemExit(f"{sample.errors} reads failed; see {log}")
            return sample.p50_ms

        for _ in range(rounds):
            alone.append(read())
            with _signing_in(port, known, statuses):
                meanwhile.append(read())
    spent_s = rounds * ROUND_S
    if not statuses[200] or set(statuses) - {200, 503}:
        raise SystemExit(f"signing in was answered {dict(statuses)}")
    return statistics.median(alone), statistics.median(meanwhile), statuses[200] / spent_s, statuses[503] / spent_s


@contextmanager
def _signing_in(port: int, known: dict[str, Any], statuses: Counter[int]) -> Iterator[None]:
    """Let `CLIENTS` sign in again and again, and wait as they are told to, while the block lasts; count the answers."""
    body = json.dumps({"username": known["username"], "password": known["password"]})
    done, counting = threading.Event(), threading.Lock()

    def client() -> None:
        while not done.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("POST", "/api/v1/auth/login", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            connection.close()
            if done.is_set():
                return
            with counting:
                statuses[response.status] += 1
            done.wait(float(response.headers.get("Retry-After", "0")))

    clients = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for each in clients:
        each.start()
    try:
        yield
    finally:
        done.set()
        for each in clients:
            each.join()
        time.sleep(SETTLE_S)  # until the last hash is done


if __name__ == "__main__":
    main()
