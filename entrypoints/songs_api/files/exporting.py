"""Exporting the catalogue as JSON Lines, the format of imports."""

import errno
import gzip
import json
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, cast

from songs.application.catalogue import Catalogue
from songs.model import Song
from songs.ports.clock import Clock, Deadline
from songs.query import SongFilter, Walk

PAGE: Final = 500
PAGE_DEADLINE_S: Final = 60.0
_BEGINNING: Final = b'{"artist":'
"""The first bytes of every export that is not empty."""
_GZIP: Final = b"\x1f\x8b"


def song_line(song: Song) -> bytes:
    """Return a song as one line of JSON Lines, without its id: the identity is artist, title and release date."""
    members = {
        "artist": song.artist,
        "title": song.title,
        "difficulty": song.difficulty_milli / 1000,
        "level": song.level,
        "released": song.released.isoformat(),
    }
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


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
