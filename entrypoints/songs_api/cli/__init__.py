"""The command ``songs``. Exit status 0: success; 1: partial success; 2: failure, with a one-line reason."""

import errno
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from songs_api.bootstrap.handover import EXPECTED, REFUSED, UserError, report
from songs_api.cli.inspecting import adapters, config, contract, doctor, openapi, plugins
from songs_api.cli.serve import demo, prepare, serve
from songs_api.cli.session import usage_text
from songs_api.cli.transfer import copy, export, import_
from songs_api.cli.users import users
from songs_api.servers.processes import discard

INTERRUPTED: Final = 130
DEFECT: Final = 70

app: Final = typer.Typer(
    name="songs",
    help="A song catalogue with ratings: serve, import and maintain it.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in (demo, serve, prepare, export, copy, doctor, plugins, contract, openapi, config):
    app.command()(_command)
app.command("import")(import_)
app.add_typer(users, name="users")
app.add_typer(adapters, name="adapters")


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,  # noqa: FBT002 - typer's way of declaring a flag
) -> None:
    if show_version:
        typer.echo(f"songs-api {version('songs-api')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit
    try:
        Path.cwd()
    except OSError as error:
        msg = f"the working folder is gone ({error.strerror}); change to another one"
        raise UserError(msg) from error


_CANNOT_WRITE: Final = {errno.ENOSPC, errno.EIO, errno.EFBIG, errno.EDQUOT}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its exit status."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit status."""
    try:
        status = app(args=list(arguments), prog_name="songs", standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:
        typer.echo(f"songs: {usage_text(error)}", err=True)
        return REFUSED
    except EXPECTED as error:
        report(error)
        return REFUSED
    except OSError as error:
        return _unwritable(error)
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Exception:  # noqa: BLE001 - a defect: the trace is what makes it reportable
        return _defect()
    return status if isinstance(status, int) else 0


def _unwritable(error: OSError) -> int:
    """Report that standard output could not be written, if that is the error; return the exit status."""
    if not isinstance(error, BrokenPipeError) and error.errno not in _CANNOT_WRITE:
        return _defect()
    discard(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return 1  # the reader of our output has closed it
    line = f"standard output cannot be written: {error.strerror}; make room, or write elsewhere"
    typer.echo(f"songs: {line}", err=True)
    return REFUSED


def _defect() -> int:
    """Print the current exception in a form that can be reported; return the exit status."""
    traceback.print_exc()
    typer.echo(f"songs: this is a defect of songs-api {version('songs-api')}; please report it as above", err=True)
    return DEFECT
