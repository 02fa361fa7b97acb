"""`songs adapters`."""

import shlex
from pathlib import Path
from typing import Annotated, Final

import typer

from songs_plugins import Port
from songs_plugins.scaffold import PORTS, scaffold

adapters: Final = typer.Typer(help="Write an adapter of your own.", no_args_is_help=False)


@adapters.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name: what users write in SONGS_STORAGE.")],
    port: Annotated[Port, typer.Option(help=f"What it is an adapter for: {', '.join(PORTS)}.")] = Port.STORAGE,
    into: Annotated[Path, typer.Option(help="The folder in which its folder songs_NAME is made.")] = Path(),
) -> None:
    """Make a distribution for a new adapter, with everything still to be written, and say how to begin."""
    folder = scaffold(name, port, into)
    typer.echo(f"made {folder}; begin with its README.md:")
    typer.echo(f"  cd {shlex.quote(str(folder))}")
    typer.echo("  pip install --editable '.[test]'")
    typer.echo(f"  songs contract {name} --first")
