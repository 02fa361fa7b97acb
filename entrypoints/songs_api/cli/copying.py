"""`songs copy`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Final

import typer

from songs.ports.storage import StorageCapabilities
from songs.tools.comparing import Comparison, StorageReader, Tally
from songs.tools.copying import Copier, CopyInterrupted, CopyReport, Stage
from songs_api.bootstrap.container import Container
from songs_api.bootstrap.startup import opened
from songs_api.bootstrap.user_errors import UserError, report, warn
from songs_api.cli.output import progress_bar
from songs_api.cli.session import audited, load
from songs_api.settings import Settings, SettingsError
from songs_api.settings.resolve import prefix_of
from songs_plugins import Port
from songs_plugins.registry import PluginError, Registry

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
    with _opened("--from", ours) as left:
        reader = _filled(left, source)
        with _opened("--to", theirs) as right, audited(right, "copy", source=source, target=target) as told:
            copier = Copier(
                reader,
                StorageReader(target, right.runner(), right.clock()),
                right.runner(),
                right.coherence(),
                right.clock(),
                transactions=right.storage().capabilities.transactions,
            )
            with _telling(reader.count()) as tell:
                try:
                    done = copier.run(tell)
                    told.update(asdict(done.added))
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
def _opened(option: str, settings: Settings) -> Iterator[Container]:
    with opened(settings) as container:
        # Once it is open, a storage may be able to do less than its plugin declares.
        problems = _not_durable(option, settings.service.storage, container.storage().capabilities)
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
def _telling(total: int) -> Iterator[Callable[[Stage, Tally], None]]:
    """Yield a function that shows the progress: a bar in a terminal, else nothing. Advises on Ctrl-C."""
    stage = Stage.CHECKING
    with progress_bar() as bar:
        task = bar.add_task(stage, total=total)

        def tell(now: Stage, tally: Tally) -> None:
            nonlocal stage
            stage = now
            bar.update(task, completed=tally.songs, total=max(total, tally.songs), description=f"{now}: {tally}")

        try:
            yield tell
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
