"""The queue of writers."""

import threading

from songs_sqlite.group import FifoLock


def test_turns_come_in_the_order_of_waiting() -> None:
    """Whoever has waited longest is next, and one that ends its turn and comes again waits behind them."""
    turns = FifoLock()
    order: list[str] = []

    def wait(name: str) -> None:
        assert turns.take(10)
        order.append(name)
        turns.end()

    assert turns.take(0)
    threads = [threading.Thread(target=wait, args=(name,)) for name in "abc"]
    for place, thread in enumerate(threads, start=1):
        thread.start()
        while len(turns.waiting) < place:
            thread.join(0.001)
    turns.end()
    wait("again")
    for thread in threads:
        thread.join()
    assert order == ["a", "b", "c", "again"]


def test_who_gives_up_is_not_waited_for() -> None:
    """A thread whose time is up leaves the queue; the turn goes to the next, or is free."""
    turns = FifoLock()
    assert turns.take(0)
    assert not turns.take(0.01)
    assert not turns.take(0)
    turns.end()
    assert turns.take(0)


def test_one_has_the_turn_at_a_time() -> None:
    """Under contention with short patience no two threads ever have the turn together, and none is lost."""
    turns = FifoLock()
    inside = 0
    most = 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(300):
            if turns.take(0.0001):
                inside += 1
                most = max(most, inside)
                inside -= 1
                turns.end()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert turns.take(0)
    assert not turns.waiting


def test_a_turn_that_comes_at_the_last_moment_is_taken() -> None:
    """Where the turn is handed to a thread that is just giving up, that thread has it: else nobody would end it."""
    turns = FifoLock()
    came: list[bool] = []
    assert turns.take(0)
    late = threading.Thread(target=lambda: came.append(turns.take(0.05)))
    late.start()
    while not turns.waiting:
        late.join(0.001)
    with turns._guard:
        late.join(0.2)  # its time is up, and it waits to leave the queue
        turns.waiting.popleft().release()
    late.join()
    assert came == [True]
    assert not turns.take(0)
