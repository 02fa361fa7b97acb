"""Accounts: registration, signing in and out, one's own account, and the management of users by admins."""

from collections.abc import Sequence
from typing import Any, Final

from songs.application.sessions import SignedIn
from songs.errors import (
    BadCredentials,
    OwnAccount,
    RefreshRefused,
    RegistrationClosed,
    UserExists,
    UserNotFound,
    WrongPassword,
)
from songs.model import Role, User
from songs_api.http.api import account_models as models
from songs_api.http.api.sign_in_limits import SignInLimits
from songs_api.http.kernel.bodies import CheckedRead, Read
from songs_api.http.kernel.context import RequestContext
from songs_api.http.kernel.operation import JSON, MERGE_PATCH, Operation, Resource
from songs_api.http.kernel.rate_limits import OUTAGE_DIVISOR, RateLimits
from songs_api.http.kernel.read_plans import Answer, encode
from songs_api.http.services import AppServices


class Registration(Resource):
    """Registration."""

    paths = ("/auth/register",)

    def __init__(self, services: AppServices) -> None:
        self._accounts = services.accounts
        self._open = services.options.registration_open
        limits = RateLimits(services, outage_divisor=OUTAGE_DIVISOR)
        self._limit = limits.address_limit("register", "register-network", services.options.limits.register)

    @Operation(
        needs=None,
        operation_id="register",
        tag="accounts",
        summary="Create an account",
        request=models.Registration,
        answers={201: models.Registered},
        audited=True,
        problems=(UserExists, RegistrationClosed),
    )
    def on_post(self, context: RequestContext, *, read: CheckedRead[models.Registration]) -> Answer:
        """Make an account with the role of a user."""
        if not self._open:
            raise RegistrationClosed
        self._limit.charge(context, context.environ)
        faults = self._accounts.registration_faults
        body = read(lambda sent: faults(sent.get("username"), sent.get("password")))
        user = self._accounts.register(body.username, body.password, deadline=context.deadline)
        message = {"message": "The account was made; sign in with it.", "username": user.name}
        return Answer(201, encode(message), about=user.id)


class SignIn(Resource):
    """Signing in."""

    paths = ("/auth/login",)

    def __init__(self, services: AppServices, limits: SignInLimits) -> None:
        self._accounts = services.accounts
        self._limits = limits

    @Operation(
        needs=None,
        operation_id="sign_in",
        tag="accounts",
        summary="Sign in",
        description="Send the access token with every other request: `Authorization: Bearer <access_token>`.",
        request=models.Credentials,
        answers={200: models.SignedIn},
        audited=True,
        problems=(BadCredentials,),
    )
    def on_post(self, context: RequestContext, *, read: Read[models.Credentials]) -> Answer:
        """Answer with the tokens of a new session."""
        from_address = self._limits.charge_address(context)
        body = read()
        with self._limits.attempt(context, body.username, from_address) as rank:
            signed_in = self._accounts.sign_in(body.username, body.password, rank=rank, deadline=context.deadline)
        return Answer(200, _tokens(signed_in), about=signed_in.user.id)


class Refresh(Resource):
    """Refreshing a session."""

    paths = ("/auth/refresh",)

    def __init__(self, services: AppServices) -> None:
        self._sessions = services.sessions

    @Operation(
        needs=None,
        operation_id="refresh",
        tag="accounts",
        summary="Exchange a refresh token for new tokens",
        description="A refresh token can be used once. If the response was lost, sign in again. A token that is used "
        "again more than 10 s after the first time ends its session.",
        request=models.RefreshRequest,
        answers={200: models.SignedIn},
        audited=True,
        problems=(RefreshRefused,),
    )
    def on_post(self, context: RequestContext, *, read: Read[models.RefreshRequest]) -> Answer:
        """Answer with the next tokens of a session."""
        signed_in = self._sessions.refresh(read().refresh_token, deadline=context.deadline)
        return Answer(200, _tokens(signed_in), about=signed_in.user.id)


class SignOut(Resource):
    """Signing out."""

    paths = ("/auth/logout",)

    def __init__(self, services: AppServices) -> None:
        self._accounts = services.accounts

    @Operation(
        needs=None,
        operation_id="sign_out",
        tag="accounts",
        summary="Sign out",
        description="Ends the session of the refresh token, or every session of its user, and revokes all access "
        "tokens of the user: other sessions refresh theirs. Expired tokens are accepted silently.",
        request=models.SignOut,
        answers={204: None},
        audited=True,
    )
    def on_post(self, context: RequestContext, *, read: Read[models.SignOut]) -> Answer:
        """End a session, or all of a user."""
        body = read()
        user = self._accounts.sign_out(body.refresh_token, everywhere=body.everywhere, deadline=context.deadline)
        return Answer(204, about=user.id if user else None)


