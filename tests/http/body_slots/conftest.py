"""Slots for bodies, and clients whose bodies a test lets come or cuts."""

import threading
from collections.abc import Callable

import pytest
from tests.clock import ManualClock

from songs_api.http.kernel.body_slots import BodySlots, LastAnswer, Slot
from songs_api.http.kernel.validation import TooManyBodies

TIMEOUT_S = 10.0
SLOTS, PLACES = 16, 8


class Cuts:
    """Notes whose body was cut; the thread that reads it gives the slot back at once."""

    def __init__(self, slots: BodySlots) -> None:
        self._slots = slots
        self.cut: list[str] = []
        self.held: dict[str, Slot] = {}
        self._held_back: list[Slot] | None = None

    def connection(self, name: str) -> "Cut":
        """Return the connection of a body."""
        return Cut(self, name)

    def take(self, name: str, client: str, *, known: bool = False) -> Slot:
        """Begin to receive a body."""
        slot = self._slots.take(client, known=known, connection=self.connection(name), answer=answer)
        self.held[name] = slot
        return slot

    def gone(self, name: str) -> None:
        """Note that a body was cut."""
        self.cut.append(name)
        if self._held_back is None:
            assert self._slots.release(self.held[name]) is False
        else:
            self._held_back.append(self.held[name])

    def hold_back(self) -> list[Slot]:
        """Let readers of bodies that are cut not wake before `give_back`; return the list of their slots."""
        self._held_back = []
        return self._held_back

    def give_back(self) -> None:
        """Wake them."""
        slots, self._held_back = self._held_back or [], None
        for slot in slots:
            self._slots.release(slot)


class Cut:
    """A connection whose reader is woken at once."""

    def __init__(self, cuts: Cuts, name: str) -> None:
        self._cuts, self._name = cuts, name

    def cut(self, answer: LastAnswer) -> None:
        """Wake the reader."""
        assert answer.status == 408
        self._cuts.gone(self._name)


def answer() -> LastAnswer:
    """Return what a client gets whose body is cut."""
    return LastAnswer(408, [], b"{}")


@pytest.fixture
def clock() -> ManualClock:
    """A clock that a test moves."""
    return ManualClock()


@pytest.fixture
def slots(clock: ManualClock) -> BodySlots:
    """The slots of a server with 32 threads: 16, of which 8 for strangers."""
    slots = BodySlots(request_threads=2 * SLOTS, clock=clock, timeout_s=TIMEOUT_S)
    slots._watched = True  # it is the test that looks whether bodies are overdue
    return slots


def in_thread(call: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Start a call in a thread; return both, and a list for its result."""
    became: list[object] = []

    def run() -> None:
        try:
            became.append(call())
        except TooManyBodies as error:
            became.append(error)

    # A daemon: where it is never let in, that is one test that fails, and not a run that does not end.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, became
