"""Clients that rate and read through the proxy, and hold the service to what it acknowledged."""

import http.client
import itertools
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.containers.stack import PREFIX, Answer, Client, Stack

GONE: Final = (OSError, http.client.HTTPException)
RATERS: Final = 4
READERS: Final = 2
_PAUSE_S: Final = 0.1
"""Before a client repeats what was not answered, in place of the second that it is asked to wait."""


class Traffic:
    """Half of the raters send an Idempotency-Key and repeat each rating until it is acknowledged; the others never do.

    Args:
        stack: What is rated.
        song_id: Which song.

    Attributes:
        faults: What was answered and is wrong.
        statuses: How often each status was answered; 0 is no answer.
        codes: The same of the problems' codes.
        acknowledged, unknown: Ratings that were acknowledged, and those of which it is not known.
        proxy_may_be_gone: Whether a request may remain without an answer.
    """

    def __init__(self, stack: Stack, song_id: str) -> None:
        self.faults: list[str] = []
        self.statuses: Counter[int] = Counter()
        self.codes: Counter[str] = Counter()
        self.acknowledged = 0
        self.unknown = 0
        self.proxy_may_be_gone = False
        self._path = f"{PREFIX}/songs/{song_id}/ratings"
        self._rating = {"song_id": song_id}
        self._stack = stack
        self._token = stack.sign_in("ada").token
        self._before = self._count()
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Let it flow during the block, and count afterwards."""
        threads = [
            *(threading.Thread(target=self._rate, args=(bool(number % 2),), daemon=True) for number in range(RATERS)),
            *(threading.Thread(target=self._read, daemon=True) for _ in range(READERS)),
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join(200)
        assert not any(thread.is_alive() for thread in threads)
        self._stack.wait()
        added = self._count() - self._before
        if not self.acknowledged <= added <= self.acknowledged + self.unknown:
            self.faults.append(f"{added} ratings, {self.acknowledged} acknowledged and {self.unknown} unknown")

    def wait(self, duration_s: float) -> None:
        """Let time pass, until enough was answered as well."""
        ends_s, answered = time.monotonic() + duration_s, self.acknowledged
        while time.monotonic() < ends_s or self.acknowledged < answered + 10:
            assert time.monotonic() < ends_s + 120, f"nothing is acknowledged: {self.statuses} {self.faults}"
            time.sleep(0.05)

    def report(self, what: str) -> None:
        """Print how it went: pytest shows it with -rP."""
        counted = f"{self.acknowledged} acknowledged, {self.unknown} unknown"
        print(f"{what}: {dict(self.statuses)} {dict(self.codes)}, {counted}")  # noqa: T201

    def _count(self) -> int:
        answer = self._stack.client(self._token).ask("GET", self._path)
        assert answer.status == 200, answer.body
        count: int = answer.json["count"]
        return count

    def _rate(self, keyed: bool) -> None:
        client = self._stack.client(self._token)
        for number in itertools.count():
            if self._stopping.is_set():
                return
            rating = {**self._rating, "rating": number % 5 + 1}
            headers = {"Idempotency_Key": str(uuid.uuid4())} if keyed else {}
            answer = self._ask(client, "POST", f"{PREFIX}/songs/ratings", rating, **headers)
            # A key is repeated until it is acknowledged, also when the time is over.
            while keyed and (answer is None or answer.status == 503):
                time.sleep(_PAUSE_S)
                answer = self._ask(client, "POST", f"{PREFIX}/songs/ratings", rating, **headers)
            with self._lock:
                if answer is not None and answer.status == 201:
                    self.acknowledged += 1
                elif answer is None or answer.json.get("code") == "outcome_unknown":
                    self.unknown += 1

    def _read(self) -> None:
        client = self._stack.client(self._token)
        while not self._stopping.is_set():
            acknowledged = self.acknowledged
            answer = self._ask(client, "GET", self._path)
            if answer is not None and answer.status == 200:
                seen = answer.json["count"] - self._before
                if seen < acknowledged:
                    self.faults.append(f"{acknowledged} ratings were acknowledged, and {seen} were read")

    def _ask(self, client: Client, method: str, path: str, body: object = None, **headers: str) -> Answer | None:
        may_be_gone = self.proxy_may_be_gone
        answer = None
        try:
            answer = client.ask(method, path, body, **headers)
        except GONE as error:
            if not (may_be_gone or self.proxy_may_be_gone):
                self.faults.append(f"{method} was not answered: {error!r}")
        with self._lock:
            self.statuses[answer.status if answer else 0] += 1
            if answer and answer.status >= 400:
                self.codes[answer.body.partition(b'"code":"')[2].partition(b'"')[0].decode()] += 1
        fault = answer.fault() if answer else ""
        if answer and (fault or answer.status not in {200, 201, 503}):
            self.faults.append(f"{method} {fault or answer.body!r}")
        if answer is None or answer.status == 503:
            time.sleep(_PAUSE_S)
        return answer
