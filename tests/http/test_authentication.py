"""Every path and method that is not public is 401 without a valid token, whether it exists or not."""

import base64
import hmac
import itertools
import json
from datetime import timedelta

import pytest

from songs.model import Role
from songs.ports.tokens import TokenIssuer
from songs_api.http.app import OPERATIONS
from songs_api.http.kernel.operation import PREFIX, Operation
from songs_plugins import AdapterContext, Port
from songs_security import jwt_plugin
from songs_system.system import TimeOrderedIds

from .conftest import PASSWORD, SECRET, Build, Service, adapter

PROTECTED = [route for route in OPERATIONS if route.needs is not None]
METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "WEBSOCKET", "BREW", "get"]
NOT_PUBLIC_PATHS = [
    "//",
    "/.",
    "/api",
    f"{PREFIX}",
    f"{PREFIX}/nothing",
    f"{PREFIX}/songs/../health",
    f"{PREFIX}/songs/..%2fhealth",
    f"{PREFIX}/health/",
    f"{PREFIX}/health%2f",
    f"{PREFIX}/health%00",
    f"{PREFIX}/health%0a",
    f"{PREFIX}/./health",
    f"{PREFIX}//health",
    f"/{PREFIX}/health",
    f"{PREFIX}/HEALTH",
    f"{PREFIX}/health/live",
    f"{PREFIX}/health;x=1",
    f"{PREFIX}/auth/login/",
    f"{PREFIX}/auth/%6cogin/x",
    "/docs//",
    "/docs/index.html",
    "/docs/../openapi.json",
    "/docs/%2e%2e/app.py",
    "/docs/__init__.py",
    "/health",
    "/openapi.yaml",
    "/favicon.ico",
    "/%ff",
    "/君",
]
pytestmark = pytest.mark.filterwarnings("ignore::wsgiref.validate.WSGIWarning")


def _url(route: Operation, song_id: str = "s1") -> str:
    return (PREFIX + route.path).replace("{song_id}", song_id).replace("{name}", "ursula")


def _part(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode()).rstrip(b"=").decode()


def _forged(good: str, *, secret: bytes = SECRET.encode(), digest: str = "sha256", **header: str) -> str:
    """Return a good token with another header, signed anew; without a signature where `digest` is empty."""
    first, second, _ = good.split(".")
    known = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    text = f"{_part(known | header)}.{second}"
    signature = hmac.digest(secret, text.encode(), digest) if digest else b""
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def _issuer(service: Service, **settings: str) -> TokenIssuer:
    """Return an issuer that differs from the service's in some settings."""
    context = AdapterContext(clock=service.services.clock, ids=TimeOrderedIds(service.services.clock))
    issuer: TokenIssuer = adapter(jwt_plugin, Port.TOKENS, context, **{"secret": SECRET, **settings})
    return issuer


