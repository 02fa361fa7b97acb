"""The shapes of answers, for OpenAPI. What is sent is made by `rendering`, and a test holds it to these."""

from datetime import date
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from songs.limits import MAX_LEVEL, MAX_PAGE_SIZE, MAX_RATING, MIN_RATING
from songs.model import Role
from songs_api.http.schemas import Difficulty

_ID: Final = "01a2307eeb17982a0b776b083bfe4a86"
_SONG: Final = {
    "id": _ID,
    "artist": "Johann Pachelbel",
    "title": "Canon in D",
    "difficulty": 7.25,
    "level": 6,
    "released": "1694-01-01",
}
_PAGINATION: Final = {"page": 1, "page_size": 20, "total": 1, "total_pages": 1, "next_cursor": None}
_USER: Final = {
    "id": "01a2307eeb1a982a0b776b083bfe4a87",
    "username": "ada",
    "role": "editor",
    "disabled": False,
    "created_at": "2026-01-31T12:00:00.000Z",
}

Value = Annotated[int, Field(ge=MIN_RATING, le=MAX_RATING)]
Count = Annotated[int, Field(ge=0)]


def _closed(example: dict[str, Any]) -> ConfigDict:
    """Return the configuration of an answer. That it has no other members is what tests check, and no promise."""
    return ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [example]})


class Song(BaseModel):
    """A song of the catalogue."""

    model_config = _closed(_SONG)

    id: Annotated[str, Field(description="Names the song.")]
    artist: Annotated[str, Field(description="Who made it.")]
    title: Annotated[str, Field(description="What it is called.")]
    difficulty: Difficulty
    level: Annotated[int, Field(ge=0, le=MAX_LEVEL, description="From 0 to 100.")]
    released: Annotated[date, Field(description="When it was published.")]


class Pagination(BaseModel):
    """Where a part of a list lies. In a walk `page`, `total` and `total_pages` are null."""

    model_config = _closed(_PAGINATION)

    page: Annotated[Annotated[int, Field(ge=1)] | None, Field(description="The number of the page; null in a walk.")]
    page_size: Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE, description="How many items a page has at most.")]
    total: Annotated[Count | None, Field(description="How many items there are; null in a walk.")]
    total_pages: Annotated[Count | None, Field(description="How many pages there are; null in a walk.")]
    next_cursor: Annotated[str | None, Field(description="For `cursor`; null at the end.")]


class SongList(BaseModel):
    """A part of the songs, ordered by id."""

    model_config = _closed({"data": [_SONG], "pagination": _PAGINATION})

    data: Annotated[list[Song], Field(description="The songs.")]
    pagination: Annotated[Pagination, Field(description="Where they lie.")]


class SearchResult(BaseModel):
    """A part of the songs that were found, ordered by id."""

    model_config = _closed({"message": "canon", "data": [_SONG], "pagination": _PAGINATION})

    message: Annotated[str, Field(description="What was searched for.")]
    data: Annotated[list[Song], Field(description="The songs that were found.")]
    pagination: Annotated[Pagination, Field(description="Where they lie.")]


class DifficultyAverage(BaseModel):
    """The average difficulty, exact and rounded once to 3 decimals; null where there is no song."""

    model_config = _closed({"average_difficulty": 7.25, "level": 6})

    average_difficulty: Annotated[Difficulty | None, Field(description="The average; null where there is no song.")]
    level: Annotated[int | None, Field(description="The level that was asked for; null: all of them.")]


class Distribution(BaseModel):
    """How often each rating was given."""

    model_config = _closed({"1": 0, "2": 0, "3": 0, "4": 1, "5": 2})

    one: Annotated[Count, Field(alias="1", description="How many ratings of 1.")]
    two: Annotated[Count, Field(alias="2", description="How many ratings of 2.")]
    three: Annotated[Count, Field(alias="3", description="How many ratings of 3.")]
    four: Annotated[Count, Field(alias="4", description="How many ratings of 4.")]
    five: Annotated[Count, Field(alias="5", description="How many ratings of 5.")]


