"""`songs plugins`."""

import json
from dataclasses import asdict
from typing import Annotated, Any, Final

import typer

from songs_api.cli.table import print_table
from songs_plugins import AdapterSpec
from songs_plugins.registry import PluginState, Registry

NOT_INSTALLED: Final = "not installed"


def plugins(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002 - typer's way of declaring a flag
) -> None:
    """List the installed adapters: port, state, version, distribution and capabilities; and why one cannot be used."""
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
