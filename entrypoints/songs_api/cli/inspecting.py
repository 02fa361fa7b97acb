"""Commands that need no service: `config`, `openapi`, `plugins`, `adapters new`."""

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from songs_api.cli.output import print_table
from songs_api.cli.session import load
from songs_plugins import AdapterSpec, Port
from songs_plugins.registry import PluginState, Registry
from songs_plugins.scaffold import PORTS, scaffold


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
) -> None:
    """Create a distribution for a new adapter, with every method as a stub, and print the first steps."""
    folder = scaffold(name, port, into)
    typer.echo(f"made {folder}; begin with its README.md:")
    typer.echo(f"  cd {shlex.quote(str(folder))}")
    typer.echo("  pip install --editable '.[test]'")
    typer.echo(f"  songs contract {name} --first")
