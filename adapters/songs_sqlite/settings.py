"""Where the file is."""

import os
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator


class SqliteSettings(BaseModel):
    """The settings of the SQLite storage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path | None = Field(
        default=None,
        description="The database file; made, with its folder, when it is missing. "
        "Default: songs-api/songs.db in the platform's folder for application data.",
    )

    @field_validator("path", mode="before")
    @classmethod
    def _names_a_file(cls, value: object) -> object:
        text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
        if text is None:
            return value
        # SQLite gives these a meaning of their own, under which nothing would be durable or shared.
        if not text or text.startswith((":", "file:")) or "\0" in str(text):
            raise ValueError("must name a file, not ':memory:', a URI or nothing; for a storage in memory use 'memory'")
        return value

    def file(self) -> Path:
        """Return the absolute path of the database file. Does no I/O.

        Raises:
            RuntimeError: `path` is not set, and the user has no home folder to look for a default in.
        """
        chosen = self.path if self.path is not None else _data_folder() / "songs-api" / "songs.db"
        return chosen.expanduser().absolute()


def _data_folder() -> Path:
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local) if local else Path.home() / "AppData" / "Local"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    configured = Path(os.environ.get("XDG_DATA_HOME", ""))
    # The XDG base directory specification: a relative path is invalid and is to be ignored.
    return configured if configured.is_absolute() else Path.home() / ".local" / "share"
