"""Request and response models of accounts."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, Field

from songs.application.password_policy import DEFAULT_MIN_PASSWORD, MAX_PASSWORD
from songs.limits import DEFAULT_PAGE_SIZE, id_problem
from songs.model import Role
from songs_api.http.kernel.query_strings import PageSize
from songs_api.http.kernel.validation import STRICT, answer_config, request_config

_USER: Final = {
    "id": "01a2307eeb1a982a0b776b083bfe4a87",
    "username": "ada",
    "role": "editor",
    "disabled": False,
    "created_at": "2026-01-31T12:00:00.000Z",
}

Secret = Annotated[str, Field(repr=False, json_schema_extra={"format": "password"})]
NewSecret = Annotated[
    Secret,
    Field(
        description=f"{DEFAULT_MIN_PASSWORD} to {MAX_PASSWORD} characters; the service may require more. Neither a "
        "common password nor the username.",
        json_schema_extra={"format": "password", "minLength": DEFAULT_MIN_PASSWORD},
    ),
]


def _id(text: str | None) -> str | None:
    if text is not None and (problem := id_problem(text)):
        raise ValueError(problem)
    return text


class Registration(BaseModel):
    """The account to create."""

    model_config = request_config({"username": "ada", "password": "a long pass phrase"})

    username: Annotated[
        str,
        Field(
            description="3 to 50 letters, digits or any of . _ @ + -",
            json_schema_extra={"pattern": r"^[0-9A-Za-z._@+-]{3,50}$"},
        ),
    ]
    password: NewSecret


class Credentials(BaseModel):
    """The username and password of a user."""

    model_config = request_config({"username": "ada", "password": "a long pass phrase"})

    username: Annotated[str, Field(description="The username; case does not matter.")]
    password: Annotated[Secret, Field(description="The password.")]


class RefreshRequest(BaseModel):
    """A refresh token that has not been used yet."""

    model_config = request_config({"refresh_token": "session.secret"})

    refresh_token: Annotated[Secret, Field(description="The refresh token, as it was received.")]


class SignOut(BaseModel):
    """The session to end."""

    model_config = request_config({"refresh_token": "session.secret"})

    refresh_token: Annotated[Secret, Field(description="The refresh token, as it was received.")]
    everywhere: Annotated[bool, Field(description="End all sessions of the user.")] = False


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


class Registered(BaseModel):
    """The account was created."""

    model_config = answer_config({"message": "The account was made; sign in with it.", "username": "ada"})

    message: Annotated[str, Field(description="A message for people.")]
    username: Annotated[str, Field(description="The username, as it was sent.")]


class SignedIn(BaseModel):
    """An access token, for the Authorization header (`Bearer <access_token>`), and a refresh token for the next one."""

    model_config = answer_config(
        {
            "access_token": "header.claims.signature",
            "token_type": "bearer",
            "expires_in": 600,
            "refresh_token": "session.secret",
        }
    )

    access_token: Annotated[str, Field(description="The token for the Authorization header.")]
    token_type: Annotated[Literal["bearer"], Field(description="The type of the access token.")]
    expires_in: Annotated[int, Field(description="The lifetime of the access token, in seconds.")]
    refresh_token: Annotated[str, Field(description="The token for POST /auth/refresh. It can be used once.")]


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
