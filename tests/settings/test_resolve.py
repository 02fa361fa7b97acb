"""Variables become settings, or a list of everything that is wrong with them."""

from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest

from songs.ports.limiter import RateLimit
from songs_api.settings import Settings, SettingsError, Source
from songs_plugins import Port

Resolve = Callable[..., Settings]


def _entry(settings: Settings, name: str) -> tuple[str, str]:
    return next((entry.value, entry.source) for entry in settings.entries if entry.name == name)


def test_defaults_serve_from_memory_where_nothing_durable_is_installed(settings: Resolve) -> None:
    """Without sqlite the storage is memory; cache, limiter, tokens and passwords have their defaults."""
    found = settings()

    names = {port: choice.spec.name for port, choice in found.adapters.items()}
    assert names == {
        Port.STORAGE: "memory",
        Port.CACHE: "none",
        Port.LIMITER: "memory",
        Port.TOKENS: "jwt",
        Port.PASSWORDS: "bcrypt",
        Port.CLOCK: "system",
        Port.IDS: "system",
    }
    assert found.service.limits.limiter_default == RateLimit(100, 60)
    assert found.source("SONGS_STORAGE") is Source.DEFAULT


@pytest.mark.parametrize(
    ("text", "limit"),
    [("5/second", RateLimit(5, 1)), ("7 / day", RateLimit(7, 86_400)), ("none", None)],
)
def test_a_rate_is_a_number_and_a_window(settings: Resolve, text: str, limit: RateLimit | None) -> None:
    """SONGS_LIMITER_DEFAULT counts per second, minute, hour or day; none is no limit."""
    assert settings({"SONGS_LIMITER_DEFAULT": text}).service.limits.limiter_default == limit


def test_proxies_are_networks_in_a_list(settings: Resolve) -> None:
    """Commas and blanks separate networks of both families; an address is a network of one."""
    found = settings({"SONGS_TRUSTED_PROXIES": "10.0.0.0/8, ::1 192.0.2.1"}).service.http.trusted_proxies

    assert found == (ip_network("10.0.0.0/8"), ip_network("::1"), ip_network("192.0.2.1"))


def test_origins_are_a_list(settings: Resolve) -> None:
    """Commas and blanks separate origins as browsers write them; by default there are none."""
    found = settings({"SONGS_CORS_ORIGINS": "https://app.example.com, http://localhost:3000 http://[::1]:8080"})

    assert found.service.http.cors_origins == ("https://app.example.com", "http://localhost:3000", "http://[::1]:8080")
    assert settings().service.http.cors_origins == ()


@pytest.mark.parametrize(
    "origin",
    [
        *("*", "null", "example.com", "https://a.example/", "https://a.example/x", "HTTPS://a.example"),
        *("https://A.example", "https://a.example:443", "http://a.example:80", "https://*.example.com"),
        *("https://u@a.example", "https://a.example:0"),
    ],
)
def test_an_origin_that_no_browser_sends_is_refused(settings: Resolve, origin: str) -> None:
    """It would be compared with what browsers send, and never be equal: better told at the start."""
    with pytest.raises(SettingsError, match=r"^SONGS_CORS_ORIGINS: '.+' "):
        settings({"SONGS_CORS_ORIGINS": origin})


def test_an_adapter_is_set_up_by_variables_with_its_name(settings: Resolve) -> None:
    """SONGS_<NAME>_<FIELD> reaches the adapter's own settings model."""
    found = settings({"SONGS_STORAGE": "acme", "SONGS_ACME_SIZE": "7"})

    assert found.adapters[Port.STORAGE].settings.size == 7  # type: ignore[attr-defined]