def _tokens(service: Service) -> dict[str, str | None]:
    """Return headers that prove nothing, by what is wrong with them."""
    deadline = service.deadline()
    accounts = service.services.accounts
    accounts.register("paula", PASSWORD, role=Role.ADMIN, deadline=deadline)
    user = accounts.change("paula", role=Role.EDITOR, deadline=deadline)
    user = accounts.change("paula", role=Role.ADMIN, deadline=deadline)
    gone = accounts.register("doris", PASSWORD, role=Role.ADMIN, deadline=deadline)
    removed = accounts.register("rita", PASSWORD, role=Role.EDITOR, deadline=deadline)
    claims = service.claims(user)
    good = service.tokens.issue(claims)
    now = service.services.clock.now().replace(microsecond=0)
    ahead = {"issued_at": now + timedelta(hours=1), "expires_at": now + timedelta(hours=2)}
    accounts.change("doris", disabled=True, deadline=deadline)
    accounts.remove_own(removed.id, PASSWORD, deadline=deadline)
    refresh_token = service.services.sessions.start(user, deadline=deadline).refresh_token
    tokens = {
        "garbage": "garbage",
        "three parts of garbage": "a.b.c",
        "not ASCII": "\xe9",
        "huge": "a" * 5000,
        "another signature": f"{good[:-2]}{'A' if good[-2] != 'A' else 'B'}{good[-1]}",
        "no signature": good.rpartition(".")[0] + ".",
        "another secret": _issuer(service, secret="x" * 32).issue(claims),
        "alg none": _forged(good, digest="", alg="none"),
        "alg none, signed": _forged(good, alg="none"),
        "another algorithm": _forged(good, digest="sha512", alg="HS512"),
        "an algorithm of key pairs": _forged(good, alg="RS256"),
        "another type": _forged(good, typ="JWT"),
        "another key id": _forged(good, kid="0" * 16),
        "another audience": _issuer(service, audience="others").issue(claims),
        "another issuer": _issuer(service, issuer="others").issue(claims),
        "expired": service.tokens.issue(service.claims(user, issued_at=now - timedelta(hours=1), expires_at=now)),
        "not yet issued": service.tokens.issue(service.claims(user, **ahead)),
        "an older version": service.tokens.issue(service.claims(user, token_version=user.token_version - 1)),
        "the oldest version": service.tokens.issue(service.claims(user, token_version=1)),
        "a version to come": service.tokens.issue(service.claims(user, token_version=99)),
        "of nobody": service.tokens.issue(service.claims(user, user_id="nobody")),
        "of a disabled user": service.tokens.issue(service.claims(gone)),
        "of a disabled user, of now": service.tokens.issue(service.claims(gone, token_version=2)),
        "of a removed user": service.tokens.issue(service.claims(removed)),
        "a refresh token": refresh_token,
    }
    assert service.services.access.authenticate(good, deadline=deadline).role is Role.ADMIN
    assert _forged(good) == good
    return {flaw: f"Bearer {token}" for flaw, token in tokens.items()} | {
        "nothing": None,
        "empty": "",
        "no token": "Bearer",
        "only spaces": "Bearer   ",
        "two tokens": f"Bearer {good} {good}",
        "two headers": f"Bearer {good},Bearer {good}",
        "another scheme": f"Basic {good}",
        "no scheme": good,
    }


@pytest.mark.parametrize("cached", [False, True])
def test_no_route_answers_without_a_valid_token(build: Build, *, cached: bool) -> None:
    """Each protected route is 401 for every bad token, and 403 for too low a role, whatever the token says of it.

    That is so before and after the same URL was read with a good token.
    """
    service = build(cached=cached)
    good = service.join("george", Role.ADMIN)
    lola = service.services.accounts.register("lola", PASSWORD, deadline=service.deadline())
    low = service.bearer(service.tokens.issue(service.claims(lola, role=Role.ADMIN)))
    song_id = service.add_song()
    bad = _tokens(service)
    for _, route in itertools.product(("cold", "warm"), PROTECTED):
        url = _url(route, song_id) + ("?message=canon" if route.path.endswith("search") else "")
        for flaw, header in bad.items():
            headers = {} if header is None else {"Authorization": header}
            result = service.client.simulate_request(route.method, url, headers=headers)

            assert result.status_code == 401, (route, flaw)
            assert result.headers["WWW-Authenticate"].startswith('Bearer realm="songs"')
        if route.needs is not Role.USER:
            assert service.client.simulate_request(route.method, url, headers=low).status_code == 403, route
        assert service.services.catalogue.get(song_id, deadline=service.deadline()).version == 1
        if route.method == "GET":
            assert service.client.simulate_get(url, headers=good).status_code == 200


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", NOT_PUBLIC_PATHS)
def test_what_does_not_exist_is_closed_too(service: Service, path: str, method: str) -> None:
    """Unknown paths and other spellings of public ones are 401, whatever the method."""
    result = service.client.simulate_request(method, path)

    assert result.status_code == 401
    assert result.headers["WWW-Authenticate"] == 'Bearer realm="songs"'


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS", "TRACE", "WEBSOCKET", "head"])
@pytest.mark.parametrize("path", [f"{PREFIX}/health", f"{PREFIX}/docs", "/openapi.json"])
def test_other_methods_of_a_public_path_are_closed(service: Service, path: str, method: str) -> None:
    """What is public is a method of a path, not a path."""
    assert service.client.simulate_request(method, path).status_code == 401


