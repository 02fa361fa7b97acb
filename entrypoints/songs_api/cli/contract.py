"""`songs contract`."""

import importlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from songs_api.bootstrap.user_errors import UserError
from songs_api.files.exporting import written_whole


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
