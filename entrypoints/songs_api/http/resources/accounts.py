"""Registering, signing in, and what admins do with users."""

import falcon

from songs.errors import RegistrationClosed
from songs.services.accounts import Accounts
from songs_api.http.queries import UserListQuery
from songs_api.http.reading import Read
from songs_api.http.rendering import encode, signed_in_bytes, user_fields
from songs_api.http.request import ApiRequest
from songs_api.http.schemas import Credentials, Registration, UserChanges


class Register:
    """POST /auth/register."""

    def __init__(self, accounts: Accounts, *, open_to_anyone: bool) -> None:
        self._accounts = accounts
        self._open = open_to_anyone

    def on_post(self, req: ApiRequest, resp: falcon.Response, *, read: Read[Registration]) -> None:
        """Make an account with the role of a user."""
        if not self._open:
            raise RegistrationClosed
        body = read()
        user = self._accounts.register(body.username, body.password, deadline=req.deadline)
        req.target = user.id
        resp.status = 201
        resp.data = encode({"message": "The account was made; sign in with it.", "username": user.name})


class SignIn:
    """POST /auth/login."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def on_post(self, req: ApiRequest, resp: falcon.Response, *, read: Read[Credentials]) -> None:
        """Answer with an access token."""
        body = read()
        signed_in = self._accounts.sign_in(body.username, body.password, deadline=req.deadline)
        req.target = signed_in.user.id
        resp.data = signed_in_bytes(signed_in)


class UserCollection:
    """GET /users."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def on_get(self, req: ApiRequest, resp: falcon.Response, *, query: UserListQuery) -> None:
        """Answer with a part of the users."""
        found = self._accounts.find(limit=query.page_size + 1, after_id=query.after, deadline=req.deadline)
        users = found[: query.page_size]
        next_after = users[-1].id if len(found) > query.page_size else None
        resp.data = encode({"data": [user_fields(user) for user in users], "next_after": next_after})


class UserItem:
    """PATCH /users/{name}."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def on_patch(self, req: ApiRequest, resp: falcon.Response, *, name: str, read: Read[UserChanges]) -> None:
        """Change a role, or disable a user, or enable it again: each of both atomic alone."""
        body = read()
        user = self._accounts.get(name, deadline=req.deadline)
        if "role" in body.model_fields_set:
            user = self._accounts.set_role(name, body.role, deadline=req.deadline)
        if "disabled" in body.model_fields_set:
            user = self._accounts.set_disabled(name, disabled=body.disabled, deadline=req.deadline)
        resp.data = encode(user_fields(user))