@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        (None, 'Bearer realm="songs"'),
        ("Bearer garbage", 'Bearer realm="songs", error="invalid_token"'),
        *((f"{scheme} YTpi", 'Bearer realm="songs"') for scheme in ("Basic", "Token", "Digest", "Bearer2", "JWT")),
        ("YTpi", 'Bearer realm="songs"'),
    ],
)
def test_the_challenge_says_whether_a_token_was_refused(service: Service, header: str | None, challenge: str) -> None:
    """RFC 6750: no error code for a request that tried nothing or another scheme, invalid_token for one that failed."""
    headers = {} if header is None else {"Authorization": header}

    result = service.client.simulate_get(f"{PREFIX}/songs", headers=headers)

    assert result.headers["WWW-Authenticate"].startswith(challenge)
    assert ("error=" in result.headers["WWW-Authenticate"]) == ("error=" in challenge)


@pytest.mark.parametrize("scheme", ["Basic", "Token", "Digest", "JWT", ""])
@pytest.mark.parametrize("path", [f"{PREFIX}/songs", f"{PREFIX}/nothing", "/nothing"])
def test_another_scheme_is_told_which_is_expected(service: Service, path: str, scheme: str) -> None:
    """Without a word of what was sent."""
    result = service.client.simulate_get(path, headers={"Authorization": f"{scheme} c2VjcmV0OnNlY3JldA=="})

    assert (result.status_code, result.json["code"]) == (401, "unauthenticated")
    assert "Authorization: Bearer <access_token>" in result.json["detail"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
@pytest.mark.parametrize("path", ["/songs", "/auth/login", "/api", "/api/v2/songs", "/metrics", "/docs/nothing"])
def test_who_is_lost_is_told_where_routes_are(service: Service, path: str, method: str) -> None:
    """401 as everywhere, with the prefix of all routes; the same words whatever the path."""
    lost = service.client.simulate_request(method, path)
    near = service.client.simulate_request(method, f"{PREFIX}/nothing")

    assert (lost.status_code, near.status_code) == (401, 401)
    if method != "HEAD":
        assert f"The routes are below {PREFIX}, and their documentation is at /docs." in lost.json["detail"]
        assert "below" not in near.json["detail"]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
def test_the_scheme_has_no_case(service: Service, user: dict[str, str], scheme: str) -> None:
    """RFC 9110: authentication schemes are compared without regard to case."""
    token = user["Authorization"].partition(" ")[2]

    result = service.client.simulate_get(f"{PREFIX}/songs", headers={"Authorization": f"{scheme} {token}"})

    assert result.status_code == 200


@pytest.mark.parametrize("route", PROTECTED, ids=lambda route: route.operation_id)
@pytest.mark.parametrize("role", list(Role))
def test_a_route_needs_its_role(service: Service, route: Operation, role: Role) -> None:
    """Too low a role is 403 before query and body are looked at; a role that suffices never is."""
    headers = service.join("robin", role)

    result = service.client.simulate_request(route.method, _url(route), headers=headers, query_string="%ff")

    assert route.needs is not None
    if role.includes(route.needs):
        assert result.status_code != 403
    else:
        assert (result.status_code, result.json["code"]) == (403, "forbidden")


def test_a_change_of_role_ends_older_tokens(service: Service, user: dict[str, str], admin: dict[str, str]) -> None:
    """After an admin changed the role, the user's token is refused at once; a new one has the new role."""
    changed = service.client.simulate_patch(f"{PREFIX}/users/ursula", headers=admin, json={"role": "editor"})

    assert (changed.status_code, changed.json["role"]) == (200, "editor")
    assert service.client.simulate_get(f"{PREFIX}/songs", headers=user).status_code == 401


def test_a_bad_token_does_no_harm_on_a_public_route(service: Service) -> None:
    """A client with an expired token can sign in again without first forgetting it."""
    result = service.client.simulate_get(f"{PREFIX}/health", headers={"Authorization": "Bearer garbage"})

    assert result.status_code == 200
