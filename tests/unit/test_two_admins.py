"""Admins who take each other's rights at the same moment, over a storage without transactions, call by call."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from songs.errors import InvalidToken
from songs.model import Role, User
from songs.ports.storage import Scope

from .conftest import PASSWORD, Process, Stack

WAIT_S = 30.0
CALLS = 4
"""Of a change: the user is read, the admin who asks is read and touched, the user is written."""
ORDERS = ["".join("ba"[n in first] for n in range(2 * CALLS)) for first in itertools.combinations(range(2 * CALLS), 4)]


class Turns:
    """Lets two threads make their calls in a given order; what is left of one when the other ended is free."""

    def __init__(self, order: str) -> None:
        self._order = list(order)
        self._changed = threading.Condition()

    @contextmanager
    def of(self, who: str) -> Iterator[None]:
        """Wait for the turn of `who`, and hand the next one on."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._order or self._order[0] == who, WAIT_S)
            yield
            del self._order[:1]
            self._changed.notify_all()

    def end(self, who: str) -> None:
        """Wait for no further calls of `who`."""
        with self._changed:
            self._order[:] = [each for each in self._order if each != who]
            self._changed.notify_all()


class OneByOne:
    """A storage in which every call is atomic and no two are: what the port asks for, and no more."""

    def __init__(self, inner: Any, turns: Turns) -> None:
        self._inner = inner
        self._turns = turns

    @contextmanager
    def unit_of_work(self, _: Scope, *, deadline: Any) -> Iterator[Any]:
        """Return a unit that is no unit."""
        self._deadline = deadline
        yield self

    @property
    def users(self) -> "OneByOne":
        """The users."""
        return self

    def __getattr__(self, name: str) -> Any:
        """Return a call that waits for its turn."""

        def call(*arguments: Any, **keywords: Any) -> Any:
            turns = self._turns.of(threading.current_thread().name)
            with turns, self._inner.unit_of_work(Scope.WRITE_ONE, deadline=self._deadline) as unit:
                return getattr(unit.users, name)(*arguments, **keywords)

        return call


@pytest.fixture
def admins(stack: Stack) -> tuple[Process, dict[str, User]]:
    """Two admins, a and b."""
    process = Process(stack)
    deadline = stack.deadline()
    return process, {
        name: process.accounts.register(f"{name}dmin", PASSWORD, role=Role.ADMIN, deadline=deadline) for name in "ab"
    }


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("how", [{"role": Role.USER}, {"disabled": True}], ids=["demote", "disable"])
def test_one_stays_in_whatever_order_the_calls_come(
    admins: tuple[Process, dict[str, User]], order: str, how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exactly one of the two is an admin afterwards, and the other was told that it is none."""
    process, users = admins
    turns, told = Turns(order), {}
    monkeypatch.setattr(process.stack.runner, "_storage", OneByOne(process.stack.storage.inner, turns))

    def take_rights(me: str, other: str) -> None:
        deadline = process.stack.deadline()
        try:
            process.accounts.change(users[other].name, **how, by=users[me].id, deadline=deadline)
            told[me] = "done"
        except InvalidToken:
            told[me] = "refused"
        finally:
            turns.end(me)

    threads = [
        threading.Thread(target=take_rights, args=(me, other), name=me, daemon=True) for me, other in ("ab", "ba")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)

    with process.stack.storage.inner.unit_of_work(Scope.READ, deadline=process.stack.deadline()) as unit:
        stored = {name: unit.users.get(user.id) for name, user in users.items()}
    left = [name for name, user in stored.items() if user.role is Role.ADMIN and not user.disabled]
    assert sorted(told.values()) == ["done", "refused"]
    assert left == [name for name, outcome in told.items() if outcome == "done"]
