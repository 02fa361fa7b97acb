"""`songs doctor`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from songs.errors import CacheUnavailable
from songs.services.comparing import StorageReader, Tally
from songs.services.examining import Examiner
from songs_api.cli.session import durable_storage
from songs_api.container import Container
from songs_api.refusals import warn
from songs_plugins.registry import Registry

SOMETHING_WRONG: Final = 1


def doctor() -> None:
    """Look whether the selected storage answers, and whether what it answers hangs together. Changes nothing.

    Every song and user must be found by its id, by its name and by searching; the statistics of every song must agree
    with its ratings, and the difficulty totals with the songs. The storage may be served meanwhile. What only the
    storage itself can see (its files and indexes, records that belong to nothing) is not looked at.

    The exit status is 0 when nothing is wrong, 1 when something is, 2 when it could not be looked at.
    """
    with durable_storage() as container:
        name, storage = container.settings().service.storage, container.storage()
        abilities = [ability.replace("_", " ") for ability, has in asdict(storage.capabilities).items() if has]
        typer.echo(f"storage {name} ({_distribution(name)}): {', '.join(abilities)}")
        wrong = _cache_problems(container)
        runner, clock = container.runner(), container.clock()
        with _telling(StorageReader(name, runner, clock).count()) as tell:
            found = Examiner(name, storage, runner, clock).run(tell)
    wrong += found.wrong
    for line in wrong:
        warn(line)
    totals = "and at the difficulty totals" if found.totals else "not at the difficulty totals, which changed meanwhile"
    typer.echo(f"looked at {found.seen}, {totals}")
    typer.echo(f"wrong: {len(wrong)}" if wrong else "nothing is wrong")
    if wrong:
        raise typer.Exit(SOMETHING_WRONG)


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
    console = Console(stderr=True, soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("looking", total=total)
        yield lambda tally: bar.update(task, completed=tally.songs, description=str(tally))
