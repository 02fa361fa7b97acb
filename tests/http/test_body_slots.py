"""Slots for bodies: who gets one, who has to give one up, and when."""

import threading
from collections.abc import Callable

import pytest
from tests.clock import ManualClock

from songs_api.http.kernel.body_slots import GRACE_S, REMEMBERED_S, SLOW_S, BodySlots, LastAnswer, Slot, has_body
from songs_api.http.kernel.validation import TooManyBodies
from songs_contract.harness.timing import eventually

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
        slot = self._slots.take(client, known=known, connection=self.connection(name), answer=_answer)
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


def _answer() -> LastAnswer:
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


def _in_thread(call: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
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


def _full(cuts: Cuts, slots: BodySlots) -> list[tuple[threading.Thread, list[object]]]:
    """Take all slots of strangers and all places behind them; return the threads that wait in these."""
    for n in range(SLOTS // 2):
        cuts.take(f"half {n}", f"address {n}")
    waiting = [
        _in_thread(lambda n=n: cuts.take(f"waits {n}", f"place {n}"))  # type: ignore[misc]
        for n in range(PLACES // 2)
    ]
    eventually(lambda: slots.waiting == PLACES // 2, within_s=10)
    return waiting


def test_a_body_that_takes_too_long_is_cut(slots: BodySlots, clock: ManualClock) -> None:
    """Not a moment sooner, whether anybody waits or not; those that began later go on."""
    cuts = Cuts(slots)
    cuts.take("first", "a")
    clock.sleep(1.0)
    cuts.take("second", "a", known=True)

    clock.sleep(TIMEOUT_S - 1.001)
    slots.cut_overdue()
    assert cuts.cut == []
    clock.sleep(0.001)
    slots.cut_overdue()
    assert (cuts.cut, slots.held) == (["first"], 1)
    clock.sleep(1.0)
    slots.cut_overdue()
    assert (cuts.cut, slots.held) == (["first", "second"], 0)


def test_strangers_leave_half_of_the_slots_to_those_with_a_token(slots: BodySlots) -> None:
    """However many clients they are: as many with a token are served at once, and no more."""
    cuts = Cuts(slots)
    for n in range(SLOTS // 2):
        cuts.take(f"stranger {n}", f"address {n}")
    thread, became = _in_thread(lambda: cuts.take("one too many", "another"))
    for n in range(SLOTS // 2):
        cuts.take(f"user {n}", "user", known=True)

    assert slots.held == SLOTS
    assert cuts.cut == []
    eventually(lambda: slots.waiting > 0, within_s=10)
    slots.release(cuts.held["stranger 3"])
    thread.join(10)
    assert isinstance(became[0], Slot)


def test_an_old_body_gives_way_to_one_that_waits(slots: BodySlots, clock: ManualClock) -> None:
    """Of the client that has most slots, the oldest: not that of one which has just one, though it is older still."""
    cuts = Cuts(slots)
    cuts.take("single", "b")
    for n in range(SLOTS // 2 - 1):
        cuts.take(f"many {n}", "a")
    clock.sleep(GRACE_S)

    cuts.take("new", "c")
    cuts.take("newer", "d")

    assert cuts.cut == ["many 0", "many 1"]
    assert slots.held == SLOTS // 2


def test_no_stranger_takes_the_slot_of_a_user(slots: BodySlots, clock: ManualClock) -> None:
    """Users give way to users, and to strangers only for what strangers may have."""
    cuts = Cuts(slots)
    for n in range(SLOTS // 2):
        cuts.take(f"user {n}", "u1", known=True)
    for n in range(SLOTS // 2):
        cuts.take(f"stranger {n}", f"address {n}")
    clock.sleep(GRACE_S)

    cuts.take("stranger", "a")
    assert cuts.cut == ["stranger 0"]
    cuts.take("user", "u2", known=True)
    assert cuts.cut == ["stranger 0", "user 0"]


def test_bodies_that_have_just_begun_are_not_cut(slots: BodySlots, clock: ManualClock) -> None:
    """One that waits is refused when its time is over, if all others are new, and nothing is lost."""
    cuts = Cuts(slots)
    for n in range(SLOTS // 2):
        cuts.take(f"body {n}", "a")
    thread, became = _in_thread(lambda: cuts.take("late", "b"))
    eventually(lambda: slots.waiting > 0, within_s=10)
    clock.sleep(GRACE_S / 2)
    for n in range(SLOTS // 2):
        slots.release(cuts.held[f"body {n}"])

    thread.join(10)
    assert isinstance(became[0], Slot)
    assert cuts.cut == []


def test_places_to_wait_are_shared_too(slots: BodySlots) -> None:
    """Strangers take half of the places and no more; a user still finds one, and those beyond are refused at once."""
    cuts = Cuts(slots)
    for n in range(SLOTS // 2):
        cuts.take(f"stranger {n}", "a")
        cuts.take(f"user {n}", "u", known=True)
    waiting = [_in_thread(lambda n=n: cuts.take(f"waits {n}", "a")) for n in range(PLACES // 2)]  # type: ignore[misc]
    eventually(lambda: slots.waiting >= PLACES // 2, within_s=10)

    with pytest.raises(TooManyBodies):
        cuts.take("refused", "a")
    user = _in_thread(lambda: cuts.take("user", "u", known=True))
    eventually(lambda: slots.waiting > PLACES // 2, within_s=10)

    slots.release(cuts.held["stranger 0"])
    for n in range(PLACES // 2 - 1):
        slots.release(cuts.held[f"stranger {n + 1}"])
    slots.release(cuts.held["user 0"])
    for thread, became in [*waiting, user]:
        thread.join(10)
        assert isinstance(became[0], Slot)
    assert slots.waiting == 0


def test_one_that_waits_gives_way_to_a_client_that_has_nothing(slots: BodySlots) -> None:
    """One client that holds all slots and places keeps nobody else from waiting."""
    cuts = Cuts(slots)
    for n in range(SLOTS // 2):
        cuts.take(f"body {n}", "a")
    many = [_in_thread(lambda n=n: cuts.take(f"waits {n}", "a")) for n in range(PLACES // 2)]  # type: ignore[misc]
    eventually(lambda: slots.waiting >= PLACES // 2, within_s=10)
    new = _in_thread(lambda: cuts.take("new", "b"))
    eventually(lambda: any(became for _, became in many), within_s=10)

    for n in range(SLOTS // 2):
        slots.release(cuts.held[f"body {n}"])
    for thread, _ in [*many, new]:
        thread.join(10)
    assert sorted(isinstance(became[0], TooManyBodies) for _, became in many) == [False] * (PLACES // 2 - 1) + [True]
    assert isinstance(new[1][0], Slot)


def test_a_slow_user_leaves_places_to_strangers(slots: BodySlots, clock: ManualClock) -> None:
    """A token is no right to keep others out: whose bodies do not come gives way in slots and in places."""
    cuts = Cuts(slots)
    for n in range(SLOTS):
        cuts.take(f"half {n}", "slow", known=True)
    many = [_in_thread(lambda n=n: cuts.take(f"waits {n}", "slow", known=True)) for n in range(PLACES)]  # type: ignore[misc]
    eventually(lambda: slots.waiting >= PLACES, within_s=10)
    clock.sleep(SLOW_S)
    cuts.take("signs in", "address")

    assert cuts.cut
    while slots.waiting:
        clock.sleep(GRACE_S)
    for thread, _ in many:
        thread.join(10)
    assert sum(isinstance(became[0], TooManyBodies) for _, became in many) >= 1


def test_addresses_that_were_slow_come_after_all_others(slots: BodySlots, clock: ManualClock) -> None:
    """However many there are: each keeps others waiting once, and again when that is forgotten."""
    cuts = Cuts(slots)

    def begin(name: str) -> list[tuple[threading.Thread, list[object]]]:
        for n in range(SLOTS // 2):
            cuts.take(f"{name} {n}", f"address {n}")
        waiting = [
            _in_thread(lambda n=n: cuts.take(f"{name} {n}", f"address {n}"))  # type: ignore[misc]
            for n in range(SLOTS // 2, SLOTS // 2 + PLACES // 2)
        ]
        eventually(lambda: slots.waiting >= PLACES // 2, within_s=10)
        return waiting

    def end(waiting: list[tuple[threading.Thread, list[object]]]) -> None:
        while slots.waiting:
            clock.sleep(GRACE_S)
        for thread, _ in waiting:
            thread.join(10)
        for slot in [*slots._held]:
            slots.release(slot)

    for n in range(SLOTS // 2 + PLACES // 2):
        slot = cuts.take(f"once slow {n}", f"address {n}")
        clock.sleep(SLOW_S)
        assert slots.release(slot) is True
    waiting = begin("again")
    clock.sleep(SLOW_S)
    cuts.take("new", "another")
    assert len(cuts.cut) >= 1
    end(waiting)

    clock.sleep(2 * REMEMBERED_S)
    waiting = begin("forgotten")
    with pytest.raises(TooManyBodies):
        cuts.take("refused", "address 99")
    end(waiting)


def test_who_asked_in_vain_more_often_comes_after_others(slots: BodySlots, clock: ManualClock) -> None:
    """So those who ask without pause, from however many addresses, keep nobody out who has just come."""
    cuts = Cuts(slots)
    waiting = _full(cuts, slots)
    with pytest.raises(TooManyBodies):
        cuts.take("as good", "another")
    for n in range(PLACES // 2):
        with pytest.raises(TooManyBodies):
            cuts.take("again", f"place {n}")

    calm, became = _in_thread(lambda: cuts.take("calm", "one more"))
    eventually(lambda: any(isinstance(became[0], TooManyBodies) for _, became in waiting if became), within_s=10)
    clock.sleep(GRACE_S)

    calm.join(10)
    assert isinstance(became[0], Slot)
    for thread, _ in waiting:
        thread.join(10)


def test_to_be_served_forgives_no_asking_without_pause(clock: ManualClock) -> None:
    """Or those who were let in once are let in for as long as they ask, and who was refused is refused for as long."""
    slots = BodySlots(request_threads=4, clock=clock, timeout_s=TIMEOUT_S)  # one slot and one place for strangers
    slots._watched = True
    cuts = Cuts(slots)
    first = cuts.take("first", "somebody")
    greedy, became = _in_thread(lambda: cuts.take("greedy", "greedy"))
    eventually(lambda: slots.waiting == 1, within_s=10)
    for n in range(5):
        with pytest.raises(TooManyBodies):
            cuts.take(f"again {n}", "greedy")
    slots.release(first)
    greedy.join(10)
    assert isinstance(became[0], Slot)
    holder, _ = _in_thread(lambda: cuts.take("holder", "somebody"))
    eventually(lambda: slots.waiting == 1, within_s=10)
    slots.release(became[0])  # at once, while another one waits
    holder.join(10)

    waits, _ = _in_thread(lambda: cuts.take("waits", "new"))
    eventually(lambda: slots.waiting == 1, within_s=10)
    for n in range(2):
        with pytest.raises(TooManyBodies):
            cuts.take(f"in vain {n}", "calm")
    slots.release(cuts.held["holder"])
    waits.join(10)
    many, refused = _in_thread(lambda: cuts.take("once more", "greedy"))
    eventually(lambda: slots.waiting == 1, within_s=10)
    calm, served = _in_thread(lambda: cuts.take("calm", "calm"))
    many.join(10)
    slots.release(cuts.held["waits"])
    calm.join(10)
    assert isinstance(refused[0], TooManyBodies)
    assert isinstance(served[0], Slot)


def test_while_bodies_are_refused_slow_ones_give_way_sooner(slots: BodySlots, clock: ManualClock) -> None:
    """Each new address costs the others an eighth of a second of a slot, not half of one."""
    cuts = Cuts(slots)
    waiting = _full(cuts, slots)
    assert cuts.cut == []
    with pytest.raises(TooManyBodies):
        cuts.take("refused", "another")
    clock.sleep(SLOW_S)

    for thread, became in waiting:
        thread.join(10)
        assert isinstance(became[0], Slot)
    assert len(cuts.cut) == PLACES // 2


def test_whose_slot_another_one_was_given_makes_room_again(slots: BodySlots, clock: ManualClock) -> None:
    """It does not wait for the second one to be given back by itself."""
    cuts = Cuts(slots)
    cuts.take("old", "a")
    clock.sleep(GRACE_S)
    for n in range(SLOTS // 2 - 1):
        cuts.take(f"new {n}", f"address {n}")
    held_back = cuts.hold_back()
    first, became_first = _in_thread(lambda: cuts.take("first", "address 0"))
    eventually(lambda: bool(held_back), within_s=10)
    second, became_second = _in_thread(lambda: cuts.take("second", "better"))
    eventually(lambda: slots.waiting >= 2, within_s=10)

    cuts.give_back()
    second.join(10)
    clock.sleep(GRACE_S)
    first.join(10)

    assert [type(each) for each in (*became_second, *became_first)] == [Slot, Slot]
    assert cuts.cut == ["old", "new 0"]


@pytest.mark.parametrize("threads", [4, 5, 8, 32, 1024])
def test_slots_and_places_never_take_all_threads(threads: int) -> None:
    """Whatever is received and waits, a quarter of the threads or more are free for other requests."""
    slots = BodySlots(request_threads=threads, clock=ManualClock(), timeout_s=TIMEOUT_S)

    assert slots._slots + slots._places <= threads * 3 / 4 + 0.5
    assert slots._slots >= 2


def test_a_body_without_a_connection_is_left_alone(slots: BodySlots, clock: ManualClock) -> None:
    """Under a server that we do not know nothing can be cut, and nothing breaks."""
    slot = slots.take("a", known=False, connection=None, answer=_answer)
    clock.sleep(TIMEOUT_S)

    slots.cut_overdue()

    assert slots.release(slot) is True


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, False),
        ({"CONTENT_LENGTH": ""}, False),
        ({"CONTENT_LENGTH": "0"}, False),
        ({"CONTENT_LENGTH": "1"}, True),
        ({"CONTENT_LENGTH": "x"}, True),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, True),
    ],
)
def test_what_has_a_body(environ: dict[str, str], expected: bool) -> None:
    """What announces one, of whatever length."""
    assert has_body(environ) is expected


def test_a_connection_that_cannot_be_cut_ends_nothing(
    slots: BodySlots, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a server raises: the others are cut all the same, and so they are for one that waits."""

    class Broken:
        def cut(self, answer: LastAnswer) -> None:
            raise RuntimeError("no")

    cuts = Cuts(slots)
    broken = slots.take("a", known=False, connection=Broken(), answer=_answer)
    cuts.take("second", "a")
    clock.sleep(TIMEOUT_S)

    slots.cut_overdue()

    assert cuts.cut == ["second"]
    assert "could not be cut" in caplog.text
    assert slots.release(broken) is False
