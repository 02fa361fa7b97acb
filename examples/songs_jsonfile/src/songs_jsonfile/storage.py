"""The storage."""

import threading
from pathlib import Path
from typing import Final

from songs.errors import StorageClosed
from songs.ports.clock import Deadline
from songs.ports.storage import Scope, StorageCapabilities
from songs_jsonfile.journal import Journal
from songs_jsonfile.unit import Unit


class JsonFileStorage:
    """The storage in the file at `path`.

    It has no transactions, and two reads of one unit may see two states: each call is atomic, and that is all.
    """

    capabilities: Final = StorageCapabilities(durable=True, shared=False, transactions=False, snapshot_reads=False)

    def __init__(self, path: Path) -> None:
        self._path = path
        self._journal: Journal | None = None
        self._opening = threading.Lock()

    def open(self) -> None:
        with self._opening:
            if self._journal is None:
                self._journal = Journal(self._path)

    def open_existing(self, identity: str | None = None) -> None:
        with self._opening:
            if self._journal is None:
                journal = Journal(self._path)
                try:
                    journal.check_identity(identity)
                except BaseException:
                    journal.close()
                    raise
                self._journal = journal

    def identity(self) -> str:
        return self._opened().identity

    def prepare(self) -> None:
        self._opened().prepare()

    def unit_of_work(self, scope: Scope, *, deadline: Deadline) -> Unit:
        return Unit(self._opened(), scope, deadline)

    def ping(self, *, deadline: Deadline) -> None:
        with self._opened().turn(deadline):
            pass

    def close(self) -> None:
        with self._opening:
            if self._journal is not None:
                self._journal.close()
                self._journal = None

    def _opened(self) -> Journal:
        journal = self._journal
        if journal is None:
            raise StorageClosed
        return journal
