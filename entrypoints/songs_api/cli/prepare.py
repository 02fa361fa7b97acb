"""`songs prepare`."""

import typer

from songs_api.cli.session import durable_storage


def prepare() -> None:
    """Create what the selected storage needs (schema, indexes). Existing data stays; it may be run again."""
    with durable_storage() as container:
        storage = container.settings().service.storage
    typer.echo(f"the storage {storage!r} is ready")
