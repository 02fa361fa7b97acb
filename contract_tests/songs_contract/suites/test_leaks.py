"""What is left of a storage that was closed, and of what one refused."""

import gc
import os
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from songs.errors import SongsError
from songs.ports.storage import Scope, Storage, UnitOfWork
from songs_contract.harness.driver import StorageUser, race
from songs_contract.harness.subject import Subject
from songs_contract.harness.timing import eventually
from songs_contract.law import builds_on, clause
from songs_contract.models.samples import rating, song
from songs_contract.suites.test_storage_units import REFUSED, WRITES, fill
from songs_plugins import Port

PORT = Port.STORAGE

CYCLES = 3
REFUSALS = 20
GRACE_S = 5.0
_DESCRIPTORS = Path("/proc/self/fd")


def held() -> Counter[str]:
    """Return the threads, and the files and sockets where the system tells, of this process: each by a name."""
    gc.collect()
    found = Counter(f"the thread {thread.name} {thread.ident}" for thread in threading.enumerate())
    if not _DESCRIPTORS.is_dir():
        return found
    for descriptor in os.listdir(_DESCRIPTORS):  # noqa: PTH208 - as many as there are
        with suppress(OSError):  # that of the folder itself
            target = (_DESCRIPTORS / descriptor).readlink()
            # A pipe or a socket has a number, by which it is another one each time.
            found[f"a descriptor of {str(target).partition(':')[0]}"] += 1
    return found


def assert_nothing_is_left(before: Counter[str]) -> None:
    """Wait until all is gone that was not there before; a failure names what stays."""
    left = before

    def gone() -> bool:
        nonlocal left
        left = held() - before
        return not left

    with suppress(AssertionError):
        eventually(gone, within_s=GRACE_S)
    assert not left, "left behind: " + ", ".join(f"{number} x {name}" for name, number in left.items())


def use_once(subject: Subject) -> None:
    """Open the place, use it from several threads, and close it."""
    storage: Storage = subject.storage()
    use = StorageUser(storage, subject)
    use.add_songs(song())
    race([lambda n=n: use.rate(rating(f"rating-{n}")) for n in range(4)])  # type: ignore[misc]
    with suppress(Exception):
        use.write(lambda unit: unit.songs.delete("song-1", if_version=99))
    use.delete_song()
    storage.close()


@clause("STO-17")
@builds_on("RAT-1")
def test_closing_leaves_nothing(subject: Subject) -> None:
    """However often a place is opened, used and closed, no thread, file or socket stays with the process."""
    use_once(subject)
    before = held()
    for _ in range(CYCLES):
        use_once(subject)
    assert_nothing_is_left(before)


@clause("STO-4", "STO-17")
@builds_on("RAT-4", "USR-5")
def test_refusing_leaves_nothing(use: StorageUser, storage: Storage, subject: Subject) -> None:
    """Nor does it after many refusals: of writes, scopes, deadlines, exceptions, and of a closed storage."""
    fill(use)
    late, other = subject.deadline(1.0), subject.build()
    subject.clock.advance(2.0)

    def refuse(attempt: Callable[[], object]) -> None:
        with suppress(SongsError, ZeroDivisionError):
            attempt()

    def enter(storage: Storage, scope: Scope, work: Callable[[UnitOfWork], object], *, in_time: bool = True) -> None:
        with storage.unit_of_work(scope, deadline=subject.deadline() if in_time else late) as unit:
            work(unit)

    def refuse_everything() -> None:
        for work in REFUSED.values():
            refuse(lambda work=work: enter(storage, Scope.WRITE_ONE, work))  # type: ignore[misc]
        for scope in Scope:
            refuse(lambda scope=scope: enter(storage, scope, WRITES["songs.add"], in_time=False))  # type: ignore[misc]
            refuse(lambda scope=scope: enter(storage, scope, lambda _: 1 // 0))  # type: ignore[misc]
            refuse(lambda scope=scope: enter(other, scope, lambda unit: unit.songs.get("")))  # type: ignore[misc]
        refuse(lambda: enter(storage, Scope.READ, WRITES["songs.add"]))
        refuse(lambda: other.ping(deadline=subject.deadline()))
        if subject.declares("durable") and not subject.declares("shared"):
            refuse(other.open)

    for _ in range(2):
        # What is made at the first use, such as a connection for each of several threads, stays.
        refuse_everything()
    before = held()
    for _ in range(REFUSALS):
        refuse_everything()
    assert_nothing_is_left(before)
