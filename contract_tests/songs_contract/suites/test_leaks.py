"""What is left of a storage that was closed."""

import gc
import os
import threading
from contextlib import suppress
from pathlib import Path

from songs.ports.storage import Storage
from songs_contract.harness.driver import StorageUser, race
from songs_contract.harness.subject import Subject
from songs_contract.harness.timing import eventually
from songs_contract.law import builds_on, clause
from songs_contract.models.samples import rating, song
from songs_plugins import Port

PORT = Port.STORAGE

CYCLES = 3
GRACE_S = 5.0
_DESCRIPTORS = Path("/proc/self/fd")


def held() -> tuple[set[str], int]:
    """Return the threads, and the number of files and sockets where the system tells, of this process."""
    gc.collect()
    files = len(os.listdir(_DESCRIPTORS)) if _DESCRIPTORS.is_dir() else 0  # noqa: PTH208 - as many as there are
    return {f"{thread.name} {thread.ident}" for thread in threading.enumerate()}, files


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
    threads, files = held()
    for _ in range(CYCLES):
        use_once(subject)

    def gone() -> bool:
        now, open_files = held()
        return now <= threads and open_files <= files

    eventually(gone, within_s=GRACE_S)
