"""A bulkhead for request bodies: caps how many are received at once, and for how long."""

import logging
import threading
import weakref
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from songs.ports.clock import Clock
from songs_api.http.failures import TooManyBodies

CONNECTION: Final = "songs_api.connection"
"""Where a server puts the `Connection` of a request that has a body into its WSGI environment."""
WAIT_S: Final = 1.0
GRACE_S: Final = 0.5
"""How long a body has its slot to itself; after that it gives way to one that waits."""
_POLL_S: Final = 0.25
_log: Final = logging.getLogger(__name__)


class LastAnswer(NamedTuple):
    """What is answered on a connection that ends with it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Connection(Protocol):
    """What a body arrives on."""

    def cut(self, answer: LastAnswer) -> None:
        """Wake the thread that reads the body, whose read ends early. Called by another thread, at most once.

        A server that cannot wake it otherwise sends `answer` and closes the connection; the reader's own is then lost.
        """
        ...


def has_body(environ: Mapping[str, Any]) -> bool:
    """Return whether a request announces a body."""
    return environ.get("CONTENT_LENGTH", "0") not in {"", "0"} or "HTTP_TRANSFER_ENCODING" in environ


class Slot:
    """A body that is being received.

    Attributes:
        client: Who sends it.
        known: Whether they have a valid token.
        since_s: When they began.
        was_cut: Whether it took too long: what was received of it does not count.
    """

    __slots__ = ("_answer", "_connection", "client", "known", "since_s", "was_cut")

    def __init__(
        self, client: str, *, known: bool, connection: Connection | None, answer: Callable[[], LastAnswer]
    ) -> None:
        self.client = client
        self.known = known
        self.since_s = 0.0
        self.was_cut = False
        self._connection = connection
        self._answer = answer

    @property
    def can_be_cut(self) -> bool:
        """Whether it can be ended, and was not yet."""
        return self._connection is not None and not self.was_cut

    def cut(self) -> None:
        """Wake its reader."""
        try:
            if self._connection is not None:
                self._connection.cut(self._answer())
        except Exception:  # noqa: BLE001 - logged
            # Neither whoever looks after all bodies nor one that waits may end by what a server does here.
            _log.exception("a body that takes too long could not be cut")


class _Waiting:
    __slots__ = ("decided", "refused", "slot")

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.decided = threading.Event()
        self.refused = False

    def decide(self, *, refused: bool) -> None:
        self.refused = refused
        self.decided.set()


class BodySlots:
    """Slots for bodies that are being received. Thread-safe.

    Half of the request threads receive bodies at most, and half of these for clients without a token, so that whoever
    has one is never kept waiting by those who do not. A body may take `timeout_s`. When a client waits because all
    slots are taken, a body that has been coming for `GRACE_S` gives way: one of the client that holds most slots, the
    oldest of these; and places to wait are shared in the same way. So a client holds more than its share only while
    nobody else wants it, and bodies that arrive at once never wait for long for those that do not.

    Args:
        request_threads: How many requests the server works on at once.
        clock: The monotonic clock.
        timeout_s: How long a body may take.
        wait_s: How long to wait for a slot.
        grace_s: How long a body keeps its slot while others wait.
    """

    def __init__(
        self,
        *,
        request_threads: int,
        clock: Clock,
        timeout_s: float,
        wait_s: float = WAIT_S,
        grace_s: float = GRACE_S,
    ) -> None:
        self._clock = clock
        self._timeout_s = timeout_s
        self._wait_s = wait_s
        self._grace_s = grace_s
        self._slots = max(1, request_threads // 2)
        self._places = max(1, request_threads // 4)
        self._held: dict[Slot, None] = {}  # the oldest first
        self._strangers = 0
        # Those with a token, and those without.
        self._waiting: dict[bool, deque[_Waiting]] = {True: deque(), False: deque()}
        self._lock = threading.Lock()
        self._watched = False

    def take(
        self, client: str, *, known: bool, connection: Connection | None, answer: Callable[[], LastAnswer]
    ) -> Slot:
        """Return a slot, at once or after a wait; `release` has to be called with it.

        Args:
            client: Who sends the body, as the rate limits tell clients apart.
            known: Whether they have a valid token.
            connection: What it comes on; None: it cannot be cut.
            answer: Makes what is answered if it takes too long.

        Raises:
            TooManyBodies: No slot came; nothing was read.
        """
        slot = Slot(client, known=known, connection=connection, answer=answer)
        with self._lock:
            if connection is not None and not self._watched:
                self._watched = True
                _Watch(self, self._clock).start()
            if not self._waiting[known] and self._has_room(known=known):
                self._hold(slot)
                return slot
            if not self._has_place(known=known) and not self._makes_place(slot):
                raise TooManyBodies
            waiting = _Waiting(slot)
            self._waiting[known].append(waiting)
        self._wait(waiting)
        return slot

    def release(self, slot: Slot) -> bool:
        """Give a slot back; return whether its body counts: it does not if it took too long."""
        with self._lock:
            del self._held[slot]
            self._strangers -= not slot.known
            self._hand_over()
            return not slot.was_cut

    def cut_overdue(self) -> None:
        """Cut the bodies that took longer than they may."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            # They began in their order, but for those that had to wait, which differ by less than that.
            overdue = [slot for slot in self._held if slot.can_be_cut and now_s - slot.since_s >= self._timeout_s]
            for slot in overdue:
                slot.was_cut = True
        for slot in overdue:
            slot.cut()

    @property
    def held(self) -> int:
        """How many bodies are being received."""
        return len(self._held)

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return sum(map(len, self._waiting.values()))

    def _has_room(self, *, known: bool) -> bool:
        return len(self._held) < self._slots and (known or self._strangers < (self._slots + 1) // 2)

    def _has_place(self, *, known: bool) -> bool:
        strangers = len(self._waiting[False])
        return self.waiting < self._places and (known or strangers < (self._places + 1) // 2)

    def _makes_place(self, slot: Slot) -> bool:
        """Refuse one that waits, in favour of a client that holds and waits for less; return whether there was one."""
        clients = Counter(held.client for held in self._held)
        clients.update(waiting.slot.client for queue in self._waiting.values() for waiting in queue)
        most = clients[slot.client] + 1
        found: _Waiting | None = None
        for waiting in (*self._waiting[False], *(self._waiting[True] if slot.known else ())):
            if slot.known > waiting.slot.known:
                found = waiting
                break
            if clients[waiting.slot.client] > most:
                found, most = waiting, clients[waiting.slot.client]
        if found is None:
            return False
        self._waiting[found.slot.known].remove(found)
        found.decide(refused=True)
        return True

    def _hold(self, slot: Slot) -> None:
        slot.since_s = self._clock.monotonic_s()
        self._held[slot] = None
        self._strangers += not slot.known

    def _hand_over(self) -> None:
        for known, queue in self._waiting.items():
            while queue and self._has_room(known=known):
                waiting = queue.popleft()
                self._hold(waiting.slot)
                waiting.decide(refused=False)

    def _wait(self, waiting: _Waiting) -> None:
        known = waiting.slot.known
        ends_s = self._clock.monotonic_s() + self._wait_s
        victim: Slot | None = None
        while True:
            now_s = self._clock.monotonic_s()
            if victim is None:
                victim = self._cut_for(now_s, known=known)
            left_s = ends_s - now_s
            # Who holds the slots now may have them for too long before the wait is over.
            if waiting.decided.wait(max(0.0, left_s if victim else min(left_s, self._grace_s / 4))):
                break
            if self._clock.monotonic_s() >= ends_s:
                with self._lock:
                    if not waiting.decided.is_set():
                        self._waiting[known].remove(waiting)
                        waiting.refused = True
                break
        if waiting.refused:
            raise TooManyBodies

    def _cut_for(self, now_s: float, *, known: bool) -> Slot | None:
        """Cut the body that is to give way to one that waits, and return it; None where all came a moment ago."""
        with self._lock:
            # Where strangers have all that they may have, another one waits for one of them.
            only_strangers = not known and self._strangers >= (self._slots + 1) // 2
            old = [
                slot
                for slot in self._held
                if slot.can_be_cut and now_s - slot.since_s >= self._grace_s and not (only_strangers and slot.known)
            ]
            if not old:
                return None
            held = Counter(slot.client for slot in self._held)
            victim = max(old, key=lambda slot: held[slot.client])  # the first, so the oldest, of several
            victim.was_cut = True
        victim.cut()
        return victim


class _Watch(threading.Thread):
    """Cuts overdue bodies for as long as there are slots."""

    def __init__(self, slots: BodySlots, clock: Clock) -> None:
        super().__init__(name="bodies", daemon=True)
        self._slots = weakref.ref(slots)
        self._clock = clock

    def run(self) -> None:
        """Look again and again."""
        while (slots := self._slots()) is not None:
            slots.cut_overdue()
            del slots
            self._clock.sleep(_POLL_S)
