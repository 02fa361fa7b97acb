"""What clients and operators are shown where the storage fails, and where a stored record is damaged."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from falcon import testing
from tests.clock import ManualClock

from songs import errors
from songs.errors import OutcomeUnknown, StorageUnavailable, Unavailable
from songs_api.http.kernel.operation import PREFIX
from songs_sqlite import SqliteStorage

from .conftest import PASSWORD, Service
from .raising import OURS, app_that_raises

ADVICE = "The stored song s-17 in /var/lib/songs.db is damaged; set SONGS_SQLITE_PATH."
DAMAGE = (
    "UPDATE users SET role = 'king'; UPDATE songs SET level = 999; UPDATE ratings SET value = 9; "
    "UPDATE sessions SET expires_at_ms = 1 << 62; UPDATE stats SET n3 = 9223372036854775807"
)


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]


@pytest.mark.parametrize(
    "kind", [each for each in OURS if issubclass(each, Unavailable)], ids=lambda kind: kind.__name__
)
def test_advice_for_operators_reaches_no_client(
    service: Service, user: dict[str, str], caplog: pytest.LogCaptureFixture, kind: type[Unavailable]
) -> None:
    """With 503 a client is shown the summary, and the log has the detail under the id of the request."""
    result = app_that_raises(service, kind(ADVICE)).simulate_get("/raises", headers=user)

    assert result.status_code == 503
    assert result.json["detail"] == result.json["error"] == kind.summary
    (line,) = [each for each in _warnings(caplog) if result.headers["X-Request-ID"] in each]
    assert ADVICE in line


def test_the_log_has_the_reason_of_an_unknown_outcome(
    service: Service, user: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """An error that another one of the storage led to is logged with that one's detail."""
    error = OutcomeUnknown()
    error.__cause__ = StorageUnavailable(ADVICE)

    result = app_that_raises(service, error).simulate_get("/raises", headers=user)

    assert "s-17" not in result.text
    assert any(ADVICE in each for each in _warnings(caplog))


def test_what_is_meant_for_clients_reaches_them(service: Service, user: dict[str, str]) -> None:
    """Where an error says what clients should know, they are shown that in place of the summary."""
    error = OutcomeUnknown(public="The change is stored.")

    result = app_that_raises(service, error).simulate_get("/raises", headers=user)

    assert result.json["detail"] == "The change is stored."


@pytest.fixture
def damaged(build: Callable[..., Service], tmp_path: Path) -> tuple[Service, dict[str, Any]]:
    """A service whose every record somebody damaged, and what its client knows."""
    storage = SqliteStorage(tmp_path / "songs.db", ManualClock(), connections=9)
    storage.open()
    storage.prepare()
    service = build(replaced={"storage": storage})
    known: dict[str, Any] = {"headers": service.join("ursula"), "song": service.add_song()}
    rating = {"song_id": known["song"], "rating": 3}
    service.client.simulate_post(f"{PREFIX}/songs/ratings", json=rating, headers=known["headers"])
    known["session"] = _login(service.client).json["refresh_token"]
    with closing(sqlite3.connect(tmp_path / "songs.db")) as connection, connection:
        connection.executescript(DAMAGE)
    return service, known


def _login(client: testing.TestClient) -> Any:
    return client.simulate_post(f"{PREFIX}/auth/login", json={"username": "ursula", "password": PASSWORD})


def test_damaged_records_are_named_to_operators_alone(
    damaged: tuple[Service, dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    """Signing in, refreshing, reading and rating are 503 `storage_damaged`; the log names the record and the remedy."""
    service, known = damaged
    client, song, headers = service.client, known["song"], known["headers"]
    answers = [
        (_login(client), "user"),
        (client.simulate_post(f"{PREFIX}/auth/refresh", json={"refresh_token": known["session"]}), "session"),
        (client.simulate_get(f"{PREFIX}/songs/{song}", headers=headers), f"song {song}"),
        (client.simulate_get(f"{PREFIX}/songs", headers=headers), f"song {song}"),
        (
            client.simulate_post(f"{PREFIX}/songs/ratings", json={"song_id": song, "rating": 3}, headers=headers),
            "counter",
        ),
    ]

    for answer, _ in answers:
        assert (answer.status_code, answer.json["code"]) == (503, "storage_damaged")
        assert answer.json["detail"] == errors.StorageDamaged.summary
        assert int(answer.headers["Retry-After"]) >= 60
    for line, (_, named) in zip(_warnings(caplog)[-len(answers) :], answers, strict=True):
        assert f"stored {named}" in line
        assert "backup" in line
