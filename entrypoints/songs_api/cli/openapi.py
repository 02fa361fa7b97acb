"""`songs openapi`."""

import typer

from songs_api.http.openapi import document_bytes


def openapi() -> None:
    """Print the OpenAPI document of the service, as it serves it under /openapi.json."""
    typer.echo(document_bytes())