class Password(Resource):
    """The caller's own password."""

    paths = ("/auth/password",)

    def __init__(self, services: AppServices, limits: SignInLimits) -> None:
        self._accounts = services.accounts
        self._limits = limits

    @Operation(
        operation_id="change_password",
        tag="accounts",
        summary="Change your password",
        description="Ends all your sessions and returns the tokens of a new one.",
        request=models.PasswordChange,
        answers={200: models.SignedIn},
        audited=True,
        problems=(WrongPassword,),
    )
    def on_post(self, context: RequestContext, *, read: Read[models.PasswordChange]) -> Answer:
        """Change the password, end all sessions, and return the tokens of a new one."""
        from_address = self._limits.charge_address(context)
        body, user = read(), context.user
        with self._limits.attempt(context, user.name, from_address):
            signed_in = self._accounts.change_password(
                user.user_id, body.current_password, body.new_password, deadline=context.deadline
            )
        return Answer(200, _tokens(signed_in))


class OwnUser(Resource):
    """The caller's own account."""

    paths = ("/users/me",)

    def __init__(self, services: AppServices, limits: SignInLimits) -> None:
        self._accounts = services.accounts
        self._limits = limits

    @Operation(
        operation_id="get_own_account",
        tag="accounts",
        summary="Get your own account",
        answers={200: models.User},
    )
    def on_get(self, context: RequestContext) -> Answer:
        """Answer with what is stored of the user who asks, but for the hash of the password."""
        return Answer(200, encode(_members(self._accounts.own(context.user.user_id, deadline=context.deadline))))

    @Operation(
        operation_id="remove_own_account",
        tag="accounts",
        summary="Delete your own account",
        description="Requires the password. Your ratings stay, without an owner. Admins must be demoted first.",
        request=models.Confirmation,
        answers={204: None},
        audited=True,
        problems=(WrongPassword, OwnAccount),
    )
    def on_delete(self, context: RequestContext, *, read: Read[models.Confirmation]) -> Answer:
        """Remove the user who asks."""
        from_address = self._limits.charge_address(context)
        body, user = read(), context.user
        with self._limits.attempt(context, user.name, from_address):
            self._accounts.remove_own(user.user_id, body.password, deadline=context.deadline)
        return Answer(204)


class UserCollection(Resource):
    """All users."""

    paths = ("/users",)

    def __init__(self, services: AppServices) -> None:
        self._accounts = services.accounts

    @Operation(
        needs=Role.ADMIN,
        operation_id="list_users",
        tag="accounts",
        summary="List users",
        query=models.UserListQuery,
        answers={200: models.UserList},
    )
    def on_get(self, context: RequestContext, *, query: models.UserListQuery) -> Answer:
        """Answer with a part of the users."""
        found = self._accounts.find(limit=query.page_size + 1, after_id=query.after, deadline=context.deadline)
        users = found[: query.page_size]
        next_after = users[-1].id if len(found) > query.page_size else None
        return Answer(200, encode({"data": [_members(user) for user in users], "next_after": next_after}))


class UserItem(Resource):
    """One user."""

    paths = ("/users/{name}",)

    def __init__(self, services: AppServices) -> None:
        self._accounts = services.accounts

    @Operation(
        needs=Role.ADMIN,
        operation_id="change_user",
        tag="accounts",
        summary="Change a user's role, or disable the user",
        description="Revokes the user's older access tokens. Admins cannot demote or disable themselves.",
        request=models.UserChanges,
        media_types=(JSON, MERGE_PATCH),
        audited=True,
        answers={200: models.User},
        problems=(UserNotFound, OwnAccount),
    )
    def on_patch(self, context: RequestContext, *, name: str, read: Read[models.UserChanges]) -> Answer:
        """Change a role, or disable a user, or enable it again, in one write."""
        body = read()
        user = self._accounts.change(
            name,
            role=body.role if "role" in body.model_fields_set else None,
            disabled=body.disabled if "disabled" in body.model_fields_set else None,
            by=context.user.user_id,
            deadline=context.deadline,
        )
        return Answer(200, encode(_members(user)))


RESOURCES: Final = (Registration, SignIn, Refresh, SignOut, Password, OwnUser, UserCollection, UserItem)


def resources(services: AppServices) -> Sequence[Resource]:
    """Return the resources of accounts, which share the limits on guessing passwords."""
    limits = SignInLimits(services)
    return [
        Registration(services),
        SignIn(services, limits),
        Refresh(services),
        SignOut(services),
        Password(services, limits),
        OwnUser(services, limits),
        UserCollection(services),
        UserItem(services),
    ]


def _tokens(signed_in: SignedIn) -> bytes:
    return encode(
        {
            "access_token": signed_in.access_token,
            "token_type": "bearer",
            "expires_in": signed_in.expires_in_s,
            "refresh_token": signed_in.refresh_token,
        }
    )


def _members(user: User) -> dict[str, Any]:
    """Return what an admin may see of a user, and a user of itself."""
    return {
        "id": user.id,
        "username": user.name,
        "role": user.role.value,
        "disabled": user.disabled,
        "created_at": user.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
