"""Storage and its units of work."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol, runtime_checkable

from songs.ports.clock import Deadline
from songs.ports.coherence import CoherenceRepository
from songs.ports.ratings import RatingRepository
from songs.ports.sessions import SessionRepository
from songs.ports.songs import SongRepository
from songs.ports.users import UserRepository


class Scope(Enum):
    """The reads and writes that a unit of work may make. Services read, or make one write; only tools make several."""

    READ = auto()
    """Reads only."""
    WRITE_ONE = auto()
    """Reads, then at most one write, as the last call: it needs no transaction, as each write is atomic alone."""
    WRITE_MANY = auto()
    """Any number of reads and writes, all or nothing: a transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageCapabilities:
    """The abilities that a storage declares. The contract kit holds it to them, and probes those that it denies."""

    durable: bool
    """An acknowledged write survives a crash of the process (STO-11)."""
    shared: bool
    """Several processes may have it open at once (STO-12)."""
    transactions: bool
    """WRITE_MANY is offered (STO-7)."""
    snapshot_reads: bool
    """All reads of one READ unit see one state (STO-9)."""
    maintenance: bool = False
    """The storage implements `songs.ports.maintenance.Maintenance` too."""


@runtime_checkable
class UnitOfWork(Protocol):
    """The repositories, for the length of one ``with`` block. Belongs to one thread."""

    @property
    def songs(self) -> SongRepository:
        """The songs."""
        ...

    @property
    def ratings(self) -> RatingRepository:
        """The ratings."""
        ...

    @property
    def users(self) -> UserRepository:
        """The users."""
        ...

    @property
    def sessions(self) -> SessionRepository:
        """The sessions."""
        ...

    @property
    def coherence(self) -> CoherenceRepository:
        """The coherence record."""
        ...


