"""Refreshing, signing out, changing one's password, and one's own account, over HTTP."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from songs.model import Role
from songs_api.http.kernel.operation import PREFIX
from songs_memory import plugin as memory
from songs_plugins import AdapterContext, Port
from songs_sqlite import plugin as sqlite
from songs_system import plugin as system

from .conftest import PASSWORD, Build, Service, adapter

OTHER = "another long phrase"


def _post(service: Service, path: str, headers: dict[str, str] | None = None, **body: object) -> Any:
    return service.client.simulate_post(f"{PREFIX}/auth/{path}", json=body, headers=headers or {})


def _sign_in(service: Service, name: str = "ada", password: str = PASSWORD) -> dict[str, str]:
    result = _post(service, "login", username=name, password=password)
    assert result.status_code == 200
    tokens: dict[str, str] = result.json
    return tokens


def _status(service: Service, tokens: dict[str, str]) -> int:
    headers = service.bearer(tokens["access_token"])
    return service.client.simulate_get(f"{PREFIX}/users/me", headers=headers).status_code


def _without_instance(result: Any) -> str:
    return str({**result.json, "instance": ""}) + str(result.headers.get("WWW-Authenticate"))


@pytest.fixture
def ada(service: Service) -> dict[str, str]:
    """The tokens of a user who is signed in."""
    service.join("ada")
    return _sign_in(service)


def test_a_session_outlives_its_access_tokens(service: Service, ada: dict[str, str]) -> None:
    """When the access token has expired, the refresh token gets another one, as login would answer it."""
    service.services.clock.sleep(601)
    assert _status(service, ada) == 401

    refreshed = _post(service, "refresh", refresh_token=ada["refresh_token"])

    assert refreshed.status_code == 200
    assert set(refreshed.json) == set(ada)
    assert _status(service, refreshed.json) == 200


def test_refusals_of_a_refresh_look_the_same(service: Service, ada: dict[str, str]) -> None:
    """Malformed, unknown, guessed, used up, reused, expired, of a disabled user: one answer, 401."""
    token = ada["refresh_token"]
    session_id = token.partition(".")[0]
    for name in ("doris", "olga"):
        service.join(name)
    disabled, old = _sign_in(service, "doris")["refresh_token"], _sign_in(service, "olga")["refresh_token"]
    service.services.accounts.change("doris", disabled=True, deadline=service.deadline())

    def refuse(refresh_token: str) -> str:
        result = _post(service, "refresh", refresh_token=refresh_token)
        assert (result.status_code, result.json["code"]) == (401, "invalid_refresh_token")
        return _without_instance(result)

    answers = [refuse(""), refuse("garbage"), refuse("x" * 60_000), refuse("nobody." + "A" * 43), refuse(disabled)]
    assert _post(service, "refresh", refresh_token=token).status_code == 200
    answers += [refuse(token)]
    service.services.clock.sleep(11)
    answers += [refuse(token), refuse(session_id + "." + "A" * 43)]
    service.services.clock.sleep(40 * 86_400)
    answers += [refuse(old)]

    assert len(set(answers)) == 1


@pytest.mark.parametrize("storage", ["memory", "sqlite"])
def test_of_ten_refreshes_at_once_one_succeeds(build: Build, tmp_path: Path, storage: str) -> None:
    """Ten threads show one token at the same moment: one gets the next tokens, which are good; nobody gets a 5xx."""
    nothing: Any = None
    clock = adapter(system, Port.CLOCK, AdapterContext(clock=nothing, ids=nothing))
    context = AdapterContext(clock=clock, ids=nothing)
    stored = adapter(memory, Port.STORAGE, context)
    if storage == "sqlite":
        stored = adapter(sqlite, Port.STORAGE, context, path=tmp_path / "songs.db")
    service = build(replaced={"storage": stored})
    stored.prepare()
    service.join("ada")
    token = _sign_in(service)["refresh_token"]
    ready = threading.Barrier(10)

    def refresh(_: int) -> Any:
        ready.wait(30)
        return _post(service, "refresh", refresh_token=token)

    with ThreadPoolExecutor(10) as pool:
        results = list(pool.map(refresh, range(10)))

    assert sorted(result.status_code for result in results) == [200, *[401] * 9]
    (winner,) = [result.json for result in results if result.status_code == 200]
    assert _status(service, winner) == 200
    assert _post(service, "refresh", refresh_token=winner["refresh_token"]).status_code == 200


def test_who_signs_out_is_out(service: Service, ada: dict[str, str]) -> None:
    """204; then neither token is good, and signing out again is 204 as well."""
    for _ in range(2):
        signed_out = _post(service, "logout", refresh_token=ada["refresh_token"])
        assert (signed_out.status_code, signed_out.content) == (204, b"")

    assert _status(service, ada) == 401
    assert _post(service, "refresh", refresh_token=ada["refresh_token"]).status_code == 401


def test_the_other_device_stays_signed_in(service: Service, ada: dict[str, str]) -> None:
    """It refreshes its tokens and goes on, unless `everywhere` was asked for."""
    phone = _sign_in(service)
    _post(service, "logout", refresh_token=ada["refresh_token"])
    refreshed = _post(service, "refresh", refresh_token=phone["refresh_token"])
    assert refreshed.status_code == 200

    laptop = _sign_in(service)
    _post(service, "logout", refresh_token=laptop["refresh_token"], everywhere=True)
    assert _post(service, "refresh", refresh_token=refreshed.json["refresh_token"]).status_code == 401


def test_another_password(service: Service, ada: dict[str, str]) -> None:
    """The answer has good tokens; older ones of every device are refused, and so is the older password."""
    phone = _sign_in(service)
    headers = service.bearer(ada["access_token"])

    changed = _post(service, "password", headers, current_password=PASSWORD, new_password=OTHER)

    assert (changed.status_code, set(changed.json)) == (200, set(ada))
    assert [_status(service, tokens) for tokens in (ada, phone, changed.json)] == [401, 401, 200]
    for old in (ada, phone):
        assert _post(service, "refresh", refresh_token=old["refresh_token"]).status_code == 401
    assert _post(service, "login", username="ada", password=PASSWORD).status_code == 401
    assert _post(service, "login", username="ada", password=OTHER).status_code == 200


@pytest.mark.parametrize(
    ("current", "new", "status", "code", "pointer"),
    [
        ("not mine", OTHER, 403, "wrong_password", None),
        ("", OTHER, 403, "wrong_password", None),
        (PASSWORD, "short", 422, "invalid", "/new_password"),
        (PASSWORD, "password1", 422, "invalid", "/new_password"),
        (PASSWORD, "x" * 129, 422, "invalid", "/new_password"),
        (PASSWORD, None, 422, "invalid", "/new_password"),
        (7, OTHER, 422, "invalid", "/current_password"),
    ],
)
def test_a_password_that_is_not_changed(
    service: Service, ada: dict[str, str], current: object, new: object, status: int, code: str, pointer: str | None
) -> None:
    """403 without the current one, 422 for one that nobody should choose: and everything is as before."""
    headers = service.bearer(ada["access_token"])

    result = _post(service, "password", headers, current_password=current, new_password=new)

    assert (result.status_code, result.json["code"]) == (status, code)
    assert pointer is None or result.json["errors"][0]["pointer"] == pointer
    assert _status(service, ada) == 200
    assert _sign_in(service)


def test_ones_own_account(service: Service, ada: dict[str, str]) -> None:
    """What is stored of the user who asks, without a hash."""
    own = service.client.simulate_get(f"{PREFIX}/users/me", headers=service.bearer(ada["access_token"]))

    assert own.status_code == 200
    assert set(own.json) == {"id", "username", "role", "disabled", "created_at"}
    assert (own.json["username"], own.json["role"], own.json["disabled"]) == ("ada", "user", False)


def _remove(service: Service, headers: dict[str, str], password: str) -> Any:
    return service.client.simulate_delete(f"{PREFIX}/users/me", headers=headers, json={"password": password})


def test_an_account_is_removed_by_who_knows_the_password(service: Service, ada: dict[str, str]) -> None:
    """204: all tokens are refused, the name is free, what was rated is still counted, and is not the next user's."""
    headers = service.bearer(ada["access_token"])
    song_id = service.add_song()
    rating = {"song_id": song_id, "rating": 5}
    service.client.simulate_post(f"{PREFIX}/songs/ratings", headers=headers | {"Idempotency-Key": "k"}, json=rating)
    assert _remove(service, headers, "not mine").status_code == 403

    removed = _remove(service, headers, PASSWORD)

    assert (removed.status_code, removed.content) == (204, b"")
    assert _status(service, ada) == 401
    assert _post(service, "refresh", refresh_token=ada["refresh_token"]).status_code == 401
    assert _post(service, "login", username="ada", password=PASSWORD).status_code == 401
    assert _post(service, "register", username="ada", password=PASSWORD).status_code == 201
    again = service.client.simulate_post(
        f"{PREFIX}/songs/ratings",
        headers=service.bearer(_sign_in(service)["access_token"]) | {"Idempotency-Key": "k"},
        json=rating,
    )
    assert (again.json["count"], "idempotency-replayed" in again.headers) == (2, False)