def test_everything_wrong_is_told_at_once(settings: Resolve) -> None:
    """One line a problem, each with its variable, of the service and of adapters alike."""
    with pytest.raises(SettingsError) as caught:
        settings(
            {
                "SONGS_JWT_SECRET": "",
                "SONGS_STORAGE": "acme",
                "SONGS_CACHE": "nosuch",
                "SONGS_ACME_SIZE": "9",
                "SONGS_PORT": "70000",
                "SONGS_LIMITER_DEFAULT": "3/fortnight",
                "SONGS_TRUSTED_PROXIES": "10.0.0.1/8",
                "SONGS_ENVIRONMENT": "staging",
            }
        )

    begins = {problem.split(":")[0].split(" ")[0] for problem in caught.value.problems}
    assert begins == {
        "SONGS_CACHE",
        "SONGS_ACME_SIZE",
        "SONGS_PORT",
        "SONGS_LIMITER_DEFAULT",
        "SONGS_TRUSTED_PROXIES",
        "SONGS_ENVIRONMENT",
        "SONGS_JWT_SECRET",
    }


def test_a_missing_secret_is_named(settings: Resolve) -> None:
    """What has no default and is not set is told by its variable."""
    with pytest.raises(SettingsError, match=r"^SONGS_JWT_SECRET is not set"):
        settings({"SONGS_JWT_SECRET": ""})


def test_a_wrong_secret_is_never_repeated(settings: Resolve) -> None:
    """The message says what is wrong with a secret and not what it is."""
    with pytest.raises(SettingsError) as caught:
        settings({"SONGS_JWT_SECRET": "hunter2!", "SONGS_STORAGE": "acme", "SONGS_ACME_KEY": "xyzw"})

    assert "hunter2!" not in str(caught.value)
    assert "xyzw" not in str(caught.value)
    assert "SONGS_JWT_SECRET" in str(caught.value)
    assert "SONGS_ACME_KEY" in str(caught.value)


def test_a_secret_in_a_strangers_message_is_masked(settings: Resolve) -> None:
    """Whoever writes an adapter may forget what must not be printed."""
    with pytest.raises(SettingsError, match=r"^SONGS_ACME_SECRET: \*+ is weak$"):
        settings({"SONGS_TOKENS": "acme", "SONGS_ACME_SECRET": "weak and secret"})


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("SONGS_JWT_SECERT", "SONGS_JWT_SECRET"), ("SONGS_REGISTRATON", "SONGS_REGISTRATION")],
)
def test_a_misspelt_setting_is_an_error(settings: Resolve, name: str, nearest: str) -> None:
    """A typo in a security setting does not pass silently; the nearest name is told."""
    with pytest.raises(SettingsError, match=f"{name} is not a setting; did you mean {nearest}"):
        settings({name: "closed"})


def test_an_unknown_setting_like_none_is_told_without_a_guess(settings: Resolve) -> None:
    """That all begin with SONGS_ makes no two of them alike."""
    with pytest.raises(SettingsError) as caught:
        settings({"SONGS_BOGUS": "1"})
    assert caught.value.problems == ("SONGS_BOGUS is not a setting; `songs config` lists the settings",)


def test_settings_of_an_adapter_that_is_not_selected_are_let_be(settings: Resolve) -> None:
    """Variables of installed adapters may stand in .env while another adapter is selected."""
    assert settings({"SONGS_ACME_SIZE": "anything"}).service.adapters.storage == "memory"


def test_a_secret_may_come_from_a_file(settings: Resolve, tmp_path: Path) -> None:
    """SONGS_..._FILE names a file whose content, without the newline at its end, is the secret."""
    path = tmp_path / "secret"
    path.write_text("a secret in a file, of more than 32 bytes\n")

    found = settings({"SONGS_JWT_SECRET": "", "SONGS_JWT_SECRET_FILE": str(path)})

    secret = found.adapters[Port.TOKENS].settings.secret  # type: ignore[attr-defined]
    assert secret.get_secret_value() == "a secret in a file, of more than 32 bytes"
    assert found.source("SONGS_JWT_SECRET") is Source.FILE


