"""A bulkhead for request bodies: caps the bodies received at once, and their time."""

import logging
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from songs.ports.clock import Clock
from songs_api.http.kernel.validation import TooManyBodies

CONNECTION: Final = "songs_api.connection"
"""The key of a request's `Connection` in its WSGI environment, set by the server if there is a body."""
WAIT_S: Final = 1.0
GRACE_S: Final = 0.5
"""The time for which a body keeps its slot; after that it gives way to a waiting one."""
SLOW_S: Final = 0.125
"""The time after which a body counts as slow. A slow client's body then gives way to one of a better client."""
REMEMBERED_S: Final = 60.0
"""The minimum time for which slow clients are remembered."""
_MAX_REMEMBERED: Final = 10_000
_POLL_S: Final = 0.25
_LOOK_S: Final = SLOW_S / 4
"""The interval at which a waiting body checks whether another has to give way: holders and times change."""
_SOON_S: Final = 0.001
_log: Final = logging.getLogger(__name__)


class LastAnswer(NamedTuple):
    """The last response on a connection, which closes after it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Connection(Protocol):
    """The connection that a body arrives on."""

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
        client: The client that sends it.
        known: Whether the client has a valid token.
        since_s: The time at which it began.
        was_cut: Whether it took too long: the part that was received does not count.
    """

    __slots__ = ("_answer", "_connection", "client", "known", "since_s", "was_cut")

    def __init__(
        self, client: str, *, known: bool, connection: Connection | None, answer: Callable[[], LastAnswer]
    ) -> None:
        self.client = client
        self.known = known
        self.since_s: float
        self.was_cut = False
        self._connection = connection
        self._answer = answer

    @property
    def can_be_cut(self) -> bool:
        """Whether it can be cut, and was not cut yet."""
        return self._connection is not None and not self.was_cut

    @property
    def is_ending(self) -> bool:
        """Whether it was cut, and its slot will soon be free."""
        return self._connection is not None and self.was_cut

    def cut(self) -> None:
        """Wake its reader."""
        try:
            if self._connection is not None:
                self._connection.cut(self._answer())
        except Exception:  # noqa: BLE001 - logged
            # An error of the server here must end neither the watch of all bodies nor a waiting one.
            _log.exception("a body that takes too long could not be cut")
            self._connection = None


