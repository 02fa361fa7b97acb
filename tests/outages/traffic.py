"""One client that writes and several that read everything, and hold each answer to the history."""

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import quantiles

from tests.outages.disk import SmallDisk
from tests.outages.history import EVERYTHING, NOT_RATED, WORD, History, Read, ReadSong, ReadStats, Song, reads_of_all
from tests.outages.service import Answer, Client

READERS = 4
LEVELS = 3
FEWEST, MOST = 4, 8
LONGEST_PAUSE_S = 0.03
"""Between two writes: without any, nothing would ever be read from the cache."""
UNKNOWN = "outcome_unknown"
CODES_OF_A_FULL_DISK = frozenset({"storage_unavailable", UNKNOWN})
DONE_BEFORE = frozenset({("POST", 409), ("DELETE", 404)})
"""What a write is answered when it is repeated and was done before."""


@dataclass(frozen=True, slots=True)
class Wait:
    """How long one request took, and what went on when it was sent."""

    during: str
    write: bool
    took_s: float


class Traffic:
    """The clients.

    Args:
        connect: Each makes a client of one of the processes.
        disk: That of the storage: writes may be refused while it is full.

    Attributes:
        during: What goes on now: the test says.
        faults: What was answered and is wrong.
        refused: How many writes were refused as the disk was full, by the codes of the problems.
        waits: Of all requests.
        strangers: More clients to write through, of processes with other settings.
    """

    def __init__(self, connect: list[Callable[[], Client]], disk: SmallDisk | None = None) -> None:
        self.during = "beginning"
        self.refused: Counter[str] = Counter()
        self._disk = disk
        self.faults: list[str] = []
        self.waits: list[Wait] = []
        self.strangers: list[Client] = []
        self._connect = connect
        self._history = History()
        self._stopping = threading.Event()

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Let it flow during the block."""
        writer = _Writer(self, self._history, [connect() for connect in self._connect])
        for _ in range(FEWEST):
            writer.add()
        threads = [threading.Thread(target=self._guarded, args=(writer.write,), daemon=True)]
        for _ in range(READERS):
            reader = _Reader(self, self._history, [connect() for connect in self._connect])
            threads.append(threading.Thread(target=self._guarded, args=(reader.read,), daemon=True))
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join(120)

    def wait(self, during: str, duration_s: float) -> None:
        """Let time pass, or as much of it as passes until something is wrong."""
        self.during = during
        ends_s = time.monotonic() + duration_s
        while time.monotonic() < ends_s and not self.faults:
            time.sleep(0.05)

    def ask(self, client: Client, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """Return the answer to a request, and note how long it took and whether it should not have been given."""
        during, began = self.during, self._changes_of_disk()
        answer = client.ask(method, path, body, **headers)
        self.waits.append(Wait(during, method != "GET", answer.took_s))
        if method != "GET" and (began % 2 or began != self._changes_of_disk()) and _is_refused(answer):
            self.refused[answer.body["code"]] += 1
        elif answer.status >= 500 or answer.status == 429:
            self.faults.append(f"{during}: {method} {path} was answered {answer.status}: {answer.body}")
        return answer

    def _changes_of_disk(self) -> int:
        return 0 if self._disk is None else self._disk.changes

    def report(self) -> str:
        """Return a table of the waits, in milliseconds."""
        lines = [f"{'':24} {'requests':>8} {'median':>8} {'99 %':>8} {'longest':>8}"]
        for write, during in sorted({(wait.write, wait.during) for wait in self.waits}):
            took_ms = self.took_ms(during, write=write)
            cuts = quantiles(took_ms, n=100) if len(took_ms) > 1 else took_ms * 99
            name = f"{'write' if write else 'read'}, {during}"
            lines.append(f"{name:24} {len(took_ms):8} {cuts[49]:8.1f} {cuts[98]:8.1f} {max(took_ms):8.1f}")
        return "\n".join(lines)

    def took_ms(self, during: str, *, write: bool) -> list[float]:
        """Return how long the reads, or the writes, of some time took."""
        return [1000 * wait.took_s for wait in self.waits if (wait.during, wait.write) == (during, write)]

    def _guarded(self, each: Callable[[], None]) -> None:
        try:
            while not self._stopping.is_set() and not self.faults:
                each()
        except Exception as error:  # noqa: BLE001 - whatever ends a thread is a fault
            self.faults.append(f"{self.during}: {error!r}")


class _Writer:
    """Adds, changes, rates and removes songs, through one process and another."""

    def __init__(self, traffic: Traffic, history: History, clients: list[Client]) -> None:
        self._traffic = traffic
        self._history = history
        self._clients = clients
        self._numbers = itertools.count()

    def write(self) -> None:
        """Make one change."""
        title = random.choice(sorted(self._history.state))
        songs = len(self._history.state)
        if songs < FEWEST or (songs < MOST and random.random() < 0.15):
            self.add()
        elif songs == MOST or random.random() < 0.15:
            self._change(title, None, "DELETE", "")
        elif random.random() < 0.5:
            self._rate(title, random.randint(1, 5))
        else:
            after = _song(self._history.state[title].ratings)
            self._change(title, after, *random.choice([("PUT", title), ("PATCH", "")]))
        time.sleep(random.uniform(0, LONGEST_PAUSE_S))

    def add(self) -> None:
        """Add a song."""
        title, song = f"{WORD}-{next(self._numbers)}", _song()
        self._history.begin({title: song})
        answer = self._send("POST", "/songs", _body(song, title))
        if answer is not None:
            self._history.ids[title] = answer.body["id"] if answer.status == 201 else self._find(title)
        self._end(answer)

    def _rate(self, title: str, value: int) -> None:
        song = self._history.state[title]
        counts = tuple(count + (value == n) for n, count in enumerate(song.ratings, 1))
        self._history.begin({title: replace(song, ratings=counts)})
        body = {"song_id": self._history.ids[title], "rating": value}
        self._end(self._send("POST", "/songs/ratings", body, Idempotency_Key=f"rating-{next(self._numbers)}"))

    def _change(self, title: str, after: Song | None, method: str, named: str) -> None:
        self._history.begin({title: after})
        self._end(self._send(method, f"/songs/{self._history.ids[title]}", after and _body(after, named)))

    def _end(self, answer: Answer | None) -> None:
        if answer is None:
            self._history.refuse()
        else:
            self._history.end()

    def _send(self, method: str, path: str, body: object, **headers: str) -> Answer | None:
        """Return the answer to a write that was done, perhaps by an earlier try; None if it was refused."""
        maybe_done = False
        while True:
            client = random.choice([*self._clients, *self._traffic.strangers])
            answer = self._traffic.ask(client, method, path, body, **headers)
            if answer.status < 300 or (maybe_done and (method, answer.status) in DONE_BEFORE):
                return answer
            maybe_done = maybe_done or (answer.status == 503 and answer.body["code"] == UNKNOWN)
            if answer.status != 503 or self._traffic.faults:
                msg = f"{method} {path} was answered {answer.status}: {answer.body}"
                raise AssertionError(msg)
            if not maybe_done:
                return None
            time.sleep(LONGEST_PAUSE_S)

    def _find(self, title: str) -> str:
        """Return the id of a song whose adding was not confirmed."""
        found = self._traffic.ask(self._clients[0], "GET", f"/songs/search?message={title}&{EVERYTHING}")
        (song_id,) = (song["id"] for song in found.body["data"] if song["title"] == title)
        return str(song_id)


class _Reader:
    """Reads anything, through one process and another."""

    def __init__(self, traffic: Traffic, history: History, clients: list[Client]) -> None:
        self._traffic = traffic
        self._history = history
        self._clients = clients

    def read(self) -> None:
        """Read once, and note as a fault what is older than it may be, or never was."""
        titles = list(self._history.ids)
        title = random.choice(titles[-2 * MOST :])
        song_id = self._history.ids[title]
        of_one: list[Read] = [ReadSong(title, song_id), ReadStats(title, song_id)]
        read = random.choice([*of_one, *of_one, *reads_of_all(random.randint(1, LEVELS), title)])
        acknowledged = self._history.acknowledged
        answer = self._traffic.ask(random.choice(self._clients), "GET", read.path)
        possible = [read.expected(state) for state in self._history.states[acknowledged:]]
        if answer.status < 500 and read.seen(answer) not in possible:
            self._traffic.faults.append(
                f"{self._traffic.during}: {read.path} showed {read.seen(answer)}, which was not "
                f"{' or '.join(map(str, possible))}, as acknowledged before it began"
            )


def _is_refused(answer: Answer) -> bool:
    """Return whether the answer is that to a write for which a full disk has no room."""
    return answer.status == 503 and "Retry-After" in answer.headers and answer.body["code"] in CODES_OF_A_FULL_DISK


def _song(ratings: tuple[int, ...] = NOT_RATED) -> Song:
    return Song(random.randint(1, LEVELS), random.randint(0, 100_000), ratings)


def _body(song: Song, title: str) -> dict[str, object]:
    """Return the body of a request; one without a title changes the rest only."""
    changes: dict[str, object] = {"level": song.level, "difficulty": song.difficulty_milli / 1000}
    return {**changes, "title": title, "artist": "Queen", "released": "1975-10-31"} if title else changes
