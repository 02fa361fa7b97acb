"""Users: one's own account, and the management of users by admins."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, Field

from songs import model
from songs.errors import OwnAccount, UserNotFound, WrongPassword
from songs.limits import DEFAULT_PAGE_SIZE, id_problem
from songs.model import Role
from songs_api.http.api.accounts import NewSecret, Secret, SignedIn, SignInLimits, tokens_bytes
from songs_api.http.kernel.bodies import Read
from songs_api.http.kernel.operation import JSON, MERGE_PATCH, Operation, RequestContext, Resource
from songs_api.http.kernel.query_strings import PageSize
from songs_api.http.kernel.read_plans import Answer, encode
from songs_api.http.kernel.validation import STRICT, answer_config, request_config
from songs_api.http.services import AppServices

_USER: Final = {
    "id": "01a2307eeb1a982a0b776b083bfe4a87",
    "username": "ada",
    "role": "editor",
    "disabled": False,
    "created_at": "2026-01-31T12:00:00.000Z",
}


def _id(text: str | None) -> str | None:
    if text is not None and (problem := id_problem(text)):
        raise ValueError(problem)
    return text


class PasswordChange(BaseModel):
    """The current and the new password."""

    model_config = request_config({"current_password": "a long pass phrase", "new_password": "a longer phrase"})

    current_password: Annotated[Secret, Field(description="The current password.")]
    new_password: NewSecret


class Confirmation(BaseModel):
    """The user's password, as a confirmation."""

    model_config = request_config({"password": "a long pass phrase"})

    password: Annotated[Secret, Field(description="The current password.")]


class UserChanges(BaseModel):
    """Changes to a user. Absent members stay as they are."""

    model_config = request_config({"role": "editor"})

    role: Annotated[Role, Field(strict=False, description="The user's role.")] = Field(
        default_factory=lambda: Role.USER
    )
    disabled: Annotated[bool, Field(description="Whether to block the user from signing in.")] = Field(
        default_factory=bool
    )


class UserListQuery(BaseModel):
    """The part of the users to list."""

    model_config = STRICT

    page_size: PageSize = DEFAULT_PAGE_SIZE
    after: Annotated[
        str | None,
        Field(
            description="List users after the one with this id; taken from `next_after`.",
            json_schema_extra={"pattern": r"^[0-9A-Za-z_-]{1,64}$"},
        ),
        AfterValidator(_id),
    ] = None


class User(BaseModel):
    """A user, as seen by admins and by the user themselves."""

    model_config = answer_config(_USER)

    id: Annotated[str, Field(description="The permanent id of the user.")]
    username: Annotated[str, Field(description="The name to sign in with.")]
    role: Annotated[Role, Field(description="The user's role.")]
    disabled: Annotated[bool, Field(description="Whether the user is blocked from signing in.")]
    created_at: Annotated[str, Field(description="The time at which the account was created, in UTC.")]


class UserList(BaseModel):
    """Part of the users, ordered by id."""

    model_config = answer_config({"data": [_USER], "next_after": None})

    data: Annotated[list[User], Field(description="The users.")]
    next_after: Annotated[str | None, Field(description="The value of `after` for the next part; null at the end.")]


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
        request=PasswordChange,
        answers={200: SignedIn},
        audited=True,
        problems=(WrongPassword,),
    )
    def on_post(self, context: RequestContext, *, read: Read[PasswordChange]) -> Answer:
        """Change the password, end all sessions, and return the tokens of a new one."""
        from_address = self._limits.charge_address(context)
        body, user = read(), context.user
        with self._limits.attempt(context, user.name, from_address):
            signed_in = self._accounts.change_password(
                user.user_id, body.current_password, body.new_password, deadline=context.deadline
            )
        return Answer(200, tokens_bytes(signed_in))


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
        answers={200: User},
    )
    def on_get(self, context: RequestContext) -> Answer:
        """Answer with what is stored of the user who asks, but for the hash of the password."""
        return Answer(200, encode(_members(self._accounts.own(context.user.user_id, deadline=context.deadline))))

    @Operation(
        operation_id="remove_own_account",
        tag="accounts",
        summary="Delete your own account",
        description="Requires the password. Your ratings stay, without an owner. Admins must be demoted first.",
        request=Confirmation,
        answers={204: None},
        audited=True,
        problems=(WrongPassword, OwnAccount),
    )
    def on_delete(self, context: RequestContext, *, read: Read[Confirmation]) -> Answer:
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
        query=UserListQuery,
        answers={200: UserList},
    )
    def on_get(self, context: RequestContext, *, query: UserListQuery) -> Answer:
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
        request=UserChanges,
        media_types=(JSON, MERGE_PATCH),
        audited=True,
        answers={200: User},
        problems=(UserNotFound, OwnAccount),
    )
    def on_patch(self, context: RequestContext, *, name: str, read: Read[UserChanges]) -> Answer:
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


RESOURCES: Final = (Password, OwnUser, UserCollection, UserItem)


def resources(services: AppServices, limits: SignInLimits) -> Sequence[Resource]:
    """Return the resources of users."""
    return [
        Password(services, limits),
        OwnUser(services, limits),
        UserCollection(services),
        UserItem(services),
    ]


def _members(user: model.User) -> dict[str, Any]:
    """Return what an admin may see of a user, and a user of itself."""
    return {
        "id": user.id,
        "username": user.name,
        "role": user.role.value,
        "disabled": user.disabled,
        "created_at": user.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
