"""`songs import`, `songs export` and `songs copy`."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import IO, Annotated, Final

import typer

from songs.ports.storage import StorageCapabilities
from songs.tools.comparing import Comparison, StorageReader, Tally
from songs.tools.copying import Copier, CopyInterrupted, CopyReport, Stage
from songs_api.bootstrap.container import Container
from songs_api.bootstrap.handover import UserError, report, warn
from songs_api.bootstrap.startup import opened
from songs_api.cli.session import audited, durable_storage, load, progress_bar
from songs_api.records import FileUnusable
from songs_api.servers.processes import discard, was_closed
from songs_api.settings import Settings, SettingsError
from songs_api.settings.resolve import prefix_of
from songs_api.transfer import (
    ImportReport,
    export_songs,
    import_songs,
    refuse_no_export,
    songs_file,
    written_whole,
)
from songs_plugins import Port
from songs_plugins.registry import PluginError, Registry

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
        audited(container, "import_songs", file=file) as details,
        _progress(songs) as (refuse, show),
    ):

        def progress(report: ImportReport) -> None:
            details.update(asdict(report))
            show(report)

        report = import_songs(songs, container.importer(), container.clock(), refuse=refuse, progress=progress)
        details.update(asdict(report))
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


IN_PART: Final = 1
SHOWN: Final = 10
"""The number of differences of each kind that are printed; the others are counted."""


def copy(
    source: Annotated[str, typer.Option("--from", metavar="STORAGE", help="The storage to copy, by its name.")],
    target: Annotated[
        str, typer.Option("--to", metavar="STORAGE", help="The storage to copy into: empty, or with part of this copy.")
    ],
) -> None:
    """Copy everything from one storage into another: songs, ratings with their ids and keys, and users.

    Each storage has its own variables, SONGS_<NAME>_*. Sessions are left out: everyone signs in again. At the end
    both storages are compared. To resume an interrupted copy, run it again. A target that holds anything but part of
    the source is refused, and nothing is written.

    Do not write to the source meanwhile, or run the copy again until it verifies; serve the target only afterwards.
    The exit status is 0 when the copy is verified, 1 when it is incomplete, and 2 if nothing was copied.
    """
    ours, theirs = _settings(source, target)
    with _opened_durable("--from", ours) as left:
        reader = _filled(left, source)
        with _opened_durable("--to", theirs) as right, audited(right, "copy", source=source, target=target) as details:
            copier = Copier(
                reader,
                StorageReader(target, right.runner(), right.clock()),
                right.runner(),
                right.coherence(),
                right.clock(),
                transactions=right.storage().capabilities.transactions,
            )
            with _copy_progress(reader.count()) as show:
                try:
                    done = copier.run(show)
                    details.update(asdict(done.added))
                except CopyInterrupted as error:
                    report(error)
                    raise typer.Exit(IN_PART) from error
    _print(done, source, target)
    if not done.verified.holds:
        raise typer.Exit(IN_PART)


def _settings(source: str, target: str) -> tuple[Settings, Settings]:
    if source == target:
        msg = f"--from and --to are both {source!r}, which is one place with one set of settings; name two storages"
        raise UserError(msg)
    found: list[Settings] = []
    problems: list[str] = []
    for option, name in (("--from", source), ("--to", target)):
        try:
            spec = Registry().get(Port.STORAGE, name)
            # The cache and the limiter of a service are not asked: the copy has no use for them.
            found.append(load({"storage": name, "cache": "none", "limiter": "none"}))
        except PluginError as error:
            problems.append(f"{option}: {error}")
        except SettingsError as error:
            problems += error.problems
        else:
            if isinstance(spec.capabilities, StorageCapabilities):
                problems += _not_durable(option, name, spec.capabilities)
    if problems:
        raise SettingsError(list(dict.fromkeys(problems)))
    return found[0], found[1]


def _not_durable(option: str, name: str, capabilities: StorageCapabilities) -> list[str]:
    if capabilities.durable:
        return []
    return [f"{option}: the storage {name!r} lives in one process only and keeps nothing; see: songs plugins"]


@contextmanager
def _opened_durable(option: str, settings: Settings) -> Iterator[Container]:
    with opened(settings) as container:
        # Once it is open, a storage may be able to do less than its plugin declares.
        problems = _not_durable(option, settings.service.adapters.storage, container.storage().capabilities)
        if problems:
            raise SettingsError(problems)
        yield container


def _filled(container: Container, name: str) -> StorageReader:
    """Return a reader of the source.

    Raises:
        UserError: It is empty: opening a storage creates it, so that a wrong path looks like this.
    """
    reader = StorageReader(name, container.runner(), container.clock())
    if not reader.count() and next(reader.users(), None) is None:
        msg = f"--from: the storage {name!r} holds neither songs nor users; look at its settings, {prefix_of(name)}*"
        raise UserError(msg)
    return reader


@contextmanager
def _copy_progress(total: int) -> Iterator[Callable[[Stage, Tally], None]]:
    """Yield a function that shows the progress: a bar in a terminal, else nothing. Advises on Ctrl-C."""
    stage = Stage.CHECKING
    with progress_bar() as bar:
        task = bar.add_task(stage, total=total)

        def show(now: Stage, tally: Tally) -> None:
            nonlocal stage
            stage = now
            bar.update(task, completed=tally.songs, total=max(total, tally.songs), description=f"{now}: {tally}")

        try:
            yield show
        except KeyboardInterrupt:
            bar.stop()
            warn(_HOW_TO_GO_ON[stage])
            raise


_HOW_TO_GO_ON: Final = {
    Stage.CHECKING: "stopped before anything was written",
    Stage.COPYING: "stopped while copying; run the same command again to go on from here",
    Stage.VERIFYING: "stopped before everything was compared; run the same command again to verify it",
}


def _print(done: CopyReport, source: str, target: str) -> None:
    verified = done.verified
    typer.echo(f"copied from {source} to {target}: {done.added}; there already: {done.found}")
    typer.echo("sessions are not copied: everyone signs in again")
    if verified.holds:
        typer.echo(
            f"verified: {verified.equal.songs} songs and {verified.equal.users} users are equal; so are the statistics "
            f"of every song ({verified.equal.ratings} ratings); difficulty totals are right, of all songs and of "
            f"{verified.levels} levels"
        )
        return
    for line in _first(verified.missing) + _first(verified.different):
        warn(line)
    typer.echo(f"not verified: {_advice(verified, source, target)}")


def _first(lines: list[str]) -> list[str]:
    more = [f"and {len(lines) - SHOWN} more like this"] if len(lines) > SHOWN else []
    return lines[:SHOWN] + more


def _advice(verified: Comparison, source: str, target: str) -> str:
    if not verified.different:
        return f"{source} was written to meanwhile; run the same command again to copy what is new"
    return (
        f"{source} or {target} was changed meanwhile in a way that copying again does not mend; copy into an empty "
        f"storage, and let nothing write to either"
    )
