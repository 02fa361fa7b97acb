"""Registering, signing in, and users, over HTTP."""

import logging
from typing import Any

import pytest

from songs_api.http.kernel.operation import PREFIX
from songs_api.settings.service import AccountSettings, ServiceSettings

from .conftest import PASSWORD, Build, Service


def _post(service: Service, path: str, **body: object) -> Any:
    return service.client.simulate_post(f"{PREFIX}/auth/{path}", json=body)


def test_who_registers_can_sign_in_and_read(service: Service) -> None:
    """201, then 200 with a bearer token, which opens the catalogue for as long as it says."""
    registered = _post(service, "register", username="Ada.L", password=PASSWORD)
    signed_in = _post(service, "login", username="ADA.l", password=PASSWORD)

    assert (registered.status_code, registered.json["username"]) == (201, "Ada.L")
    assert (signed_in.status_code, set(signed_in.json)) == (
        200,
        {"access_token", "token_type", "expires_in", "refresh_token"},
    )
    assert (signed_in.json["token_type"], signed_in.json["expires_in"]) == ("bearer", 600)
    headers = service.bearer(signed_in.json["access_token"])
    assert service.client.simulate_get(f"{PREFIX}/songs", headers=headers).status_code == 200
    service.services.clock.sleep(600)
    assert service.client.simulate_get(f"{PREFIX}/songs", headers=headers).status_code == 401


def test_a_name_is_taken_in_every_case(service: Service) -> None:
    """409 for the same name in another case."""
    _post(service, "register", username="ada", password=PASSWORD)

    result = _post(service, "register", username="ADA", password=PASSWORD)

    assert (result.status_code, result.json["code"]) == (409, "username_taken")


@pytest.mark.parametrize(
    "username", ["", "ab", "a" * 51, "a b", "ada\n", "a\0b", "君が代", "a/b", "<b>", None, 7, ["a"]]
)
def test_a_name_has_a_form(service: Service, username: object) -> None:
    """422 for names that are none."""
    result = _post(service, "register", username=username, password=PASSWORD)

    assert (result.status_code, result.json["errors"][0]["pointer"]) == (422, "/username")


@pytest.mark.parametrize("password", ["", "seven77", "x" * 129, None, 12345678, ["long enough"]])
def test_a_password_has_a_length(service: Service, password: object) -> None:
    """422 for passwords that are too short, too long or not text, without repeating them."""
    result = _post(service, "register", username="ada", password=password)

    assert (result.status_code, result.json["errors"][0]["pointer"]) == (422, "/password")


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"username": "a", "password": "x"}, {"/username", "/password"}),
        ({"username": 7, "password": "x"}, {"/username", "/password"}),
        ({"username": "a", "password": None}, {"/username", "/password"}),
        ({"username": "a"}, {"/username", "/password"}),
        ({"password": "password1"}, {"/username", "/password"}),
        ({"username": "a", "password": "x", "role": "admin"}, {"/username", "/password", "/role"}),
        ({"username": "ada", "password": PASSWORD, "role": "admin"}, {"/role"}),
        ({"username": "adalovelace", "password": "adalovelace1", "x": 1}, {"/password", "/x"}),
        ({}, {"/username", "/password"}),
    ],
)
def test_registration_names_all_wrong_members_at_once(
    service: Service, body: dict[str, object], wrong: set[str]
) -> None:
    """Whether a type, the form of a name, the policy of passwords or the list of members says so: once each."""
    result = _post(service, "register", **body)

    pointers = [fault["pointer"] for fault in result.json["errors"]]
    assert (result.status_code, set(pointers), len(pointers)) == (422, wrong, len(wrong))


def test_nobody_registers_as_more_than_a_user(service: Service) -> None:
    """A role in the body is an unknown member; without it the new user is a user."""
    refused = _post(service, "register", username="mallory", password=PASSWORD, role="admin")
    _post(service, "register", username="mallory", password=PASSWORD)

    assert refused.status_code == 422
    assert service.services.accounts.get("mallory", deadline=service.deadline()).role == "user"


def test_registration_can_be_closed(build: Build) -> None:
    """403 before the body is looked at; signing in goes on."""
    service = build(ServiceSettings(accounts=AccountSettings(registration="closed")))
    service.join("ada")

    closed = service.client.simulate_post(f"{PREFIX}/auth/register", body="not even JSON")

    assert (closed.status_code, closed.json["code"]) == (403, "registration_closed")
    assert _post(service, "login", username="ada", password=PASSWORD).status_code == 200


