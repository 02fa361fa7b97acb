"""Figures that are measured once: bare SQL, and the start of the demo."""

import http.client
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from processes import free_port, resident_bytes
from subjects import PREFIX


def bare_sql_us(folder: Path, *, commits: int = 2_000) -> float:
    """Return the CPU microseconds of a rating's statements and its synced commit, in a bare loop."""
    with sqlite3.connect(folder / "bare.db", isolation_level=None) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE stats (song_id TEXT PRIMARY KEY, n1 INTEGER, n2 INTEGER) WITHOUT ROWID")
        connection.execute(
            "CREATE TABLE ratings (song_id TEXT, id TEXT, user_id TEXT, value INTEGER, rated_at_ms INTEGER, key TEXT, "
            "PRIMARY KEY (song_id, id)) WITHOUT ROWID"
        )
        ids = [f"{number:032x}" for number in range(commits)]
        connection.executemany("INSERT INTO stats VALUES (?, 0, 0)", [(one,) for one in ids])
        best = float("inf")
        for start in range(0, commits, 100):
            started_s = time.process_time()
            for one in ids[start : start + 100]:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(
                    "INSERT INTO ratings SELECT ?1, ?2, ?3, ?4, ?5, ?6 "
                    "WHERE EXISTS (SELECT 1 FROM stats WHERE song_id = ?1) ON CONFLICT DO NOTHING",
                    (one, one, "user", 3, 0, None),
                )
                connection.execute("UPDATE stats SET n1 = n1 + 1 WHERE song_id = ? RETURNING n1, n2", (one,)).fetchall()
                connection.execute("COMMIT")
            best = min(best, (time.process_time() - started_s) / 100 * 1e6)
    connection.close()
    return best


def demo(folder: Path) -> dict[str, float]:
    """Return in how many seconds `songs demo` gives its first answer, and the memory of the idle service."""
    port = free_port()
    command = [sys.executable, "-m", "songs_api.cli", "demo", f"--port={port}"]
    program = Path(sys.executable).with_name("songs")
    starts: list[float] = []
    size = 0.0
    for _ in range(3):
        started_s = time.perf_counter()
        process = subprocess.Popen(
            [str(program), *command[3:]], cwd=folder, stdout=subprocess.DEVNULL, env={"PATH": os.environ["PATH"]}
        )
        try:
            while not _is_healthy(port):
                time.sleep(0.005)
            starts.append(time.perf_counter() - started_s)
            time.sleep(1)
            size = resident_bytes(process.pid)
        finally:
            process.terminate()
            process.wait(10)
    return {"demo start s": min(starts), "demo idle MB": size / 1e6}


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", f"{PREFIX}/health")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
