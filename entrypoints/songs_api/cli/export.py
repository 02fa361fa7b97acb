"""`songs export`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from songs_api.cli.session import durable_storage
from songs_api.files.exporting import export_songs, refuse_no_export, written_whole
from songs_api.refusals import UserError
from songs_api.servers.lifetime import was_closed


def export(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Where to; .gz compresses, - writes to standard output.")
    ] = "-",
) -> None:
    """Write all songs as JSON Lines, as `songs import` reads them. The file appears whole or not at all.

    It takes the place of an earlier export, and of no other file.
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
