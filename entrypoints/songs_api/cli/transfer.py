"""`songs import`."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import IO, Annotated, Final

import typer

from songs_api.bootstrap.user_errors import UserError
from songs_api.cli.output import progress_bar
from songs_api.cli.session import audited, durable_storage
from songs_api.files.records import FileUnusable
from songs_api.files.transfer import (
    ImportReport,
    export_songs,
    import_songs,
    refuse_no_export,
    songs_file,
    written_whole,
)
from songs_api.servers.processes import discard, was_closed

SOME_REFUSED: Final = 1


def import_(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="JSON Lines or a JSON array, plain or gzipped; - reads standard input."),
    ],
) -> None:
    """Add new songs and update changed ones. Artist, title and release date identify a song.

    Lines that are refused are reported by number, and the others are imported. The exit status is 1 if any line was
    refused, and 2 if nothing could be imported.
    """
    with (
        _opened(file) as songs,
        durable_storage() as container,
        audited(container, "import_songs", file=file) as told,
        _progress(songs) as (refuse, show),
    ):

        def progress(report: ImportReport) -> None:
            told.update(asdict(report))
            show(report)

        report = import_songs(songs, container.importer(), container.clock(), refuse=refuse, progress=progress)
        told.update(asdict(report))
    typer.echo(
        f"added {report.added}, updated {report.updated}, unchanged {report.unchanged}, refused {report.refused}"
    )
    if report.refused:
        raise typer.Exit(SOME_REFUSED)


@contextmanager
def _opened(name: str) -> Iterator[IO[bytes]]:
    """Yield the file. Errors that make it unusable, now or in the block, are reported with its name."""
    if name == "-" and was_closed("stdin"):
        msg = "standard input is closed; give a file, or write songs to it"
        raise UserError(msg)
    try:
        with nullcontext(sys.stdin.buffer) if name == "-" else songs_file(Path(name)) as file:
            yield file
    except FileUnusable as error:
        raise UserError(f"{name or repr(name)} {error.detail}") from error


@contextmanager
def _progress(file: IO[bytes]) -> Iterator[tuple[Callable[[int, str], None], Callable[[ImportReport], None]]]:
    """Yield functions that report refused lines and show the progress: a bar in a terminal, else nothing."""
    with progress_bar() as bar:
        task = bar.add_task("importing", total=_size(file))

        def refuse(line: int, reason: str) -> None:
            if bar.disable:
                try:
                    typer.echo(f"line {line}: {reason}", err=True)
                except OSError:  # the reader has closed it, or a disk is full: the rest is imported
                    discard(sys.stderr)
            else:
                bar.console.print(f"line {line}: {reason}", markup=False, highlight=False)

        def progress(report: ImportReport) -> None:
            position = file.tell() if file.seekable() else None
            bar.update(task, completed=position, description=f"{report.seen} songs")

        yield refuse, progress


def _size(file: IO[bytes]) -> int | None:
    return os.fstat(file.fileno()).st_size if file.seekable() else None


def export(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The file to write; .gz compresses, - writes to standard output.")
    ] = "-",
) -> None:
    """Write all songs as JSON Lines, for `songs import`. The file appears whole or not at all.

    It replaces an earlier export, and no other file.
    """
    if file == "-" and was_closed("stdout"):
        raise UserError("standard output is closed; give a file")
    with durable_storage() as container:
        catalogue, clock = container.catalogue(), container.clock()
        if file == "-":
            export_songs(sys.stdout.buffer, catalogue, clock)
            return
        try:
            refuse_no_export(Path(file))
            with written_whole(Path(file)) as target:
                count = export_songs(target, catalogue, clock)
        except OSError as error:
            msg = f"{file or repr(file)} cannot be written: {error.strerror or error}"
            raise UserError(msg) from error
    typer.echo(f"exported {count} songs to {file}")
