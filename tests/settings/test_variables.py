"""Where variables come from, and what is left of them in the environment."""

import os
import pickle
from pathlib import Path

import pytest

from songs_api.settings import SettingsError, Source, Variables, scrub


def test_the_environment_comes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each variable has the source that won; others' variables are not read."""
    (tmp_path / ".env").write_text("SONGS_PORT=1\nSONGS_HOST='::1'\nOTHER=x\n")
    monkeypatch.setenv("SONGS_PORT", "2")

    found = Variables.read(tmp_path)

    assert {name: (found[name].text, found[name].source) for name in found} == {
        "SONGS_PORT": ("2", Source.ENVIRONMENT),
        "SONGS_HOST": ("::1", Source.DOTENV),
    }


def test_empty_means_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose files set variables to nothing where nothing is meant."""
    monkeypatch.setenv("SONGS_PORT", "")

    assert "SONGS_PORT" not in Variables.read(tmp_path)


def test_variables_of_the_test_suites_are_none_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SONGS_TEST_* say where real servers are, and stop no service."""
    monkeypatch.setenv("SONGS_TEST_MONGO_URL", "mongodb://localhost")

    assert list(Variables.read(tmp_path)) == []


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """An .env in another encoding is one line, not a traceback."""
    (tmp_path / ".env").write_bytes(b"SONGS_HOST=\xff\xfe")

    with pytest.raises(SettingsError, match=r"\.env cannot be read: it is not UTF-8"):
        Variables.read(tmp_path)


def test_a_line_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A line without a value, or without the end of its quotation, is not silently left out; it is not repeated."""
    (tmp_path / ".env").write_text('# a comment\nSONGS_HOST=::1\nSONGS_PORT 8001\nSONGS_JWT_SECRET="s3cret\n')

    with pytest.raises(SettingsError) as caught:
        Variables.read(tmp_path)

    assert caught.value.problems[0] == ".env, line 3: cannot be read; write NAME=value"
    assert "s3cret" not in str(caught.value)


def test_values_are_taken_as_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret with a dollar sign is the same secret in the file and in the environment."""
    monkeypatch.setenv("HOST_NAME", "replaced")
    (tmp_path / ".env").write_text("SONGS_HOST=a${HOST_NAME}b$c\n")

    assert Variables.read(tmp_path)["SONGS_HOST"].text == "a${HOST_NAME}b$c"


def test_scrubbing_leaves_nothing_that_a_request_could_show() -> None:
    """Settings, and what servers would take for headers and parts of the request, are gone; the rest stays."""
    environ = {
        "SONGS_JWT_SECRET": "x",
        "SONGS_MONGO_URL": "x",
        "HTTP_AUTHORIZATION": "Bearer x",
        "CONTENT_TYPE": "application/json",
        "REMOTE_USER": "root",
        "wsgi.multiprocess": "1",
        "PATH": "/bin",
        "HTTPS_PROXY": "http://proxy",
    }

    scrub(environ)

    assert environ == {"PATH": "/bin", "HTTPS_PROXY": "http://proxy"}


def test_variables_reach_other_processes_and_no_repr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They survive pickling, as spawned workers get them, and their repr holds no text."""
    monkeypatch.setenv("SONGS_JWT_SECRET", "very secret indeed")
    found = Variables.read(tmp_path)

    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301 - our own
    assert "very secret" not in repr(found)
    assert "very secret" not in repr(found["SONGS_JWT_SECRET"])
    assert os.environ["SONGS_JWT_SECRET"]


def test_a_byte_order_mark_hides_no_setting(tmp_path: Path) -> None:
    """Editors of Windows write one: the first line of .env counts all the same."""
    (tmp_path / ".env").write_text("\ufeffSONGS_PORT=1\n", encoding="utf-8")

    assert Variables.read(tmp_path).get("SONGS_PORT") == "1"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"#" * 1_000_001, r"\.env cannot be read: it is longer than 1000000 bytes"),
        (b"SONGS_HOST=a\0b\n", r"\.env, line 1: cannot be read"),
        ("SONGS_PORT=1".encode("utf-16"), r"\.env cannot be read: it is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    """A disk image, a device or a binary in its place is one line, and is not read to its end."""
    (tmp_path / ".env").write_bytes(content)

    with pytest.raises(SettingsError, match=why):
        Variables.read(tmp_path)
