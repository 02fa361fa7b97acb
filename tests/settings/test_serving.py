"""What a service must satisfy to be started."""

from collections.abc import Callable

import pytest

from songs_api.settings import Settings, SettingsError, check_serving

Resolve = Callable[..., Settings]

DURABLE = {"SONGS_STORAGE": "acme"}
PRODUCTION = {**DURABLE, "SONGS_ENVIRONMENT": "production"}


def test_production_accepts_a_durable_storage_and_a_good_secret(settings: Resolve) -> None:
    """Nothing is refused, and nothing warned of."""
    assert check_serving(settings(PRODUCTION)) == []


@pytest.mark.parametrize(
    "texts",
    [
        {"SONGS_FORWARDED_HEADER": "forwarded"},
        {"SONGS_FORWARDED_HEADER": "x-forwarded-for"},
        {"SONGS_SERVER": "gunicorn"},
    ],
)
def test_production_accepts_proxies_whose_word_cannot_be_forged(settings: Resolve, texts: dict[str, str]) -> None:
    """Where the server tells headers with underscores apart, or the operator says that the proxy does, or need not."""
    assert check_serving(settings({**PRODUCTION, "SONGS_TRUSTED_PROXIES": "10.0.0.1", **texts})) == []


def test_what_production_refuses_of_proxies_is_warned_of_elsewhere(settings: Resolve) -> None:
    """By whichever server is started, whatever the settings name."""
    found = settings({**DURABLE, "SONGS_TRUSTED_PROXIES": "10.0.0.1"})

    assert [line[:22] for line in check_serving(found, server="granian")] == ["SONGS_FORWARDED_HEADER"]
    assert check_serving(found, server="gunicorn") == []


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        ({"SONGS_STORAGE": "memory"}, "SONGS_STORAGE: the storage 'memory' forgets everything"),
        ({"SONGS_JWT_SECRET": "change-me-change-me-change-me-change-me"}, "SONGS_JWT_SECRET is easy to guess"),
        ({"SONGS_JWT_SECRET": "a" * 64}, "SONGS_JWT_SECRET is easy to guess"),
        ({"SONGS_JWT_SECRET": ""}, "SONGS_JWT_SECRET is not set"),
        (
            {"SONGS_TOKENS": "acme", "SONGS_ACME_SECRET": "0123456789abcdef"},
            "SONGS_ACME_SECRET has fewer than 32 bytes",
        ),
        ({"SONGS_CACHE": "memory"}, "SONGS_CACHE: the cache 'memory' belongs to one process"),
        ({"SONGS_TRUSTED_PROXIES": "10.0.0.1"}, "SONGS_FORWARDED_HEADER: granian takes a client's X_Forwarded_For"),
    ],
)
def test_production_refuses_what_is_for_trying_out(settings: Resolve, texts: dict[str, str], problem: str) -> None:
    """Storages that forget, secrets that can be guessed, caches that others' writes do not reach."""
    found = settings({**PRODUCTION, **texts}, generate_secrets=True)

    with pytest.raises(SettingsError, match=problem):
        check_serving(found)


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        ({"SONGS_STORAGE": "memory"}, "SONGS_WORKERS: the storage 'memory' serves one process at a time, not 2"),
        ({**DURABLE, "SONGS_CACHE": "memory"}, "SONGS_CACHE: the cache 'memory' belongs to one process"),
        ({**DURABLE, "SONGS_JWT_SECRET": ""}, "SONGS_JWT_SECRET is not set, and 2 processes need one secret"),
    ],
)
def test_several_processes_share_everything(settings: Resolve, texts: dict[str, str], problem: str) -> None:
    """What one process has for itself is refused in development too, with the number of processes as it is."""
    found = settings(texts, generate_secrets=True)

    check_serving(found)
    with pytest.raises(SettingsError, match=problem):
        check_serving(found, workers=2)


def test_development_warns_of_what_will_not_last(settings: Resolve) -> None:
    """A secret that was made up and a storage that forgets are told, not refused."""
    warnings = check_serving(settings({"SONGS_JWT_SECRET": ""}, generate_secrets=True))

    assert [warning.split(" ")[0] for warning in warnings] == ["SONGS_JWT_SECRET", "the"]


def test_a_limiter_for_each_process_is_told(settings: Resolve) -> None:
    """Two processes that count on their own allow twice as much."""
    assert any(
        "the limiter 'memory' counts in each of the 2" in line for line in check_serving(settings(DURABLE), workers=2)
    )
