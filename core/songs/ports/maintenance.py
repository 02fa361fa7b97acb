"""Maintenance, an ability beside the port of a storage: checks of data that no other port shows, and their repair."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong.

    Attributes:
        what: What it is, with the id of the record or the name of the index.
        remedy: The repair ("recount them"); empty where somebody else has to do something, which `what` says then.
        mended: Whether that was done.
    """

    what: str
    remedy: str = ""
    mended: bool = False


@runtime_checkable
class Maintenance(Protocol):
    """Checks and repair, offered by a storage that declares `maintenance`. Thread-safe, as all of the storage.

    MNT-1: `examine` yields a finding for what is kept twice and does not agree (statistics and events, totals and
        songs, folds and texts, indexes), for what is missing, and for what belongs to nothing. It changes nothing. Of
        what is written through the ports, also while it looks, it finds nothing wrong.
    MNT-2: With `repair` each finding that has a remedy is mended before it is yielded, and says so; another look
        finds none of them. Whoever stops in between leaves nothing half mended.
    MNT-3: Repairing changes nothing that the ports show but what was wrong: songs, users, sessions, rating events with
        their keys, and the coherence record stay as they are.
    MNT-4: Repairing is safe while others write, through any storage object in any process: no write is lost, none is
        counted twice, and none fails for it. It works in batches; only an index that is built as a whole may keep
        writers waiting.
    MNT-5: A storage that keeps folds of texts keeps `songs.text.FOLD_VERSION` beside them. Where that is another,
        `open` and `prepare` go on, one of them logs one warning with both versions, and the songs stay as they are;
        `examine` finds it, and repairing folds the songs anew.
    MNT-6: `versions` returns at least one version, by name, of what is stored or of what stores it; that of the folds,
        where they are kept, is named ``folds``. After `close`,
        `versions` and `examine` raise `StorageClosed`.
    """

    def versions(self) -> Mapping[str, str]:
        """Return the versions of schema, folds and the like, by name, for people to read.

        Raises:
            StorageUnavailable: It does not answer.
        """
        ...

    def examine(self, *, repair: bool = False) -> Iterator[Finding]:
        """Look at everything, which may take long, and yield what is wrong as it is found.

        Raises:
            StorageUnavailable: It does not answer (any more).
        """
        ...
