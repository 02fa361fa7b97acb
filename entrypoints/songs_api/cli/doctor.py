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
from songs_api.cli.audit import audited
from songs_api.cli.output import progress_bar
from songs_api.cli.session import durable_storage
from songs_plugins.registry import Registry

SOMETHING_WRONG: Final = 1


def doctor(
    *,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what the storage can mend.")] = False,
) -> None:
    """Look whether the selected storage answers, and whether what it holds agrees; with --repair, mend it.

    The storage looks at what it alone can see: schema, indexes, folds, statistics against ratings, records that belong
    to nothing. It says what is wrong and what --repair would do about it; without --repair nothing is changed. Then
    every song and user must be found by its id, by its name and by searching, and statistics and totals must agree.
    The storage may be served meanwhile, also while it is repaired.

    The exit status is 0 when nothing is wrong (any more), 1 when something is, 2 when it could not be looked at.
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
                typer.echo(f"mended: {finding.what}") if finding.mended else wrong.append(_told(finding))
        finally:
            if repair:
                # Whatever a cache holds may be of before this repair, or before one that was killed.
                with audited(container, "repair", mended=mended) if mended else nullcontext(), naming(name):
                    container.coherence().outdate()
        with _telling(StorageReader(name, runner, clock).count()) as tell:
            found = examiner.run(tell)
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
    """Yield what the storage itself finds, after telling its versions.

    Raises:
        StorageUnavailable: It does not answer.
    """
    if not isinstance(storage, Maintenance):
        typer.echo("this storage offers no look at what it alone can see, and no repair")
        return
    with naming(name):
        typer.echo(", ".join(f"{what} {version}" for what, version in storage.versions().items()))
        yield from storage.examine(repair=repair)


def _told(finding: Finding) -> str:
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
def _telling(total: int) -> Iterator[Callable[[Tally], None]]:
    """Yield what shows how far it is: a bar in a terminal, else nothing."""
    with progress_bar() as bar:
        task = bar.add_task("looking", total=total)
        yield lambda tally: bar.update(task, completed=tally.songs, description=str(tally))