@runtime_checkable
class Storage(Protocol):
    """Where songs, ratings, users and sessions are kept. Thread-safe.

    STO-1: Importing and constructing do no I/O and start nothing. `open` makes it ready, after any fork; `open` on an
        open storage does nothing.
    STO-2: `prepare` creates what is missing (schema, indexes) and leaves all data as it is. It may be called again, and
        by two processes at once. Neither it nor `open` waits for others longer than 10 s; no deadline bounds their own
        work, such as building an index. In a place that was never prepared, `ping` and units of work do what they do
        in an empty one or raise `StorageUnavailable` (`StorageMismatch` is one), and `prepare` succeeds afterwards.
    STO-3: Many threads may use one storage at once, each with units of its own. What comes of a unit that another
        thread uses than the one that entered it is not defined.
    STO-4: A unit commits when its block ends cleanly; when an exception leaves the block, the unit is rolled back, as
        far as STO-6 and STO-7 say, and that same exception leaves the ``with`` statement, whatever it is: errors of
        the caller's own, `StopIteration` and `GeneratorExit` too. Either way everything that the unit took is freed,
        and its repositories raise `ScopeViolation` from then on. A unit is entered once: again, it raises.
    STO-5: In a READ unit every write raises `ScopeViolation` and changes nothing.
    STO-6: In a WRITE_ONE unit the one write is atomic, and takes effect when it is called or when the block ends
        cleanly, as the storage likes. When an exception leaves the block after it, it is kept whole or undone whole. A
        second write, also after one that was refused, raises `ScopeViolation` and changes nothing. What was read before
        the write may be older than it: the write itself compares, as if the unit had begun with it.
    STO-7: With `transactions`, all writes of a WRITE_MANY unit take effect together or not at all. Without, entering
        such a unit raises `Unsupported`.
    STO-8: No unit ever sees a part of a write, or a write of a WRITE_MANY unit that has not committed. A unit sees its
        own writes, through every repository.
    STO-9: With `snapshot_reads`, all reads of one READ unit, through every repository, see one state, in which every
        unit that had committed when it began is contained whole. It may be the state of any moment from its beginning
        to its first read.
    STO-10: Once a unit's block has ended cleanly, every unit that begins later sees its writes, through every storage
        object in every process.
    STO-11: With `durable`, writes survive `kill -9` right after the block ended, and the storage opens again by itself.
        A write whose block had not ended is kept whole or not at all; a server that was asked for it may keep it after
        the process has died, by the unit's deadline at the latest. Making it again (RAT-3, SNG-4, USR-3) settles it.
    STO-12: Durable and not shared: while one storage object has it open, `open` of another, in this process or in
        another, raises `StorageInUse` within a second; after `close`, or when that process died, it does not.
    STO-13: Nothing but `songs.errors.SongsError` leaves this port; the driver's exception is its ``__cause__``. An
        error during a write that is neither `OutcomeUnknown` nor `TransientConflict` means that nothing was kept.
    STO-14: No call lasts longer than the unit's deadline by more than half a second; it raises `StorageUnavailable` or
        `DeadlineExceeded` then, and `OutcomeUnknown` where a write may have been kept. The first is for a storage that
        was waited for (an answer, a connection, a lock), the second for time that was used up otherwise; callers treat
        them alike. A unit that is entered after its deadline, and a write that is called after it, raises one of the
        two and does nothing; a read that is called after it may return at once instead.
    STO-15: `TransientConflict` is raised where another writer was in the way and running the whole unit again may
        succeed, or where the backend itself asks for that; nothing was kept then. A connection that is lost, or a
        backend that fails, is no conflict but `StorageUnavailable`, or `OutcomeUnknown` where a write may have been
        kept.
    STO-16: `ping` changes nothing and returns when a read would succeed now; else `StorageUnavailable`. It asks what
        a read asks, each time, and waits for no writer that a read does not wait for.
    STO-17: `close` frees everything, and may be called again; afterwards `unit_of_work` raises `StorageClosed`.
        `open` opens it again, with all data where `durable`. While units are open, it returns by their deadlines; what
        they write is acknowledged and kept, or refused with `StorageUnavailable` or `OutcomeUnknown`. In a child that
        was forked off after `open` it frees what is the child's, and takes nothing from the parent: no connection, no
        lock.
    STO-18: `capabilities` is a `StorageCapabilities`, and the adapter's descriptor has one too, which declares all that
        an open storage does, or more.
    STO-22: What a storage asks its backend again by itself, because it failed, it asks at once at most once, and then
        after pauses that grow. While a backend fails whatever it is asked, a unit with a deadline of one second asks
        it at most 30 times.
    STO-23: Texts are compared character by character, by every method that is given one: ids, identities, keys, hashes
        and the name of the cache (names of users without regard to case, USR-2; searches as SNG-11 says). None is
        trimmed, cut, normalised or taken for a number, none matches as a pattern or by its beginning, and members that
        are compared together do not run into each other. Any text may be asked for; what is not there is not found.
    STO-24: A `limit` or an `offset` is any integer from 0 on. There are as many results as there are, up to `limit`,
        without a cap of the storage's own; with a limit of 0 nothing is returned or removed. No number of records, or
        of writes in a WRITE_MANY unit, is too large, as far as memory and time go. Numbers and sums are exact.
    STO-25: A thread may enter a READ unit while it is in another unit. That one is as if another thread had entered it,
        or raises `StorageUnavailable` where readers wait for writers; the outer one goes on as if it had not been.
    """

    @property
    def capabilities(self) -> StorageCapabilities:
        """The abilities of this storage; the same for the life of the object once it is open."""
        ...

    def open(self) -> None:
        """Make ready for use.

        Raises:
            StorageUnavailable: It cannot be reached or read.
            StorageInUse: Another process has it.
            StorageMismatch: What is stored there cannot be used.
        """
        ...

    def prepare(self) -> None:
        """Create whatever is missing. Call it on an open storage, before the first unit of work.

        Raises:
            StorageUnavailable: It cannot be reached, read or written.
            StorageMismatch: What is stored there cannot be used.
        """
        ...

    def unit_of_work(self, scope: Scope, *, deadline: Deadline) -> AbstractContextManager[UnitOfWork]:
        """Return a unit of work, to be used in one ``with`` statement.

        Raises (on entering, within, or on leaving the block):
            StorageUnavailable: It does not answer; nothing was kept.
            StorageDamaged: It holds a record that cannot be read; nothing was kept.
            TransientConflict: Nothing was kept; the same unit may succeed when run again.
            OutcomeUnknown: A write was sent and not confirmed.
            Unsupported: `scope` is WRITE_MANY and the storage has no transactions.
        """
        ...

    def ping(self, *, deadline: Deadline) -> None:
        """Return when the storage answers.

        Raises:
            StorageUnavailable: It does not.
        """
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


@runtime_checkable
class IdentifiedStorage(Protocol):
    """A durable storage whose data have an identity; an ability beside `Storage`.

    The workers of a server open such a storage as the data with which the server was started, and create nothing. A
    worker that takes the place of another one while the data are out of reach (a volume that is not mounted, a
    database that was dropped) must not begin new ones, acknowledge writes to them, and have them vanish afterwards.

    STO-19: Nothing but `prepare` creates anything that is to be kept. What it creates has an identity, which `identity`
        returns: a text that is the same through every storage object in every process as long as the data are there,
        and another one for data that were created anew or elsewhere.
    STO-20: `open_existing` does what `open` does where the data were prepared by this version and have the given
        identity (None: whichever they have). Else it raises `StorageUnavailable` and creates nothing; the storage
        is closed then.
    STO-21: Where data are taken away from an open storage (moved, removed, replaced, dropped), whole or in a part that
        the adapter watches, no write is acknowledged, and `ping` raises `StorageUnavailable`, for as long as they are
        away. When they are back as they were, units succeed again. Only where a server, asked by name, has other data
        in their place that hold the same record, a change of that record may be acknowledged until `ping`, or a write
        of anything new, has met the other data.
    """

    def identity(self) -> str:
        """Return the identity of the data of this storage, which is open and prepared.

        Raises:
            StorageUnavailable: It does not answer.
        """
        ...

    def open_existing(self, identity: str | None = None) -> None:
        """Make ready for use what was prepared before.

        Raises:
            StorageUnavailable: It cannot be reached, was not prepared, or is not the data of this identity.
            StorageInUse: Another process has it.
            StorageMismatch: What is stored there cannot be used.
        """
        ...
