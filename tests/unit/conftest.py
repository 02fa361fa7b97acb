"""What the tests of the services share: a clock that they move, and a memory storage that fails when told to."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.clock import ManualClock

from songs.application.access import Access
from songs.application.accounts import Accounts
from songs.application.catalogue import Catalogue
from songs.application.cursors import Cursors
from songs.application.hashing import HashingTurns
from songs.application.password_policy import PasswordPolicy
from songs.application.ratings import Ratings
from songs.application.runner import UnitRunner
from songs.application.sessions import Lifetimes, Sessions, SignedIn
from songs.caching.coherence import Coherence
from songs.errors import InvalidToken, RefreshRefused
from songs.ports.clock import Deadline
from songs.ports.storage import Scope, Storage, UnitOfWork
from songs_memory.storage import MemoryStorage
from songs_plugins.none import NoCache
from songs_security.passwords import BcryptPasswords
from songs_security.tokens import JwtTokens

PASSWORD = "correct horse"
OTHER = "battery staple"
LIFETIMES = Lifetimes(access_s=600, refresh_s=3600, idle_s=1000)


class CountingIds:
    """Ids in a known order."""

    def __init__(self) -> None:
        self._last = 0

    def new_id(self) -> str:
        """Return the next number."""
        self._last += 1
        return f"{self._last:08d}"


@dataclass
class FailingStorage:
    """A storage whose next units fail as the test says: before their body, or after it in place of an answer.

    Attributes:
        inner: Where the data are.
        before: Raised, one a unit, before the body runs; None lets that unit run.
        after: Raised, one a unit, after the body's writes were committed; None lets that unit answer.
        scopes: The scope of every unit that was entered.
    """

    inner: Storage
    before: list[Exception | None] = field(default_factory=list)
    after: list[Exception | None] = field(default_factory=list)
    scopes: list[Scope] = field(default_factory=list)

    def unit_of_work(self, scope: Scope, *, deadline: Deadline) -> AbstractContextManager[UnitOfWork]:
        """Return a unit that may fail."""
        return self._unit(scope, deadline)

    @contextmanager
    def _unit(self, scope: Scope, deadline: Deadline) -> Iterator[UnitOfWork]:
        self.scopes.append(scope)
        error = self.before.pop(0) if self.before else None
        if error is not None:
            raise error
        with self.inner.unit_of_work(scope, deadline=deadline) as unit:
            yield unit
        error = self.after.pop(0) if self.after else None
        if error is not None:
            raise error

    def __getattr__(self, name: str) -> object:
        """Leave everything else to the storage itself."""
        return getattr(self.inner, name)


@dataclass
class Stack:
    """The services over one storage."""

    clock: ManualClock
    ids: CountingIds
    storage: FailingStorage
    runner: UnitRunner
    coherence: Coherence
    catalogue: Catalogue
    ratings: Ratings

    def deadline(self, deadline_s: float = 3.0) -> Deadline:
        """Return a new deadline."""
        return Deadline.after(self.clock, deadline_s)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still."""
    return ManualClock()


@pytest.fixture
def storage() -> Iterator[FailingStorage]:
    """An open memory storage that fails when told to."""
    memory = MemoryStorage()
    memory.open()
    memory.prepare()
    yield FailingStorage(memory)
    memory.close()


@pytest.fixture
def stack(clock: ManualClock, storage: FailingStorage) -> Stack:
    """The services, without a cache and without jitter."""
    runner = UnitRunner(storage, clock, max_calls=4, jitter=lambda: 1.0)  # type: ignore[arg-type]
    coherence = Coherence(NoCache(), runner, clock)
    ids = CountingIds()
    catalogue = Catalogue(runner, coherence, ids, Cursors(b"secret"))
    ratings = Ratings(runner, coherence, ids, clock)
    return Stack(clock, ids, storage, runner, coherence, catalogue, ratings)


@pytest.fixture
def new_runner(clock: ManualClock, storage: FailingStorage) -> Callable[[int], UnitRunner]:
    """Return a function that makes a runner with so many slots."""
    return lambda max_calls: UnitRunner(storage, clock, max_calls=max_calls)  # type: ignore[arg-type]


class Process:
    """The accounts of one process with the user ada, and calls that need no deadline."""

    def __init__(self, stack: Any) -> None:
        tokens = JwtTokens(secret=b"s" * 32, previous_secret=None, issuer="i", audience="a", clock=stack.clock)
        self.stack = stack
        self.access = Access(stack.runner, tokens, stack.clock)
        self.sessions = Sessions(stack.runner, tokens, stack.ids, stack.clock, lifetimes=LIFETIMES)
        self.accounts = Accounts(
            stack.runner,
            self.access,
            self.sessions,
            BcryptPasswords(rounds=4, concurrency=1),
            stack.ids,
            stack.clock,
            policy=PasswordPolicy(),
            hashing=HashingTurns(2, 2),
        )

    def sign_in(self, password: str = PASSWORD) -> SignedIn:
        """Sign ada in."""
        return self.accounts.sign_in("ada", password, deadline=self.stack.deadline())

    def refresh(self, token: str) -> SignedIn:
        """Use a refresh token."""
        return self.sessions.refresh(token, deadline=self.stack.deadline())

    def is_refused(self, token: str) -> bool:
        """Return whether a refresh token is good no more."""
        try:
            self.refresh(token)
        except RefreshRefused:
            return True
        return False

    def opens(self, access_token: str) -> bool:
        """Return whether an access token is good."""
        try:
            self.access.authenticate(access_token, deadline=self.stack.deadline())
        except InvalidToken:
            return False
        return True

    def stored(self, token: str) -> Any:
        """Return what is stored of the session of a refresh token."""
        with self.stack.storage.inner.unit_of_work(Scope.READ, deadline=self.stack.deadline()) as unit:
            return unit.sessions.get(token.partition(".")[0])


@pytest.fixture
def ada(stack: Any) -> Process:
    """A process with the user ada."""
    process = Process(stack)
    process.accounts.register("ada", PASSWORD, deadline=stack.deadline())
    return process