def test_an_admin_cannot_leave_the_service_without_one(service: Service, admin: dict[str, str]) -> None:
    """409 for removing, demoting or disabling itself; another admin does that."""
    url = f"{PREFIX}/users/adele"
    attempts = [
        _remove(service, admin, PASSWORD),
        service.client.simulate_patch(url, headers=admin, json={"role": "user"}),
        service.client.simulate_patch(url, headers=admin, json={"disabled": True}),
    ]

    assert [(result.status_code, result.json["code"]) for result in attempts] == [(409, "own_account")] * 3
    assert service.client.simulate_patch(url, headers=admin, json={"role": "admin"}).status_code == 200
    other = service.join("olaf", Role.ADMIN)
    assert service.client.simulate_patch(url, headers=other, json={"role": "user"}).status_code == 200


@pytest.mark.parametrize("password", ["password1", "Ada.Lovelace", "ada.lovelace1815"])
def test_nobody_registers_with_what_everyone_tries(service: Service, password: str) -> None:
    """422 for common passwords and for the username."""
    result = _post(service, "register", username="ada.lovelace", password=password)

    assert (result.status_code, result.json["errors"][0]["pointer"]) == (422, "/password")
    assert password not in result.text


def test_a_password_that_was_allowed_once_still_signs_in(service: Service) -> None:
    """Sign-in never checks the form: a policy that became stricter keeps nobody out."""
    user = service.services.accounts.register("ada", PASSWORD, deadline=service.deadline())
    short = service.services.accounts._passwords.hash("abc", wait_s=1.0)
    service.services.accounts._change(lambda: user, lambda user: replace(user, password_hash=short), service.deadline())

    assert _sign_in(service, "ada", "abc")
