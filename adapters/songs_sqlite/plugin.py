"""What the entry point ``sqlite`` loads."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from songs_plugins import AdapterContext, AdapterSpec, Port, hookimpl
from songs_sqlite.damages import DAMAGES
from songs_sqlite.faults import faults
from songs_sqlite.settings import SqliteSettings
from songs_sqlite.storage import SqliteStorage


def storage(settings: SqliteSettings, context: AdapterContext) -> SqliteStorage:
    """Return the storage of these settings, not open yet."""
    # One connection more than there are callers, so that a readiness check does not wait for them.
    return SqliteStorage(settings.file(), context.clock, connections=context.concurrency + 1)


@contextmanager
def sandbox(folder: Path) -> Iterator[SqliteSettings]:
    """Yield settings for a new file in `folder`; remove the file at the end."""
    path = folder / "songs.db"
    try:
        yield SqliteSettings(path=path)
    finally:
        for name in ("songs.db", "songs.db-wal", "songs.db-shm"):
            path.with_name(name).unlink(missing_ok=True)


@hookimpl
def songs_adapters() -> Sequence[AdapterSpec]:
    """Return the storage."""
    return [
        AdapterSpec(
            port=Port.STORAGE,
            name="sqlite",
            summary="one file on this machine, durable, for any number of processes",
            factory=storage,
            settings=SqliteSettings,
            capabilities=SqliteStorage.capabilities,
            sandbox=sandbox,
            damages=DAMAGES,
            faults=faults,
        )
    ]
