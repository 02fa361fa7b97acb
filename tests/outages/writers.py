"""Clients that rate songs and do not give up before each rating is acknowledged."""

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.outages.service import GONE, Client

RETRY_S = 0.02

Distributions = dict[str, Counter[int]]
"""How often each value was given to each song, by the songs' ids."""


class Writer(threading.Thread):
    """Rates songs at random, each rating under a key of its own, until told to stop.

    Attributes:
        acknowledged: The keys of ratings that were answered 201, with song and value.
        replayed: How many of those answers said that an earlier, unanswered request had stored the rating.
        refused: What was answered that is neither 201 nor 503: nothing is right then.
        codes: How often 503 was answered, by the codes of the problems.
    """

    def __init__(self, connect: Callable[[], Client], songs: list[str], stopping: threading.Event) -> None:
        super().__init__(daemon=True)
        self.acknowledged: dict[str, tuple[str, int]] = {}
        self.replayed = 0
        self.refused: list[object] = []
        self.codes: Counter[str] = Counter()
        self._client = connect()
        self._songs = songs
        self._stopping = stopping

    def run(self) -> None:
        """Rate."""
        for number in itertools.count():
            if self._stopping.is_set() or self.refused:
                return
            self.rate(f"{self.name}-{number}", random.choice(self._songs), random.randint(1, 5))

    def rate(self, key: str, song: str, value: int) -> None:
        """Rate a song once, with as many requests as it takes."""
        while True:
            try:
                answer = self._client.ask(
                    "POST", "/songs/ratings", {"song_id": song, "rating": value}, Idempotency_Key=key
                )
            except GONE:
                time.sleep(RETRY_S)
                continue
            if answer.status == 201:
                self.replayed += answer.headers.get("Idempotency-Replayed") == "true"
                self.acknowledged[key] = (song, value)
                return
            if answer.status != 503 or "Retry-After" not in answer.headers:
                self.refused.append(answer)
                return
            self.codes[answer.body["code"]] += 1
            time.sleep(RETRY_S)

    def repeat(self, count: int) -> None:
        """Send the last ratings again, as a client would that had not seen their answers."""
        for key, (song, value) in list(self.acknowledged.items())[-count:]:
            self.rate(key, song, value)


@contextmanager
def writing(connect: Callable[[], Client], songs: list[str], count: int) -> Iterator[list[Writer]]:
    """Let writers rate during the block, and then finish what each has begun."""
    stopping = threading.Event()
    writers = [Writer(connect, songs, stopping) for _ in range(count)]
    for writer in writers:
        writer.start()
    try:
        yield writers
    finally:
        stopping.set()
        for writer in writers:
            writer.join(120)
    assert not any(writer.is_alive() for writer in writers), "a rating was never acknowledged"


def acknowledged(writers: list[Writer]) -> Distributions:
    """Return what was acknowledged; fail where something was refused."""
    assert [refused for writer in writers for refused in writer.refused] == []
    found: Distributions = {}
    for writer in writers:
        for song, value in list(writer.acknowledged.values()):
            found.setdefault(song, Counter())[value] += 1
    return found


def stored(client: Client, songs: list[str]) -> Distributions:
    """Return what the service says was given to each song."""
    found: Distributions = {}
    for song in songs:
        answer = client.ask("GET", f"/songs/{song}/ratings")
        assert answer.status == 200, answer
        assert answer.body["count"] == sum(answer.body["distribution"].values())
        found[song] = Counter({int(value): count for value, count in answer.body["distribution"].items() if count})
    return {song: counts for song, counts in found.items() if counts}
