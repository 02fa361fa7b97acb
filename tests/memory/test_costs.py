"""What the operations of the storage cost: nothing that the system would have to do."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from songs.ports.storage import Scope, UnitOfWork
from songs_contract.models.samples import FILLING, READS, WRITES

Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]
OUTSIDE = ("open", "os.", "socket.", "sqlite3.", "subprocess.", "_thread.")


@pytest.fixture(scope="session")
def outside() -> list[str]:
    """The events of files, sockets, processes and threads from now on; what listens for them cannot be removed."""
    seen: list[str] = []
    sys.addaudithook(lambda event, _: seen.append(event) if event.startswith(OUTSIDE) else None)
    return seen


def test_the_outside_is_noticed(outside: list[str]) -> None:
    """The check below can fail: opening a file is seen."""
    outside.clear()
    with open(__file__, encoding="utf-8"):  # noqa: PTH123 - the plain event
        pass
    assert "open" in outside


@pytest.mark.parametrize("name", [*READS, *WRITES])
def test_nothing_leaves_the_process(name: str, units: Units, outside: list[str]) -> None:
    """No operation opens a file, a socket or a thread."""
    for work in FILLING:
        with units(Scope.WRITE_ONE) as unit:
            work(unit)
    outside.clear()
    with units(Scope.READ if name in READS else Scope.WRITE_ONE) as unit:
        (READS.get(name) or WRITES[name])(unit)
    assert outside == []
