"""`songs doctor`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from typing import Annotated, Final

import typer

from songs.errors import CacheUnavailable
from songs.ports.maintenance import Finding, Maintenance
from songs.ports.storage import Storage
from songs.tools.checking import Examiner
from songs.tools.comparing import StorageReader, Tally, naming
from songs_api.bootstrap.container import Container
from songs_api.bootstrap.user_errors import warn
from songs_api.cli.output import progress_bar
from songs_api.cli.session import audited, durable_storage
from songs_plugins.registry import Registry

SOMETHING_WRONG: Final = 1


def doctor(
    *,
    repair: Annotated[bool, typer.Option("--repair", help="Repair what the storage can repair.")] = False,
) -> None:
    """Check that the storage responds and its data is consistent; with --repair, repair it.

    The storage checks its schema, indexes, folds, statistics against ratings, and orphaned records. It reports each
    problem, and the repair that --repair would make; without --repair nothing is changed. Then every song and user
    must be found by id, by name and by searching, and statistics and totals must agree. The storage may be served
    meanwhile, even while it is repaired.

    The exit status is 0 when nothing is wrong or all of it was repaired, 1 when a problem is left, and 2 when the
    storage could not be checked.
    """
    with durable_storage() as container:
        name, storage = container.settings().service.storage, container.storage()
        abilities = [ability.replace("_", " ") for ability, has in asdict(storage.capabilities).items() if has]
        typer.echo(f"storage {name} ({_distribution(name)}): {', '.join(abilities)}")
        wrong = _cache_problems(container)
        runner, clock = container.runner(), container.clock()
        examiner = Examiner(name, storage, runner, clock)
        mended = 0
        try:
            for finding in _findings(name, storage, repair=repair):
                mended += finding.mended
                typer.echo(f"mended: {finding.what}") if finding.mended else wrong.append(_reported(finding))
        finally:
            if repair:
                # The entries of a cache may be older than this repair, or than one that was killed.
                with audited(container, "repair", mended=mended) if mended else nullcontext(), naming(name):
                    container.coherence().outdate()
        with _progress(StorageReader(name, runner, clock).count()) as progress:
            found = examiner.run(progress)
    wrong += found.wrong
    for line in wrong:
        warn(line)
    totals = "and at the difficulty totals" if found.totals else "not at the difficulty totals, which changed meanwhile"
    typer.echo(f"looked at {found.seen}, {totals}")
    if mended:
        typer.echo(f"mended: {mended}")
    typer.echo(f"wrong: {len(wrong)}" if wrong else "nothing is wrong")
    if wrong:
        raise typer.Exit(SOMETHING_WRONG)


def _findings(name: str, storage: Storage, *, repair: bool) -> Iterator[Finding]:
    """Print the storage's versions, and yield its own findings.

    Raises:
        StorageUnavailable: It does not respond.
    """
    if not isinstance(storage, Maintenance):
        typer.echo("this storage offers no checks of its own, and no repair")
        return
    with naming(name):
        typer.echo(", ".join(f"{what} {version}" for what, version in storage.versions().items()))
        yield from storage.examine(repair=repair)


def _reported(finding: Finding) -> str:
    return f"{finding.what}; --repair would {finding.remedy}" if finding.remedy else finding.what


def _distribution(name: str) -> str:
    states = (state for state in Registry().survey() if state.name == name)
    return next(f"{state.distribution} {state.version}" for state in states)


def _cache_problems(container: Container) -> list[str]:
    try:
        container.cache().ping()
    except CacheUnavailable as error:
        return [f"the cache {container.settings().service.cache!r} does not answer: {error.detail}"]
    return []


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Tally], None]]:
    """Yield a function that shows the progress: a bar in a terminal, else nothing."""
    with progress_bar() as bar:
        task = bar.add_task("looking", total=total)
        yield lambda tally: bar.update(task, completed=tally.songs, description=str(tally))