def test_an_empty_secret_file_means_not_set(settings: Resolve, tmp_path: Path) -> None:
    """A container has a file for each secret: one that holds nothing, or a newline, is a secret that is not set."""
    nothing, newline = tmp_path / "nothing", tmp_path / "newline"
    nothing.write_text("")
    newline.write_text("\n")

    found = settings({"SONGS_METRICS_TOKEN_FILE": str(nothing), "SONGS_JWT_SECRET_PREVIOUS_FILE": str(newline)})

    assert found.service.telemetry.metrics_token is None
    assert found.adapters[Port.TOKENS].settings.secret_previous is None  # type: ignore[attr-defined]
    with pytest.raises(SettingsError, match="SONGS_JWT_SECRET is not set"):
        settings({"SONGS_JWT_SECRET": "", "SONGS_JWT_SECRET_FILE": str(nothing)})


def test_a_secret_has_one_source(settings: Resolve, tmp_path: Path) -> None:
    """A secret and its file together are refused: one of them would be ignored."""
    with pytest.raises(SettingsError, match="SONGS_JWT_SECRET and SONGS_JWT_SECRET_FILE are both set"):
        settings({"SONGS_JWT_SECRET_FILE": str(tmp_path)})


def test_an_unreadable_secret_file_is_named(settings: Resolve, tmp_path: Path) -> None:
    """The line holds the variable, the path and the reason."""
    with pytest.raises(SettingsError, match=r"SONGS_JWT_SECRET_FILE: .*nosuch cannot be read: No such file"):
        settings({"SONGS_JWT_SECRET": "", "SONGS_JWT_SECRET_FILE": str(tmp_path / "nosuch")})


def test_lists_mask_secrets(settings: Resolve) -> None:
    """What `songs config` prints holds no secret, and says where each value comes from."""
    found = settings({"SONGS_STORAGE": "acme", "SONGS_ACME_KEY": "correct horse"})

    assert _entry(found, "SONGS_ACME_KEY") == ("********", "environment")
    assert _entry(found, "SONGS_ACME_SIZE") == ("4", "default")
    assert "correct horse" not in repr(found)


def test_a_secret_is_made_up_on_request_only(settings: Resolve) -> None:
    """Tools need no secret of the service; each start makes another one."""
    one = settings({"SONGS_JWT_SECRET": ""}, generate_secrets=True)
    two = settings({"SONGS_JWT_SECRET": ""}, generate_secrets=True)

    assert one.source("SONGS_JWT_SECRET") is Source.GENERATED
    assert one.variables["SONGS_JWT_SECRET"] != two.variables["SONGS_JWT_SECRET"]


@pytest.mark.parametrize("content", [b"x" * 65_537, b"x\0y" * 20, b"\xff\xfe"], ids=["long", "binary", "not-utf-8"])
def test_a_file_that_holds_no_secret_is_one_problem(settings: Resolve, tmp_path: Path, content: bytes) -> None:
    """It is not cut, and not told a second time as a secret that is missing."""
    (tmp_path / "secret").write_bytes(content)

    with pytest.raises(SettingsError) as caught:
        settings({"SONGS_JWT_SECRET": "", "SONGS_JWT_SECRET_FILE": str(tmp_path / "secret")})

    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(f"SONGS_JWT_SECRET_FILE: {tmp_path / 'secret'} ")


def test_a_byte_order_mark_is_no_part_of_a_secret(settings: Resolve, tmp_path: Path) -> None:
    """Editors of Windows write one."""
    (tmp_path / "secret").write_text(f"\ufeff{'s3cret' * 8}\r\n", encoding="utf-8")

    found = settings({"SONGS_JWT_SECRET": "", "SONGS_JWT_SECRET_FILE": str(tmp_path / "secret")})

    assert found.adapters[Port.TOKENS].settings.secret.get_secret_value() == "s3cret" * 8  # type: ignore[attr-defined]
