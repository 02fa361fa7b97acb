"""Places to wait for a slot: who gets one, who goes first, and who is refused."""

import threading

import pytest
from tests.clock import ManualClock

from songs_api.http.kernel.body_slots import GRACE_S, REMEMBERED_S, SLOW_S, BodySlots, Slot
from songs_api.http.kernel.validation import TooManyBodies
from songs_contract.harness.timing import eventually

from .conftest import PLACES, SLOTS, TIMEOUT_S, Cuts, in_thread


def _full(cuts: Cuts, slots: BodySlots) -> list[tuple[threading.Thread, list[object]]]:
    """Take all slots of strangers and all places behind them; return the threads that wait in these."""
    for n in range(SLOTS // 2):
        cuts.take(f"half {n}", f"address {n}")
    waiting = [
        in_thread(lambda n=n: cuts.take(f"waits {n}", f"place {n}"))  # type: ignore[misc]
        for n in range(PLACES // 2)
    ]
    eventually(lambda: slots.waiting == PLACES // 2, within_s=10)
    return waiting


def test_places_to_wait_are_shared_too(slots: BodySlots) -> None:
    """Strangers take half of the places and no more; a user still finds one, and those beyond are refused at once."""
    cuts = Cuts(slots)
    for n in range(SLOTS // 2):
        cuts.take(f"stranger {n}", "a")
        cuts.take(f"user {n}", "u", known=True)
    waiting = [in_thread(lambda n=n: cuts.take(f"waits {n}", "a")) for n in range(PLACES // 2)]  # type: ignore[misc]
    eventually(lambda: slots.waiting >= PLACES // 2, within_s=10)

    with pytest.raises(TooManyBodies):
        cuts.take("refused", "a")
    user = in_thread(lambda: cuts.take("user", "u", known=True))
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
    many = [in_thread(lambda n=n: cuts.take(f"waits {n}", "a")) for n in range(PLACES // 2)]  # type: ignore[misc]
    eventually(lambda: slots.waiting >= PLACES // 2, within_s=10)
    new = in_thread(lambda: cuts.take("new", "b"))
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
    many = [in_thread(lambda n=n: cuts.take(f"waits {n}", "slow", known=True)) for n in range(PLACES)]  # type: ignore[misc]
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
            in_thread(lambda n=n: cuts.take(f"{name} {n}", f"address {n}"))  # type: ignore[misc]
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

    calm, became = in_thread(lambda: cuts.take("calm", "one more"))
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
    greedy, became = in_thread(lambda: cuts.take("greedy", "greedy"))
    eventually(lambda: slots.waiting == 1, within_s=10)
    for n in range(5):
        with pytest.raises(TooManyBodies):
            cuts.take(f"again {n}", "greedy")
    slots.release(first)
    greedy.join(10)
    assert isinstance(became[0], Slot)
    holder, _ = in_thread(lambda: cuts.take("holder", "somebody"))
    eventually(lambda: slots.waiting == 1, within_s=10)
    slots.release(became[0])  # at once, while another one waits
    holder.join(10)

    waits, _ = in_thread(lambda: cuts.take("waits", "new"))
    eventually(lambda: slots.waiting == 1, within_s=10)
    for n in range(2):
        with pytest.raises(TooManyBodies):
            cuts.take(f"in vain {n}", "calm")
    slots.release(cuts.held["holder"])
    waits.join(10)
    many, refused = in_thread(lambda: cuts.take("once more", "greedy"))
    eventually(lambda: slots.waiting == 1, within_s=10)
    calm, served = in_thread(lambda: cuts.take("calm", "calm"))
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
    first, became_first = in_thread(lambda: cuts.take("first", "address 0"))
    eventually(lambda: bool(held_back), within_s=10)
    second, became_second = in_thread(lambda: cuts.take("second", "better"))
    eventually(lambda: slots.waiting >= 2, within_s=10)

    cuts.give_back()
    second.join(10)
    clock.sleep(GRACE_S)
    first.join(10)

    assert [type(each) for each in (*became_second, *became_first)] == [Slot, Slot]
    assert cuts.cut == ["old", "new 0"]