class RatingStats(BaseModel):
    """The ratings of a song. Without any, `average`, `lowest` and `highest` are null."""

    model_config = _closed(
        {
            "song_id": _ID,
            "average": 4.667,
            "lowest": 4,
            "highest": 5,
            "count": 3,
            "distribution": {"1": 0, "2": 0, "3": 0, "4": 1, "5": 2},
        }
    )

    song_id: Annotated[str, Field(description="The id of the song.")]
    average: Annotated[
        Annotated[float, Field(ge=MIN_RATING, le=MAX_RATING)] | None,
        Field(description="Exact, and rounded once to 3 decimals."),
    ]
    lowest: Annotated[Value | None, Field(description="The lowest rating.")]
    highest: Annotated[Value | None, Field(description="The highest rating.")]
    count: Annotated[Count, Field(description="How many ratings there are.")]
    distribution: Annotated[Distribution, Field(description="How often each rating was given.")]


class Registered(BaseModel):
    """The account was made."""

    model_config = _closed({"message": "The account was made; sign in with it.", "username": "ada"})

    message: Annotated[str, Field(description="What was done, in words.")]
    username: Annotated[str, Field(description="The name, as it was sent.")]


class SignedIn(BaseModel):
    """An access token, for the Authorization header: `Bearer <access_token>`; and what gets the next one."""

    model_config = _closed(
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

    model_config = _closed(_USER)

    id: Annotated[str, Field(description="Names the user for good.")]
    username: Annotated[str, Field(description="The name to sign in with.")]
    role: Annotated[Role, Field(description="What the user may do.")]
    disabled: Annotated[bool, Field(description="Whether the user is kept out.")]
    created_at: Annotated[str, Field(description="When the account was made, in UTC.")]


class UserList(BaseModel):
    """A part of the users, ordered by id."""

    model_config = _closed({"data": [_USER], "next_after": None})

    data: Annotated[list[User], Field(description="The users.")]
    next_after: Annotated[str | None, Field(description="For `after`; null at the end.")]


class Health(BaseModel):
    """The process answers."""

    model_config = _closed({"status": "healthy"})

    status: Annotated[Literal["healthy"], Field(description="Always the same: the process answers.")]


class Readiness(BaseModel):
    """Whether requests can be served, and what was found. A cache that is down is reported and does no harm."""

    model_config = _closed({"status": "ready", "checks": {"storage": "up", "cache": "up"}})

    status: Annotated[Literal["ready", "unavailable"], Field(description="Whether requests can be served.")]
    checks: Annotated[
        dict[Literal["storage", "cache"], Literal["up", "down"]], Field(description="What answers and what does not.")
    ]


class Fault(BaseModel):
    """One wrong member of a body, or parameter of a query."""

    model_config = _closed({"pointer": "/level", "message": "must be less than or equal to 100"})

    pointer: Annotated[str, Field(description="A JSON pointer to the member, or `/` and the name of the parameter.")]
    message: Annotated[str, Field(description="What is wrong with it.")]


class Problem(BaseModel):
    """What went wrong (RFC 9457). `code` is stable; `error` repeats `detail` for older clients."""

    model_config = _closed(
        {
            "type": "urn:songs:problem:song_not_found",
            "title": "There is no song with this id.",
            "status": 404,
            "detail": "There is no song with this id.",
            "code": "song_not_found",
            "instance": "urn:songs:request:0016ad2f02cbd9d0764164030f6bac87",
            "error": "There is no song with this id.",
        }
    )

    type: Annotated[str, Field(description="`urn:songs:problem:` and the code.")]
    title: Annotated[str, Field(description="What went wrong, the same words for every problem of a code.")]
    status: Annotated[int, Field(description="The HTTP status.")]
    detail: Annotated[str, Field(description="What went wrong this time.")]
    code: Annotated[str, Field(description="For programs: stable, and listed in docs/errors.md.")]
    instance: Annotated[str, Field(description="`urn:songs:request:` and the id of the request.")]
    error: Annotated[str, Field(description="The same as `detail`.")]
    errors: Annotated[list[Fault], Field(description="Each wrong member or parameter, of `invalid` only.")] = Field(
        default_factory=list
    )
