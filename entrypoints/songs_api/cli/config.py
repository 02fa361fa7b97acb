"""`songs config`."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from songs_api.cli.session import load
from songs_api.cli.table import print_table


def config(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002 - typer's way of declaring a flag
) -> None:
    """List every setting: its variable, its value (secrets masked), and where that comes from."""
    entries = load().entries
    if as_json:
        typer.echo(json.dumps([asdict(entry) for entry in entries], indent=2, ensure_ascii=False))
        return
    print_table(("VARIABLE", "SOURCE", "VALUE"), [(entry.name, entry.source, entry.value) for entry in entries])
