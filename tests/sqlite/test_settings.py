"""Where the file is by default, and what may be configured."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from songs_plugins import Port
from songs_sqlite import SqliteSettings, SqliteStorage
from songs_sqlite.plugin import songs_adapters


def test_the_default_is_in_the_users_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """XDG_DATA_HOME counts when it is absolute; else it is ~/.local/share."""
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert SqliteSettings().file() == Path("/data/songs-api/songs.db")
    for useless in ("", "relative"):
        monkeypatch.setenv("XDG_DATA_HOME", useless)
        assert SqliteSettings().file() == tmp_path / ".local" / "share" / "songs-api" / "songs.db"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert SqliteSettings().file() == tmp_path / ".local" / "share" / "songs-api" / "songs.db"


def test_a_path_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A relative path means the folder that the program was started in, ``~`` the user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert SqliteSettings(path=Path("x.db")).file() == tmp_path / "x.db"
    assert SqliteSettings(path=Path("~/x.db")).file() == tmp_path / "home" / "x.db"


@pytest.mark.parametrize("path", ["", ":memory:", "file:x.db?mode=memory", "a\0b"])
def test_what_is_no_file_is_refused(path: str) -> None:
    """SQLite's special names would make a storage that is neither durable nor shared."""
    with pytest.raises(ValidationError, match="must name a file"):
        SqliteSettings.model_validate({"path": path})


def test_odd_file_names_are_just_names(tmp_path: Path, storage: SqliteStorage) -> None:
    """Characters with a meaning in URIs are part of the file's name."""
    odd = SqliteStorage(tmp_path / "a?mode=memory&b#c%20d é.db", storage._clock, connections=1)
    odd.open()
    odd.prepare()
    odd.close()
    assert (tmp_path / "a?mode=memory&b#c%20d é.db").stat().st_size > 0


def test_the_plugin_offers_a_storage(tmp_path: Path) -> None:
    """The descriptor leads to a storage, with a private place for the contract kit."""
    (spec,) = songs_adapters()
    assert (spec.port, spec.name, spec.settings) == (Port.STORAGE, "sqlite", SqliteSettings)
    assert spec.capabilities == SqliteStorage.capabilities
    assert spec.sandbox is not None
    with spec.sandbox(tmp_path) as settings:
        assert isinstance(settings, SqliteSettings)
        settings.file().touch()
        assert settings.file().parent == tmp_path
    assert list(tmp_path.iterdir()) == []
