"""Importing and exporting files of songs: batch by batch, wrong records refused by line."""

import errno
import gc
import gzip
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

from songs.application.catalogue import Catalogue
from songs.application.importing import BATCH, ImportCounts, Importer
from songs.errors import SongsError, Unavailable
from songs.model import Song, SongDetails
from songs.ports.clock import Clock, Deadline
from songs.query import SongFilter, Walk
from songs_api.http.api.song_models import NewSong, song_members
from songs_api.http.kernel.read_plans import encode
from songs_api.http.kernel.validation import parse, validated
from songs_api.records import FileUnusable, Record, records

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


PAGE: Final = 500
PAGE_DEADLINE_S: Final = 60.0
_BEGINNING: Final = b'{"artist":'
"""The first bytes of every export that is not empty."""
_GZIP: Final = b"\x1f\x8b"


def song_line(song: Song) -> bytes:
    """Return a song as one line of JSON Lines, without its id: the identity is artist, title and release date."""
    members = song_members(song)
    del members["id"]
    return encode(members) + b"\n"


def all_songs(catalogue: Catalogue, clock: Clock) -> Iterator[Song]:
    """Yield all songs ordered by id; one that is there the whole time exactly once.

    Raises:
        Unavailable: The storage does not answer.
    """
    cursor: str | None = None
    while True:
        page = catalogue.page(SongFilter(), Walk(cursor, PAGE), deadline=Deadline.after(clock, PAGE_DEADLINE_S))
        yield from page.songs
        cursor = page.next_cursor
        if cursor is None:
            return


def export_songs(file: IO[bytes], catalogue: Catalogue, clock: Clock) -> int:
    """Write all songs to `file` and return how many there are.

    Raises:
        Unavailable: The storage does not answer.
        OSError: The file cannot be written.
    """
    count = 0
    for song in all_songs(catalogue, clock):
        file.write(song_line(song))
        count += 1
    return count


def refuse_no_export(path: Path) -> None:
    """Return if `path` does not exist, is empty, an earlier export or not a regular file.

    A typing error must not cost more than an export, such as the storage's own file or a `.env`.

    Raises:
        OSError: The path is another file, or cannot be read.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        beginning = file.read(len(_BEGINNING))
    if beginning.startswith(_GZIP):
        try:
            with gzip.open(path) as unpacked:
                beginning = unpacked.read(len(_BEGINNING))
        except (EOFError, OSError, zlib.error):
            pass  # damaged: whose it was cannot be seen
    if beginning not in {b"", _BEGINNING}:
        raise OSError("it is there already and no export of songs; remove it, or write elsewhere")


@contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file that becomes `path` when the block ends, whole and synced, or not at all. ``.gz`` compresses.

    What is not a regular file (a device, a pipe) is written to as it is.

    Raises:
        OSError: It cannot be written.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as device:
            yield device
        return
    # Where a link leads to: a file there is replaced, and the link stays.
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    descriptor, name = tempfile.mkstemp(prefix=".songs-", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            temporary.chmod(_mode(target))
            if target.suffix == ".gz":
                # Without a time of its own, equal catalogues give equal files.
                with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as compressed:
                    yield cast("IO[bytes]", compressed)
            else:
                yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        _sync_folder(target.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _mode(target: Path) -> int:
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
