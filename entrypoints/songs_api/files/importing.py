"""Importing a file of songs: batch by batch, refusing invalid lines and keeping the rest."""

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from songs.application.importing import BATCH, ImportCounts, Importer
from songs.errors import SongsError, Unavailable
from songs.model import SongDetails
from songs.ports.clock import Clock, Deadline
from songs_api.files.records import FileUnusable, Record, records
from songs_api.http.api.song_models import NewSong
from songs_api.http.kernel.validation import parse, validated

BATCH_DEADLINE_S: Final = 60.0

Refuse = Callable[[int, str], None]
"""Called with the number of each refused line, and the reason."""


@dataclass(slots=True)
class ImportReport:
    """The results of an import. Songs are stored in batches, and counted when they are stored."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: int = 0

    @property
    def seen(self) -> int:
        """The number of songs processed."""
        return self.added + self.updated + self.unchanged + self.refused

    def count(self, counts: ImportCounts) -> None:
        """Add what a batch came to."""
        self.added += counts.added
        self.updated += counts.updated
        self.unchanged += counts.unchanged


class ImportInterrupted(SongsError):
    """The storage failed during the import; `report` counts the songs stored so far. Running it again completes it."""

    code = "import_interrupted"

    def __init__(self, report: ImportReport, cause: Unavailable) -> None:
        stored = f"{report.added} added, {report.updated} updated and {report.unchanged} unchanged until then"
        super().__init__(f"the import stopped ({stored}): {cause.detail} Run it again to complete it.")
        self.report = report


def read_details(record: Record) -> SongDetails:
    """Return the song that a record describes: the same JSON that POST /songs takes.

    Raises:
        SongsError: It is not one; the message says why, without repeating it.
    """
    if record.text is None:
        raise SongsError(record.problem)
    return validated(NewSong, parse(record.text)).details


@contextmanager
def songs_file(path: Path) -> Iterator[IO[bytes]]:
    """Yield the file, open for reading.

    Raises:
        FileUnusable: The file does not exist, or cannot be opened.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
        except (OSError, ValueError) as error:  # ValueError: a NUL in its name
            raise FileUnusable(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
        yield file


def import_songs(
    file: IO[bytes],
    importer: Importer,
    clock: Clock,
    *,
    refuse: Refuse,
    progress: Callable[[ImportReport], None] = lambda _: None,
) -> ImportReport:
    """Store the songs of a file and return the results.

    Args:
        file: JSON Lines or a JSON array, maybe compressed.
        importer: Stores them.
        clock: For the deadline of each batch.
        refuse: Called for each refused line.
        progress: Called with the results so far, after each batch.

    Raises:
        ImportInterrupted: The storage does not answer.
        FileUnusable: The file cannot be read, or is no file of songs.
    """
    report = ImportReport()
    for batch in _batches(file, report, refuse):
        try:
            report.count(importer.apply(batch, deadline=Deadline.after(clock, BATCH_DEADLINE_S)))
        except Unavailable as error:
            raise ImportInterrupted(report, error) from error
        # A storage in memory keeps what it is given. The collector would walk through all of it again and again.
        gc.freeze()
        progress(report)
    return report


def _batches(file: IO[bytes], report: ImportReport, refuse: Refuse) -> Iterator[list[SongDetails]]:
    batch: list[SongDetails] = []
    for details in _checked(file, report, refuse):
        batch.append(details)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _checked(file: IO[bytes], report: ImportReport, refuse: Refuse) -> Iterator[SongDetails]:
    for record in records(file):
        try:
            yield read_details(record)
        except SongsError as error:
            report.refused += 1
            refuse(record.line, error.detail.replace("The body", "The line", 1))
