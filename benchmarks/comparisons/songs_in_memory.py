"""The songs of the two services that ours is compared with: plain dicts, as one would write them first."""

import json
import os
import time
from pathlib import Path
from typing import Any

import jwt

SECRET = "a secret of the benchmark, of more than 32 bytes"  # noqa: S105
ALGORITHM = "HS256"


def load() -> tuple[dict[str, dict[str, Any]], dict[str, list[int]]]:
    """Return the songs by id, and the counters of their ratings; write down what a client must know."""
    songs: dict[str, dict[str, Any]] = {}
    with Path(os.environ["BENCHMARK_CATALOGUE"]).open(encoding="utf-8") as file:
        for number, line in enumerate(file):
            song_id = f"{number:032x}"
            songs[song_id] = {"id": song_id, **json.loads(line)}
    token = jwt.encode({"sub": "benchmark", "exp": int(time.time()) + 12 * 3600}, SECRET, algorithm=ALGORITHM)
    known = {"token": token, "ids": list(songs)[:2_000]}
    Path(os.environ["BENCHMARK_READY"]).write_text(json.dumps(known))
    return songs, {song_id: [0] * 5 for song_id in songs}


def statistics(song_id: str, counts: list[int]) -> dict[str, Any]:
    """Return what is answered for a song's ratings."""
    total = sum(counts)
    given = [value for value in range(1, 6) if counts[value - 1]]
    return {
        "song_id": song_id,
        "average": round(sum(value * n for value, n in enumerate(counts, start=1)) / total, 3) if total else None,
        "lowest": given[0] if given else None,
        "highest": given[-1] if given else None,
        "count": total,
        "distribution": {str(value): counts[value - 1] for value in range(1, 6)},
    }
