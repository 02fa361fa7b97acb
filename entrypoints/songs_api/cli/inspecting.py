"""Commands that inspect: `config`, `openapi`, `plugins`, `contract`, `doctor`; and `adapters new`."""

import importlib
import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Final

import typer

from songs.errors import CacheUnavailable
from songs.ports.maintenance import Finding, Maintenance
from songs.ports.storage import Storage
from songs.tools.checking import Examination, Examiner
from songs.tools.comparing import StorageReader, Tally, naming
from songs_api.bootstrap.container import Container
from songs_api.bootstrap.handover import UserError, warn
from songs_api.cli.session import audited, durable_storage, load, print_table, progress_bar
from songs_api.transfer import written_whole
from songs_plugins import AdapterSpec, Port
from songs_plugins.registry import PluginState, Registry
from songs_plugins.scaffold import PORTS, is_complete, scaffold


def config(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002 - typer's way of declaring a flag
) -> None:
    """List every setting with its variable, value (secrets masked) and source."""
    entries = load().entries
    if as_json:
        typer.echo(json.dumps([asdict(entry) for entry in entries], indent=2, ensure_ascii=False))
        return
    print_table(("VARIABLE", "SOURCE", "VALUE"), [(entry.name, entry.source, entry.value) for entry in entries])


def openapi() -> None:
    """Print the OpenAPI document, as served under /openapi.json."""
    from songs_api.http.app import openapi_document  # noqa: PLC0415 - takes time to load, and few need it

    typer.echo(openapi_document())


NOT_INSTALLED: Final = "not installed"


def plugins(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002 - typer's way of declaring a flag
) -> None:
    """List the installed adapters with port, state, version, distribution, capabilities and problems."""
    states = list(Registry().survey())
    if as_json:
        listed = [item for state in states for item in _items(state)]
        typer.echo(json.dumps(listed, indent=2, ensure_ascii=False))
        return
    rows = [row for state in states for row in _rows(state)]
    print_table(("NAME", "PORT", "STATE", "VERSION", "DISTRIBUTION", "ABOUT"), rows)


def _capabilities(spec: AdapterSpec) -> dict[str, bool]:
    return asdict(spec.capabilities) if spec.capabilities is not None else {}


def _items(state: PluginState) -> list[dict[str, Any]]:
    common = {"name": state.name, "version": state.version, "distribution": state.distribution}
    if state.install is not None:
        return [{**common, "port": None, "state": NOT_INSTALLED, "problem": state.problem, "install": state.install}]
    if state.problem is not None:
        return [{**common, "port": None, "state": "broken", "problem": state.problem}]
    return [
        {**common, "port": spec.port, "state": "ok", "summary": spec.summary, "capabilities": _capabilities(spec)}
        for spec in state.adapters
    ]


def _rows(state: PluginState) -> list[tuple[str, ...]]:
    common = (state.version, state.distribution)
    if state.install is not None:
        return [(state.name, "-", NOT_INSTALLED, *common, state.install)]
    if state.problem is not None:
        return [(state.name, "-", "broken", *common, " ".join(state.problem.split()))]
    return [(state.name, spec.port, "ok", *common, _about(spec)) for spec in state.adapters]


def _about(spec: AdapterSpec) -> str:
    has = [name.replace("_", " ") for name, value in _capabilities(spec).items() if value]
    return f"{spec.summary} ({', '.join(has)})" if has else spec.summary


adapters: Final = typer.Typer(help="Write an adapter of your own.", no_args_is_help=False)


@adapters.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The adapter's name, as in SONGS_STORAGE.")],
    port: Annotated[Port, typer.Option(help=f"The port of the adapter: {', '.join(PORTS)}.")] = Port.STORAGE,
    into: Annotated[Path, typer.Option(help="The folder in which the folder songs_NAME is created.")] = Path(),
    empty: Annotated[bool, typer.Option("--empty", help="Begin a storage without code, too.")] = False,  # noqa: FBT002
) -> None:
    """Create a distribution for a new adapter and print the first steps.

    A storage is complete, in dictionaries that your backend takes the place of; other ports have methods to be written.
    """
    folder = scaffold(name, port, into, empty=empty)
    typer.echo(f"made {folder}; begin with its README.md:")
    typer.echo(f"  cd {shlex.quote(str(folder))}")
    typer.echo("  pip install --editable '.[test]'")
    typer.echo(f"  songs contract {name}{'' if is_complete(port, empty=empty) else ' --first'}")


