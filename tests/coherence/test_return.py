"""How a cache that was away is on again, where a process only writes or a storage takes no writes: no server."""

from typing import Any

from songs.caching.coherence import LONGEST_RETURN_S
from songs.errors import StorageUnavailable
from songs.ports.storage import Scope

FOR_EVER_S = 10_000.0


def test_a_process_that_only_writes_looks_for_its_server_again(
    process: Any, new_process: Any, new_cache: Any, clock: Any
) -> None:
    """Its connections lead to the server of before, until it asks by a new one: else no cache would be on for long."""
    writer, away = new_process(), new_cache()
    process.cache.inner = away

    def after_ping() -> None:
        if writer.cache.asked[-1] == "ping":
            writer.cache.inner = away

    writer.cache.after = after_ping
    while process.state[1] != "announced":
        clock.advance(0.5)
        process.read()
    writer.wrote()
    assert process.state[1] == "off"
    while process.state[1] != "on":
        clock.advance(0.5)
        process.read()
        writer.wrote()
        assert clock.now_s < FOR_EVER_S, "the writer takes every announcement back"
    process.read()
    writer.wrote()
    assert process.state[1] == "on"


def test_a_storage_that_takes_no_writes_lengthens_no_pause(process: Any, storage: Any, clock: Any) -> None:
    """A cache that could not be announced, as on a full disk, has not come and gone: it is not tried more rarely."""

    def back_after_s() -> float:
        process.move("off")
        began_s = clock.now_s
        while process.state[1] != "on":
            clock.advance(0.5)
            process.read()
            assert clock.now_s < FOR_EVER_S
        return float(clock.now_s - began_s)

    def full() -> None:
        if storage.units[-1] is not Scope.READ:
            raise StorageUnavailable

    process.read()
    usual_s = [back_after_s(), back_after_s()]
    clock.advance(2 * LONGEST_RETURN_S)
    process.read()
    process.move("off")
    storage.during = full
    for _ in range(240):
        clock.advance(0.5)
        process.read()
    storage.during = lambda: None

    for usual in usual_s:
        assert back_after_s() <= usual + 1.0
