"""Registering, signing in and out, one's own account, and what admins do with users."""

import falcon

from songs.errors import BadCredentials, RefreshRefused, RegistrationClosed
from songs.services.accounts import Accounts
from songs.services.sessions import Sessions
from songs_api.http.limits import OUTAGE_DIVISOR, RateLimits
from songs_api.http.queries import UserListQuery
from songs_api.http.reading import CheckedRead, Read
from songs_api.http.rendering import encode, signed_in_bytes, user_fields
from songs_api.http.request import ApiRequest
from songs_api.http.schemas import (
    Confirmation,
    Credentials,
    PasswordChange,
    RefreshRequest,
    Registration,
    UserChanges,
)
from songs_api.http.schemas import SignOut as SignOutBody
from songs_api.http.sign_in_limits import SignInLimits
from songs_api.parts import Parts


class Register:
    """POST /auth/register."""

    def __init__(self, parts: Parts) -> None:
        self._accounts = parts.accounts
        self._open = parts.options.registration_open
        limits = RateLimits(parts, outage_divisor=OUTAGE_DIVISOR)
        self._limit = limits.address_limit("register", "register-network", parts.options.limits.register)

    def on_post(self, req: ApiRequest, resp: falcon.Response, *, read: CheckedRead[Registration]) -> None:
        """Make an account with the role of a user."""
        if not self._open:
            raise RegistrationClosed
        self._limit.charge(req.exchange, req.env)
        faults = self._accounts.registration_faults
        body = read(lambda sent: faults(sent.get("username"), sent.get("password")))
        user = self._accounts.register(body.username, body.password, deadline=req.deadline)
        req.exchange.target = user.id
        resp.status = 201
        resp.data = encode({"message": "The account was made; sign in with it.", "username": user.name})


class SignIn:
    """POST /auth/login."""

    def __init__(self, accounts: Accounts, limits: SignInLimits) -> None:
        self._accounts = accounts
        self._limits = limits

    def on_post(self, req: ApiRequest, resp: falcon.Response, *, read: Read[Credentials]) -> None:
        """Answer with the tokens of a new session."""
        from_address = self._limits.charge_address(req)
        body = read()
        try:
            with self._limits.attempt(req, body.username, from_address) as rank:
                signed_in = self._accounts.sign_in(body.username, body.password, rank=rank, deadline=req.deadline)
        except BadCredentials as error:
            req.exchange.target = error.user_id
            raise
        req.exchange.target = signed_in.user.id
        resp.data = signed_in_bytes(signed_in)


class Refresh:
    """POST /auth/refresh."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def on_post(self, req: ApiRequest, resp: falcon.Response, *, read: Read[RefreshRequest]) -> None:
        """Answer with the next tokens of a session."""
        body = read()
        try:
            signed_in = self._sessions.refresh(body.refresh_token, deadline=req.deadline)
        except RefreshRefused as error:
            req.exchange.target = error.reused_of
            raise
        req.exchange.target = signed_in.user.id
        resp.data = signed_in_bytes(signed_in)


class SignOut:
    """POST /auth/logout."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def on_post(self, req: ApiRequest, resp: falcon.Response, *, read: Read[SignOutBody]) -> None:
        """End a session, or all of a user."""
        body = read()
        user = self._accounts.sign_out(body.refresh_token, everywhere=body.everywhere, deadline=req.deadline)
        req.exchange.target = user.id if user else None
        resp.status = 204


class Password:
    """POST /auth/password."""

    def __init__(self, accounts: Accounts, limits: SignInLimits) -> None:
        self._accounts = accounts
        self._limits = limits

    def on_post(self, req: ApiRequest, resp: falcon.Response, *, read: Read[PasswordChange]) -> None:
        """Change the password, end all sessions, and answer with the tokens of a new one."""
        from_address = self._limits.charge_address(req)
        body = read()
        with self._limits.attempt(req, req.user.name, from_address):
            signed_in = self._accounts.change_password(
                req.user.user_id, body.current_password, body.new_password, deadline=req.deadline
            )
        resp.data = signed_in_bytes(signed_in)


class OwnAccount:
    """GET and DELETE /users/me."""

    def __init__(self, accounts: Accounts, limits: SignInLimits) -> None:
        self._accounts = accounts
        self._limits = limits

    def on_get(self, req: ApiRequest, resp: falcon.Response) -> None:
        """Answer with what is stored of the user who asks, but for the hash of the password."""
        resp.data = encode(user_fields(self._accounts.own(req.user.user_id, deadline=req.deadline)))

    def on_delete(self, req: ApiRequest, resp: falcon.Response, *, read: Read[Confirmation]) -> None:
        """Remove the user who asks."""
        from_address = self._limits.charge_address(req)
        body = read()
        with self._limits.attempt(req, req.user.name, from_address):
            self._accounts.remove_own(req.user.user_id, body.password, deadline=req.deadline)
        resp.status = 204


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
        """Change a role, or disable a user, or enable it again, in one write."""
        body = read()
        user = self._accounts.change(
            name,
            role=body.role if "role" in body.model_fields_set else None,
            disabled=body.disabled if "disabled" in body.model_fields_set else None,
            by=req.user.user_id,
            deadline=req.deadline,
        )
        resp.data = encode(user_fields(user))