def contract(  # noqa: PLR0913, PLR0917 - one for each option, as typer wants it
    name: Annotated[
        str, typer.Argument(metavar="ADAPTER", help="A registered adapter (`songs plugins`), or module:attribute.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,  # noqa: FBT002 - typer's way of declaring a flag
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the report as Markdown.")] = False,  # noqa: FBT002
    thorough: Annotated[bool, typer.Option("--thorough", help="Run the checks that take minutes too.")] = False,  # noqa: FBT002
    seed: Annotated[int | None, typer.Option(help="Use this seed, to repeat a run.")] = None,
    first: Annotated[bool, typer.Option("--first", help="Stop at the first failure, in the guide's order.")] = False,  # noqa: FBT002
    xfail: Annotated[
        Path | None, typer.Option(help="A file of clauses that are expected to fail, each with its reason.")
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(help="Write the result of each test to this file, as JUnit XML.")
    ] = None,
    patience: Annotated[
        float | None, typer.Option(min=0.1, metavar="SECONDS", help="The time limit of one test (120; thorough: 1200).")
    ] = None,
) -> None:
    """Check an adapter against the contract of its ports and print a report, clause by clause."""
    try:
        # By name: the service and the kit never import each other, and the kit's libraries are an extra.
        kit = importlib.import_module("songs_contract.run")
    except ImportError as error:
        msg = f"the contract kit needs {error.name!r}; install it: pip install 'songs-api[contract]'"
        raise UserError(msg) from error
    with _whole(junit) as report:
        status = kit.run_contract(
            name,
            json=as_json,
            markdown=markdown,
            thorough=thorough,
            seed=seed,
            first=first,
            xfail=xfail,
            junit=report,
            patience_s=patience,
        )
        if report is None or not report.exists():
            raise typer.Exit(int(status))
    raise typer.Exit(int(status))


@contextmanager
def _whole(path: Path | None) -> Iterator[Path | None]:
    """Yield a file whose content is moved to `path` when the block succeeds: whole, or not at all.

    Raises:
        UserError: `path` cannot be written; said before the block begins, where that shows before.
    """
    if path is None:
        yield None
        return
    with TemporaryDirectory() as folder, ExitStack() as stack:
        made = Path(folder) / "report"
        with _named(path):
            target = stack.enter_context(written_whole(path))
        yield made
        with _named(path):
            target.write(made.read_bytes())
            stack.close()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error


FINDINGS_LEFT: Final = 1


def doctor(
    *,
    repair: Annotated[bool, typer.Option("--repair", help="Repair what the storage can repair.")] = False,
) -> None:
    """Check that the storage responds and its data is consistent; with --repair, repair it.

    The storage checks its schema, indexes, folds, statistics against ratings, and orphaned records. It reports each
    finding, and the repair that --repair would make; without --repair nothing is changed. Then every song and user
    must be found by id, by name and by searching, and statistics and totals must agree. The storage may be served
    meanwhile, even while it is repaired. A record that cannot be read ends the check, which names it.

    The exit status is 0 without findings or when all were repaired, 1 when a finding is left, and 2 when the storage
    could not be checked.
    """
    with durable_storage() as container:
        name, storage = container.settings().service.adapters.storage, container.storage()
        abilities = [ability.replace("_", " ") for ability, has in asdict(storage.capabilities).items() if has]
        typer.echo(f"storage {name} ({_distribution(name)}): {', '.join(abilities)}")
        runner, clock = container.runner(), container.clock()
        wrong, found, mended = _cache_problems(container), Examination(), 0
        try:
            try:
                for finding in _findings(name, storage, repair=repair):
                    mended += finding.mended
                    typer.echo(f"repaired: {finding.what}") if finding.mended else wrong.append(_described(finding))
            finally:
                if repair:
                    # The entries of a cache may be older than this repair, or than one that was killed.
                    with audited(container, "repair", mended=mended) if mended else nullcontext(), naming(name):
                        container.coherence().outdate()
            with _progress(StorageReader(name, runner, clock).count()) as show:
                Examiner(name, storage, runner, clock).run(show, found=found)
        finally:
            # Also if a damaged record ended the check: a finding may name it.
            wrong += found.wrong
            for line in wrong:
                warn(line)
    totals = "and the difficulty totals" if found.totals else "not the difficulty totals, which changed meanwhile"
    typer.echo(f"checked {found.seen}, {totals}")
    if mended:
        typer.echo(f"repaired: {mended}")
    typer.echo(f"findings: {len(wrong)}" if wrong else "no findings")
    if wrong:
        raise typer.Exit(FINDINGS_LEFT)


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


def _described(finding: Finding) -> str:
    return f"{finding.what}; --repair would {finding.remedy}" if finding.remedy else finding.what


def _distribution(name: str) -> str:
    states = (state for state in Registry().survey() if state.name == name)
    return next(f"{state.distribution} {state.version}" for state in states)


def _cache_problems(container: Container) -> list[str]:
    try:
        container.cache().ping()
    except CacheUnavailable as error:
        return [f"the cache {container.settings().service.adapters.cache!r} does not answer: {error.detail}"]
    return []


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Tally], None]]:
    """Yield a function that shows the progress: a bar in a terminal, else nothing."""
    with progress_bar() as bar:
        task = bar.add_task("checking", total=total)
        yield lambda tally: bar.update(task, completed=tally.songs, description=str(tally))
