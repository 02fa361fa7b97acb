"""What clients send and receive of accounts."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, Field

from songs.application.password_policy import DEFAULT_MIN_PASSWORD, MAX_PASSWORD
from songs.limits import DEFAULT_PAGE_SIZE, id_problem
from songs.model import Role
from songs_api.http.kernel.paging import PageSize
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
        description=f"{DEFAULT_MIN_PASSWORD} to {MAX_PASSWORD} characters, or more at least where the service asks "
        "for it; neither a common one nor the username.",
        json_schema_extra={"format": "password", "minLength": DEFAULT_MIN_PASSWORD},
    ),
]


def _id(text: str | None) -> str | None:
    if text is not None and (problem := id_problem(text)):
        raise ValueError(problem)
    return text


class Registration(BaseModel):
    """The account to make."""

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
    """Who signs in."""

    model_config = request_config({"username": "ada", "password": "a long pass phrase"})

    username: Annotated[str, Field(description="The name, in any case.")]
    password: Annotated[Secret, Field(description="The password.")]


class RefreshRequest(BaseModel):
    """A refresh token that was not used yet."""

    model_config = request_config({"refresh_token": "session.secret"})

    refresh_token: Annotated[Secret, Field(description="As it was answered.")]


class SignOut(BaseModel):
    """The session that is to end."""

    model_config = request_config({"refresh_token": "session.secret"})

    refresh_token: Annotated[Secret, Field(description="As it was answered.")]
    everywhere: Annotated[bool, Field(description="End all sessions of the user.")] = False


class PasswordChange(BaseModel):
    """The password, and the one that is to take its place."""

    model_config = request_config({"current_password": "a long pass phrase", "new_password": "a longer phrase"})

    current_password: Annotated[Secret, Field(description="The password of now.")]
    new_password: NewSecret


class Confirmation(BaseModel):
    """The password, once more."""

    model_config = request_config({"password": "a long pass phrase"})

    password: Annotated[Secret, Field(description="The password of now.")]


class UserChanges(BaseModel):
    """What is to be changed of a user: members that are absent stay as they are."""

    model_config = request_config({"role": "editor"})

    role: Annotated[Role, Field(strict=False, description="What the user may do.")] = Field(
        default_factory=lambda: Role.USER
    )
    disabled: Annotated[bool, Field(description="Whether to keep the user out.")] = Field(default_factory=bool)


class UserListQuery(BaseModel):
    """Which part of the users."""

    model_config = STRICT

    page_size: PageSize = DEFAULT_PAGE_SIZE
    after: Annotated[
        str | None,
        Field(
            description="Only users after the one with this id: `next_after`.",
            json_schema_extra={"pattern": r"^[0-9A-Za-z_-]{1,64}$"},
        ),
        AfterValidator(_id),
    ] = None


class Registered(BaseModel):
    """The account was made."""

    model_config = answer_config({"message": "The account was made; sign in with it.", "username": "ada"})

    message: Annotated[str, Field(description="What was done, in words.")]
    username: Annotated[str, Field(description="The name, as it was sent.")]


class SignedIn(BaseModel):
    """An access token, for the Authorization header: `Bearer <access_token>`; and what gets the next one."""

    model_config = answer_config(
        {
            "access_token": "header.claims.signature",
            "token_type": "bearer",
            "expires_in": 600,
            "refresh_token": "session.secret",
        }
    )

    access_token: Annotated[str, Field(description="For the Authorization header.")]
    token_type: Annotated[Literal["bearer"], Field(description="How it is sent.")]
    expires_in: Annotated[int, Field(description="How long the access token is good for, in seconds.")]
    refresh_token: Annotated[str, Field(description="For POST /auth/refresh, once.")]


class User(BaseModel):
    """A user, as an admin sees it, or the user itself."""

    model_config = answer_config(_USER)

    id: Annotated[str, Field(description="Names the user for good.")]
    username: Annotated[str, Field(description="The name to sign in with.")]
    role: Annotated[Role, Field(description="What the user may do.")]
    disabled: Annotated[bool, Field(description="Whether the user is kept out.")]
    created_at: Annotated[str, Field(description="When the account was made, in UTC.")]


class UserList(BaseModel):
    """A part of the users, ordered by id."""

    model_config = answer_config({"data": [_USER], "next_after": None})

    data: Annotated[list[User], Field(description="The users.")]
    next_after: Annotated[str | None, Field(description="For `after`; null at the end.")]
