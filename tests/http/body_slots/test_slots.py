"""Slots for bodies: who gets one, who has to give one up, and when."""

import pytest
from tests.clock import ManualClock

from songs_api.http.kernel.body_slots import GRACE_S, BodySlots, LastAnswer, Slot, has_body
from songs_contract.harness.timing import eventually

from .conftest import SLOTS, TIMEOUT_S, Cuts, answer, in_thread


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
    thread, became = in_thread(lambda: cuts.take("one too many", "another"))
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
    thread, became = in_thread(lambda: cuts.take("late", "b"))
    eventually(lambda: slots.waiting > 0, within_s=10)
    clock.sleep(GRACE_S / 2)
    for n in range(SLOTS // 2):
        slots.release(cuts.held[f"body {n}"])

    thread.join(10)
    assert isinstance(became[0], Slot)
    assert cuts.cut == []


@pytest.mark.parametrize("threads", [4, 5, 8, 32, 1024])
def test_slots_and_places_never_take_all_threads(threads: int) -> None:
    """Whatever is received and waits, a quarter of the threads or more are free for other requests."""
    slots = BodySlots(request_threads=threads, clock=ManualClock(), timeout_s=TIMEOUT_S)

    assert slots._slots + slots._places <= threads * 3 / 4 + 0.5
    assert slots._slots >= 2


def test_a_body_without_a_connection_is_left_alone(slots: BodySlots, clock: ManualClock) -> None:
    """Under a server that we do not know nothing can be cut, and nothing breaks."""
    slot = slots.take("a", known=False, connection=None, answer=answer)
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
    broken = slots.take("a", known=False, connection=Broken(), answer=answer)
    cuts.take("second", "a")
    clock.sleep(TIMEOUT_S)

    slots.cut_overdue()

    assert cuts.cut == ["second"]
    assert "could not be cut" in caplog.text
    assert slots.release(broken) is False
