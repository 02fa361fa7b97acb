"""One client that writes and several that read everything, and hold each answer to the history."""

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import quantiles

from tests.outages.history import NOT_RATED, WORD, History, Read, ReadSong, ReadStats, Song, reads_of_all
from tests.outages.service import Answer, Client

READERS = 4
LEVELS = 3
FEWEST, MOST = 4, 8
LONGEST_PAUSE_S = 0.03
"""Between two writes: without any, nothing would ever be read from the cache."""


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

    Attributes:
        during: What goes on now: the test says.
        faults: What was answered and is wrong.
        waits: Of all requests.
        strangers: More clients to write through, of processes with other settings.
    """

    def __init__(self, connect: list[Callable[[], Client]]) -> None:
        self.during = "beginning"
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

    def ask(self, client: Client, method: str, path: str, body: object = None) -> Answer:
        """Return the answer to a request, and note how long it took and whether it should not have been given."""
        during = self.during
        answer = client.ask(method, path, body)
        self.waits.append(Wait(during, method != "GET", answer.took_s))
        if answer.status >= 500 or answer.status == 429:
            self.faults.append(f"{during}: {method} {path} was answered {answer.status}: {answer.body}")
        return answer

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
        self._history.ids[title] = answer.body["id"]
        self._history.end()

    def _rate(self, title: str, value: int) -> None:
        song = self._history.state[title]
        counts = tuple(count + (value == n) for n, count in enumerate(song.ratings, 1))
        self._history.begin({title: replace(song, ratings=counts)})
        self._send("POST", "/songs/ratings", {"song_id": self._history.ids[title], "rating": value})
        self._history.end()

    def _change(self, title: str, after: Song | None, method: str, named: str) -> None:
        self._history.begin({title: after})
        self._send(method, f"/songs/{self._history.ids[title]}", after and _body(after, named))
        self._history.end()

    def _send(self, method: str, path: str, body: object) -> Answer:
        client = random.choice([*self._clients, *self._traffic.strangers])
        answer = self._traffic.ask(client, method, path, body)
        if answer.status >= 300:
            msg = f"{method} {path} was answered {answer.status}: {answer.body}"
            raise AssertionError(msg)
        return answer


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


def _song(ratings: tuple[int, ...] = NOT_RATED) -> Song:
    return Song(random.randint(1, LEVELS), random.randint(0, 100_000), ratings)


def _body(song: Song, title: str) -> dict[str, object]:
    """Return the body of a request; one without a title changes the rest only."""
    changes: dict[str, object] = {"level": song.level, "difficulty": song.difficulty_milli / 1000}
    return {**changes, "title": title, "artist": "Queen", "released": "1975-10-31"} if title else changes
