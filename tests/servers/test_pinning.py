"""Workers that take all cores are bound to one each."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.running import SONGS, Running, free_port

from songs_api.servers import processes as pinning
from songs_api.servers.processes import Pinning
from songs_contract.harness.timing import eventually

CORES = tuple(sorted(os.sched_getaffinity(0)))


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch) -> dict[int, set[int]]:
    """What the children of this process are bound to; the test decides."""
    children: dict[int, set[int]] = {}
    monkeypatch.setattr(pinning, "_children", lambda: iter(children))
    monkeypatch.setattr(pinning, "_bound_to", children.__getitem__)
    return children


@pytest.fixture
def chosen(bound: dict[int, set[int]]) -> Callable[[Pinning], int | None]:
    """Return what the next child would be bound to."""

    def choose(dealer: Pinning) -> int | None:
        dealer.choose()
        return dealer._chosen

    return choose


def test_children_forked_at_once_take_turns(chosen: Callable[[Pinning], int | None]) -> None:
    """None of them may be bound yet when the next is forked."""
    dealer = Pinning((0, 2, 5))

    assert [chosen(dealer) for _ in range(4)] == [0, 2, 5, 0]


def test_who_takes_the_place_of_another_gets_its_core(
    bound: dict[int, set[int]], chosen: Callable[[Pinning], int | None]
) -> None:
    """Whatever turn it is; a child that is bound to no core counts for none."""
    dealer = Pinning((0, 1, 2))
    bound |= {100: {0}, 102: {2}, 103: set()}

    assert [chosen(dealer) for _ in range(2)] == [1, 1]
    bound[101] = {1}
    bound.pop(100)
    assert chosen(dealer) == 0


def test_without_cores_nobody_is_bound(chosen: Callable[[Pinning], int | None]) -> None:
    """The kernel decides."""
    dealer = Pinning(())

    assert chosen(dealer) is None
    dealer.pin()
    assert tuple(sorted(os.sched_getaffinity(0))) == CORES


@pytest.mark.server
@pytest.mark.skipif(len(CORES) < 2, reason="there is one core")
@pytest.mark.parametrize("server", ["granian", "gunicorn"])
@pytest.mark.parametrize("pin", ["auto", "no"])
def test_each_worker_has_a_core(tmp_path: Path, server: str, pin: str) -> None:
    """By the affinity of the processes that serve; and with no, by that of this process."""
    variables = {
        "SONGS_STORAGE": "sqlite",
        "SONGS_SQLITE_PATH": str(tmp_path / "songs.db"),
        "SONGS_SERVER": server,
        "SONGS_WORKERS": str(len(CORES)),
        "SONGS_PIN_WORKERS": pin,
    }
    running = Running.start([*SONGS, "serve"], tmp_path, free_port(), variables)
    try:
        running.wait_until_it_answers()
        expected = [[core] for core in CORES] if pin == "auto" else [list(CORES)] * len(CORES)
        eventually(
            lambda: sorted(sorted(os.sched_getaffinity(pid)) for pid in running.children()) == expected, within_s=20
        )
    finally:
        running.stop()
