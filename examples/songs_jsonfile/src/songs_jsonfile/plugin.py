"""What the entry point ``jsonfile`` loads."""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from songs_jsonfile.storage import JsonFileStorage
from songs_plugins import AdapterSpec, FailingCalls, Port, failing, hookimpl, moved_away, overwritten, replaced
from songs_plugins.files import Disk


class JsonFileSettings(BaseModel):
    """The settings: ``SONGS_JSONFILE_PATH``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path = Field(description="The file, in a folder that exists; PATH.lock and PATH.new are used as well.")


@contextmanager
def sandbox(folder: Path) -> Iterator[JsonFileSettings]:
    """Yield settings for a new file in `folder`, which is removed with it."""
    yield JsonFileSettings(path=folder / "songs.jsonl")


def faults(_settings: JsonFileSettings) -> AbstractContextManager[FailingCalls]:
    """Return what lets calls of the system fail, for the contract kit: with the error of a disk that is broken."""
    return failing(Disk, "write", "sync", "rename", error=lambda _: OSError(errno.EIO, os.strerror(errno.EIO)))


@hookimpl
def songs_adapters() -> Sequence[AdapterSpec]:
    """Return the storage."""
    return [
        AdapterSpec(
            port=Port.STORAGE,
            name="jsonfile",
            summary="one append-only file of JSON Lines, durable, for one process",
            factory=lambda settings, _context: JsonFileStorage(settings.path.expanduser().absolute()),
            settings=JsonFileSettings,
            capabilities=JsonFileStorage.capabilities,
            sandbox=sandbox,
            losses={
                "the file": lambda settings: moved_away(settings.path),
                "the folder": lambda settings: moved_away(settings.path.parent),
                "the file, for a copy": lambda settings: replaced(settings.path),
                "its end": lambda settings: overwritten(settings.path, lambda content: content[: len(content) // 2]),
                "its bytes, for more": lambda settings: overwritten(settings.path, lambda content: content + content),
                "its bytes, for as many": lambda settings: overwritten(settings.path, bytes.swapcase),
            },
            faults=faults,
        )
    ]
