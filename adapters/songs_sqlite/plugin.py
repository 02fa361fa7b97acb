"""The module of the entry point ``sqlite``."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from songs_plugins import AdapterContext, AdapterSpec, Port, hookimpl, moved_away, replaced
from songs_sqlite.storage import SqliteSettings, SqliteStorage
from songs_sqlite.testing import DAMAGES, faults


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


LOSSES: Final[Mapping[str, Callable[[SqliteSettings], AbstractContextManager[None]]]] = {
    "the folder": lambda settings: moved_away(settings.file().parent),
    "the file": lambda settings: moved_away(settings.file()),
    "the file, for a copy": lambda settings: replaced(settings.file()),
    "the log": lambda settings: moved_away(_beside(settings, "-wal")),
    "the log's index": lambda settings: moved_away(_beside(settings, "-shm")),
}


def _beside(settings: SqliteSettings, ending: str) -> Path:
    file = settings.file()
    return file.with_name(file.name + ending)


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
            losses=LOSSES,
            faults=faults,
        )
    ]