def test_failed_sign_ins_look_the_same(service: Service) -> None:
    """Unknown name, wrong password, disabled user, and texts that could never be right: one answer, 401."""
    service.join("ada")
    service.join("doris")
    service.services.accounts.change("doris", disabled=True, deadline=service.deadline())
    tries = [
        {"username": "nobody", "password": PASSWORD},
        {"username": "ada", "password": "wrong"},
        {"username": "ada", "password": ""},
        {"username": "", "password": ""},
        {"username": "doris", "password": PASSWORD},
        {"username": "a\0b" * 1_000, "password": "x" * 10_000},
    ]

    answers = [_post(service, "login", **attempt) for attempt in tries]

    assert {answer.status_code for answer in answers} == {401}
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {'Bearer realm="songs"'}
    assert len({str({**answer.json, "instance": ""}) for answer in answers}) == 1


def test_no_secret_is_repeated(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is wrong with a request, its password and token are in neither the answer nor the log."""
    secret = "hunter2-hunter2-hunter2"
    caplog.set_level(logging.DEBUG)
    bodies = [
        {"username": "ab", "password": secret},
        {"username": "ada", "password": secret * 9},
        {"username": "ada", "password": [secret]},
        {"username": "ada", "password": {"$ne": secret}},
        {"username": 1, "password": secret, "more": secret},
        [secret],
        secret,
    ]
    answers = [
        service.client.simulate_post(f"{PREFIX}/auth/{path}", json=body)
        for path in ("register", "login")
        for body in bodies
    ]
    as_json = {"Content-Type": "application/json"}
    answers.extend(
        service.client.simulate_post(f"{PREFIX}/auth/login", body=broken, headers=as_json)
        for broken in (f'{{"password":"{secret}"', f'{{"password":"{secret}","password":"{secret}"}}')
    )
    answers.append(service.client.simulate_get(f"{PREFIX}/songs", headers={"Authorization": f"Bearer {secret}"}))
    answers.append(
        service.client.simulate_get(f"{PREFIX}/songs", headers=service.join("ada"), params={"level": secret})
    )

    assert {answer.status_code for answer in answers} == {400, 401, 422}
    assert [answer.text for answer in answers if secret in answer.text or secret in str(answer.headers)] == []
    assert secret not in caplog.text


def test_admins_list_users_without_their_hashes(service: Service, admin: dict[str, str]) -> None:
    """GET /users walks through all, ordered by id, and shows what may be seen."""
    service.join("ada")
    first = service.client.simulate_get(f"{PREFIX}/users?page_size=1", headers=admin)
    rest = service.client.simulate_get(f"{PREFIX}/users?after={first.json['next_after']}", headers=admin)

    assert [set(user) for user in first.json["data"]] == [{"id", "username", "role", "disabled", "created_at"}]
    assert [user["username"] for user in rest.json["data"]] == ["ada"]
    assert rest.json["next_after"] is None
    assert rest.json["data"][0]["created_at"].endswith("Z")


@pytest.mark.parametrize("after", ["", "%C3%B6", "a%20b", "a" * 65])
def test_a_walk_through_users_goes_on_after_an_id(service: Service, admin: dict[str, str], after: str) -> None:
    """What cannot be an id is refused, as the document says."""
    answer = service.client.simulate_get(f"{PREFIX}/users", query_string=f"after={after}", headers=admin)

    assert answer.status_code == 422
    assert answer.json["errors"] == [{"pointer": "/after", "message": "must be an id"}]


def test_admins_disable_users(service: Service, admin: dict[str, str], user: dict[str, str]) -> None:
    """A disabled user's tokens are refused at once; enabled again, it signs in anew."""
    url = f"{PREFIX}/users/URSULA"

    disabled = service.client.simulate_patch(url, headers=admin, json={"disabled": True})

    assert (disabled.status_code, disabled.json["disabled"]) == (200, True)
    assert service.client.simulate_get(f"{PREFIX}/songs", headers=user).status_code == 401
    assert service.client.simulate_patch(url, headers=admin, json={"disabled": False}).json["disabled"] is False
    assert _post(service, "login", username="ursula", password=PASSWORD).status_code == 200


@pytest.mark.parametrize(
    "body",
    [{"role": "root"}, {"role": None}, {"role": 1}, {"disabled": "yes"}, {"disabled": 1}, {"password_hash": "x"}, []],
)
def test_users_are_changed_in_these_ways_only(
    service: Service, admin: dict[str, str], user: dict[str, str], body: object
) -> None:
    """422 for other roles, other types and other members."""
    result = service.client.simulate_patch(f"{PREFIX}/users/ursula", headers=admin, json=body)

    assert result.status_code == 422
    assert service.client.simulate_get(f"{PREFIX}/songs", headers=user).status_code == 200


@pytest.mark.parametrize("name", ["nobody", "..", "%00", "君", "a" * 500])
def test_changing_nobody_is_not_found(service: Service, admin: dict[str, str], name: str) -> None:
    """404 for names that nobody has, whatever they look like."""
    result = service.client.simulate_patch(f"{PREFIX}/users/{name}", headers=admin, json={"disabled": True})

    assert (result.status_code, result.json["code"]) == (404, "user_not_found")