class _Recent:
    """Counts events by client, for a minute or two."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since_s = 0.0
        self._now: Counter[str] = Counter()
        self._before: Counter[str] = Counter()

    def add(self, client: str) -> None:
        self._age()
        self._now[client] += 1

    def of(self, client: str) -> int:
        self._age()
        return self._now[client] + self._before[client]

    def _age(self) -> None:
        now_s = self._clock.monotonic_s()
        if now_s - self._since_s >= REMEMBERED_S or len(self._now) >= _MAX_REMEMBERED:
            is_old = now_s - self._since_s >= 2 * REMEMBERED_S
            self._before, self._now, self._since_s = Counter() if is_old else self._now, Counter(), now_s


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

    At most half of the request threads receive bodies, and half of these serve clients without a token, so that
    clients with a token never wait for those without. A body may take `timeout_s`.

    When a client waits because all slots are taken, a body that has been coming for `GRACE_S` gives way. It belongs to
    the client whose bodies were slow most often in the last minute; among equals, to the one that holds most slots;
    and it is the oldest of that client. Places to wait, and free slots, are shared in the same way: slow clients, with
    or without a token, come last, and among clients that were never slow, those that asked most often while all slots
    were taken. To be served takes nothing off that number: otherwise clients that were served once would be first
    again, and those that were refused would be refused for as long as the others ask.

    So a client holds more than its share only while no other client wants it. Bodies that arrive at once never wait
    long for slow ones, from however many addresses these come: each address is first once. While more bodies arrive
    than there are places to wait, and for clients that were slow, `SLOW_S` replaces `GRACE_S`, so that this is soon
    over. `songs.application.bulkhead.Bulkhead` does not serve here: its slots are alike, and stay with their holders,
    whom nobody can cut.

    Args:
        request_threads: The number of requests that the server handles at once.
        clock: The monotonic clock.
        timeout_s: The time that a body may take.
        wait_s: The time to wait for a slot.
        grace_s: The time for which a body keeps its slot while others wait.
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
        self._waiting: list[_Waiting] = []  # who came first is first
        self._slow = _Recent(clock)
        self._tried = _Recent(clock)
        self._refused_s = float("-inf")
        self._lock = threading.Lock()
        self._watched = False

    def take(
        self, client: str, *, known: bool, connection: Connection | None, answer: Callable[[], LastAnswer]
    ) -> Slot:
        """Return a slot, at once or after a wait; `release` has to be called with it.

        Args:
            client: The client that sends the body, as in the rate limits.
            known: Whether the client has a valid token.
            connection: The connection of the body; None if it cannot be cut.
            answer: Makes the response for a body that takes too long.

        Raises:
            TooManyBodies: No slot came free; nothing was read.
        """
        slot = Slot(client, known=known, connection=connection, answer=answer)
        with self._lock:
            if connection is not None and not self._watched:
                self._watched = True
                _Watch(self, self._clock).start()
            if not (self._waiting and self._somebody_waits(known=known)) and self._has_room(known=known):
                self._hold(slot)
                return slot
            self._tried.add(client)
            if not self._has_place(known=known):
                self._refused_s = clock_s = self._clock.monotonic_s()
                if not self._makes_place(slot, clock_s):
                    raise TooManyBodies
            waiting = _Waiting(slot)
            self._waiting.append(waiting)
        self._wait(waiting)
        return slot

    def release(self, slot: Slot) -> bool:
        """Give a slot back; return whether its body counts: it does not if it took too long."""
        with self._lock:
            del self._held[slot]
            if not slot.known:
                self._strangers -= 1
            now_s = self._clock.monotonic_s()
            if slot.was_cut or now_s - slot.since_s >= SLOW_S:
                self._slow.add(slot.client)
            if self._waiting:
                self._hand_over(now_s)
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
        """The number of bodies being received."""
        return len(self._held)

    @property
    def waiting(self) -> int:
        """The number of bodies waiting for a slot."""
        return len(self._waiting)

    def _somebody_waits(self, *, known: bool) -> bool:
        return any(waiting.slot.known == known for waiting in self._waiting)

    def _has_room(self, *, known: bool) -> bool:
        return len(self._held) < self._slots and (known or self._strangers < (self._slots + 1) // 2)

    def _has_place(self, *, known: bool) -> bool:
        strangers = sum(not waiting.slot.known for waiting in self._waiting)
        return self.waiting < self._places and (known or strangers < (self._places + 1) // 2)

    def _makes_place(self, slot: Slot, now_s: float) -> bool:
        """Refuse one that waits, in favour of a better client; return whether there was one."""
        strangers = sum(not waiting.slot.known for waiting in self._waiting)
        # Where strangers wait in all places that they may have, another one takes the place of one of them.
        only_strangers = not slot.known and strangers >= (self._places + 1) // 2
        candidates = [waiting for waiting in self._waiting if not (only_strangers and waiting.slot.known)]
        rank = self._ranks(now_s, slot)
        found = max(candidates, key=lambda waiting: rank(waiting.slot))
        if rank(found.slot) <= rank(slot):
            return False
        self._waiting.remove(found)
        found.decide(refused=True)
        return True

    def _ranks(self, now_s: float, *new: Slot) -> Callable[[Slot], tuple[int, bool, int, int]]:
        """Return the rank of each client, lower for better ones; `new` are additional bodies."""
        live = Counter(slot.client for slot in self._held if slot.was_cut or now_s - slot.since_s >= SLOW_S)
        counts = Counter(slot.client for slot in (*self._held, *(waiting.slot for waiting in self._waiting), *new))
        return lambda slot: (
            self._slow.of(slot.client) + live[slot.client],
            not slot.known,
            counts[slot.client],
            self._tried.of(slot.client),
        )

    def _hold(self, slot: Slot) -> None:
        slot.since_s = self._clock.monotonic_s()
        self._held[slot] = None
        if not slot.known:
            self._strangers += 1

    def _hand_over(self, now_s: float) -> None:
        while ready := [waiting for waiting in self._waiting if self._has_room(known=waiting.slot.known)]:
            rank = self._ranks(now_s)
            waiting = min(ready, key=lambda waiting: rank(waiting.slot))  # the first of several
            self._waiting.remove(waiting)
            self._hold(waiting.slot)
            waiting.decide(refused=False)

    def _wait(self, waiting: _Waiting) -> None:
        ends_s = self._clock.monotonic_s() + self._wait_s
        while True:
            now_s = self._clock.monotonic_s()
            due_s = self._cut_for(waiting.slot, now_s)
            if waiting.decided.wait(max(0.0, min(ends_s - now_s, due_s))):
                break
            if self._clock.monotonic_s() >= ends_s:
                with self._lock:
                    if not waiting.decided.is_set():
                        self._waiting.remove(waiting)
                        waiting.refused = True
                break
        if waiting.refused:
            raise TooManyBodies

    def _cut_for(self, waiting: Slot, now_s: float) -> float:
        """Cut a body for those that wait, if one is to give way, and return in how many seconds to look again."""
        with self._lock:
            if sum(slot.is_ending for slot in self._held) >= len(self._waiting):
                return _LOOK_S
            # Where strangers have all that they may have, another one waits for one of them.
            only_strangers = not waiting.known and self._strangers >= (self._slots + 1) // 2
            crowded = now_s - self._refused_s < self._grace_s
            limit = self._slow.of(waiting.client)

            def left_s(slot: Slot) -> float:
                is_short = crowded or self._slow.of(slot.client) > limit
                return (SLOW_S if is_short else self._grace_s) - (now_s - slot.since_s)

            held = [slot for slot in self._held if slot.can_be_cut and not (only_strangers and slot.known)]
            old = [slot for slot in held if left_s(slot) <= 0]
            if not old:
                return max(_SOON_S, min([_LOOK_S, *map(left_s, held)]))
            counts = Counter(slot.client for slot in self._held)
            # The first, so the oldest, of several.
            victim = max(old, key=lambda slot: (self._slow.of(slot.client), counts[slot.client]))
            victim.was_cut = True
        victim.cut()
        return _LOOK_S


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
