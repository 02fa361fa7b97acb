"""What the entry point ``jsonfile`` loads."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from songs_jsonfile.faults import faults
from songs_jsonfile.storage import JsonFileStorage
from songs_plugins import AdapterContext, AdapterSpec, Port, hookimpl, moved_away, overwritten, replaced


class JsonFileSettings(BaseModel):
    """The settings: ``SONGS_JSONFILE_PATH``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path = Field(description="The file, in a folder that exists; PATH.lock and PATH.new are used as well.")


def storage(settings: JsonFileSettings, _context: AdapterContext) -> JsonFileStorage:
    """Return the storage of these settings, not open yet."""
    return JsonFileStorage(settings.path.expanduser().absolute())


@contextmanager
def sandbox(folder: Path) -> Iterator[JsonFileSettings]:
    """Yield settings for a new file in `folder`; remove the file at the end."""
    path = folder / "songs.jsonl"
    try:
        yield JsonFileSettings(path=path)
    finally:
        for name in ("songs.jsonl", "songs.jsonl.lock", "songs.jsonl.new"):
            path.with_name(name).unlink(missing_ok=True)


@hookimpl
def songs_adapters() -> Sequence[AdapterSpec]:
    """Return the storage."""
    return [
        AdapterSpec(
            port=Port.STORAGE,
            name="jsonfile",
            summary="one append-only file of JSON Lines, durable, for one process",
            factory=storage,
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
