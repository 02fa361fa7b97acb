"""The checks of a unit of work that are the same in every storage."""

import os
from abc import ABC, abstractmethod
from threading import get_ident
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

from songs.errors import DeadlineExceeded, ScopeViolation, SongsError, StorageClosed
from songs.ports.clock import Deadline
from songs.ports.storage import Scope

Held = TypeVar("Held")


class GuardedUnit(ABC, Generic[Held]):
    """Base class of a unit of work: the checks that the port asks of every unit.

    A subclass writes `_begin` and `_end`, and has repositories that call `reading` before each statement and
    `writing` before each write. `Held` is what they work with (never None), a connection for example:

        class AcmeUnit(GuardedUnit[acme.Connection]):
            def __init__(self, pool: acme.Pool, scope: Scope, deadline: Deadline) -> None:
                super().__init__(scope, deadline)
                self._pool = pool

            def _begin(self) -> acme.Connection:
                connection = self._pool.take(timeout_s=self.left_s)
                connection.execute("BEGIN")
                return connection

            def _end(self, held: acme.Connection, *, commit: bool) -> None:
                try:
                    held.execute("COMMIT" if commit else "ROLLBACK")
                finally:
                    self._pool.give(held)

            def rows(self, sql: str) -> list[acme.Row]:
                connection = self.reading()
                try:
                    return connection.execute(sql)
                except acme.Error as error:
                    raise self.failed(translated(error)) from error

    The unit is entered once, and used within its block, by the thread that entered it and not by a process that was
    forked off inside of it; it writes what its scope allows, and does nothing after its deadline. A breach raises
    `ScopeViolation`, `StorageClosed` (the forked process) or `DeadlineExceeded`. After an error that was handed to
    `failed`, every call raises that error again, and so does a clean end of the block, which then commits nothing.

    Attributes:
        left_s: The seconds that were left when the unit was entered, or when `reading` or `writing` last returned; more
            than 0.0. It bounds the next statement, without another look at the clock.
    """

    __slots__ = ("_deadline", "_failure", "_held", "_process", "_scope", "_thread", "_wrote", "left_s")

    def __init__(self, scope: Scope, deadline: Deadline) -> None:
        self._scope = scope
        self._deadline = deadline
        self._held: Held | None = None
        self._failure: SongsError | None = None
        self._thread = 0
        self._wrote = False

    @abstractmethod
    def _begin(self) -> Held:
        """Begin, with `left_s` seconds left; return what `reading` is to return.

        An error of its own leaves the ``with`` statement, and `_end` is not called: free what was taken before.
        """

    @abstractmethod
    def _end(self, held: Held, *, commit: bool) -> None:
        """Commit or roll back, and free everything, whatever happens. `reading` may be called until it returns.

        A `SongsError` that it raises takes the place of one that left the block, and of no other exception.

        Args:
            held: What `_begin` returned, or `hold` was given since.
            commit: Whether the block ended cleanly, without an error that `failed` noted.
        """

    def __enter__(self) -> Self:
        if self._thread:
            raise ScopeViolation("A unit of work is entered once; ask the storage for another.")
        self._thread = get_ident()
        self._process = _process
        self.left_s = self._deadline.remaining_s()
        if not self.left_s:
            raise DeadlineExceeded
        try:
            self._held = self._begin()
        except BaseException:
            self._held = None
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        held = self._held
        if held is None:
            raise ScopeViolation("A unit of work is left once, after it was entered.")
        clean = kind is None
        try:
            if self._process is _process:
                self._end(held, commit=clean and self._failure is None)
            elif clean:
                raise StorageClosed(_FORKED)
        except SongsError:
            # An error of the domain may rest on an answer of the storage that does not hold; no other does (STO-4).
            if clean or isinstance(error, SongsError):
                raise
        finally:
            self._held = None
        if clean and self._failure is not None:
            # The block swallowed an error after which a write may be incomplete: it must not look committed.
            raise self._failure

    def reading(self) -> Held:
        """Return what the unit works with, for one statement.

        Raises:
            ScopeViolation: The block has not begun, or has ended, or belongs to another thread.
            StorageClosed: This process was forked off inside of the block.
            DeadlineExceeded: The unit's time is used up; as `failed` has it.
        """
        held = self._held
        if held is None:
            raise ScopeViolation("A unit of work can be used within its with block only.")
        if get_ident() != self._thread:
            raise ScopeViolation("A unit of work belongs to the thread that entered its with block.")
        if self._process is not _process:
            raise StorageClosed(_FORKED)
        if self._failure is not None:
            raise self._failure
        self.left_s = self._deadline.remaining_s()
        if not self.left_s:
            # It may fall between two statements of one write.
            raise self.failed(DeadlineExceeded())
        return held

    def writing(self) -> Held:
        """Return what the unit works with, for one write of a repository, of any number of statements.

        Raises:
            ScopeViolation: As `reading`; or the scope does not allow the write.
            StorageClosed: As `reading`.
            DeadlineExceeded: As `reading`.
        """
        held = self.reading()
        if self._scope is Scope.READ:
            raise ScopeViolation("A READ unit of work was asked to write; use WRITE_ONE or WRITE_MANY.")
        if self._wrote and self._scope is Scope.WRITE_ONE:
            raise ScopeViolation("A WRITE_ONE unit of work was asked for a second write; use WRITE_MANY.")
        self._wrote = True
        return held

    def hold(self, held: Held) -> None:
        """Have `reading` return `held` from now on, in place of what `_begin` returned."""
        self._held = held

    def failed(self, error: SongsError) -> SongsError:
        """Note an error after which nothing may be done or committed any more; return the error to be raised.

        A storage in which each write is kept or lost as a whole, at once, overrides it and notes nothing.
        """
        self._failure = error
        return error


_FORKED: Final = "This process was forked off after the storage was opened; open it in this process."

_process = object()
"""Another object in each forked process. Only the thread that forks goes on in the child, so where a unit is open in
it, it is Python that forked, and has its hooks run; unlike `os.getpid`, comparing it asks the system nothing."""


def _in_child() -> None:
    global _process  # noqa: PLW0603 - what is true of a process is kept once in a process
    _process = object()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
