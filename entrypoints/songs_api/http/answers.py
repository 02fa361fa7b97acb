"""The shapes of answers, for OpenAPI. What is sent is made by `rendering`, and a test holds it to these."""

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from songs.limits import MAX_LEVEL, MAX_PAGE_SIZE, MAX_RATING, MIN_RATING
from songs.model import Role
from songs_api.http.schemas import Difficulty

_CLOSED = ConfigDict(extra="forbid", frozen=True)

Value = Annotated[int, Field(ge=MIN_RATING, le=MAX_RATING)]
Count = Annotated[int, Field(ge=0)]


class Song(BaseModel):
    """A song of the catalogue."""

    model_config = _CLOSED

    id: str
    artist: str
    title: str
    difficulty: Difficulty
    level: Annotated[int, Field(ge=0, le=MAX_LEVEL)]
    released: date


class Pagination(BaseModel):
    """Where a part of a list lies. In a walk `page`, `total` and `total_pages` are null."""

    model_config = _CLOSED

    page: Annotated[int, Field(ge=1)] | None
    page_size: Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE)]
    total: Count | None
    total_pages: Count | None
    next_cursor: Annotated[str | None, Field(description="For `cursor`; null at the end.")]


class SongList(BaseModel):
    """A part of the songs, ordered by id."""

    model_config = _CLOSED

    data: list[Song]
    pagination: Pagination


class SearchResult(BaseModel):
    """A part of the songs that were found, ordered by id."""

    model_config = _CLOSED

    message: str
    data: list[Song]
    pagination: Pagination


class AverageDifficulty(BaseModel):
    """The average difficulty, exact and rounded once to 3 decimals; null where there is no song."""

    model_config = _CLOSED

    average_difficulty: Difficulty | None
    level: int | None


class Distribution(BaseModel):
    """How often each rating was given."""

    model_config = _CLOSED

    one: Annotated[Count, Field(alias="1")]
    two: Annotated[Count, Field(alias="2")]
    three: Annotated[Count, Field(alias="3")]
    four: Annotated[Count, Field(alias="4")]
    five: Annotated[Count, Field(alias="5")]


class RatingStats(BaseModel):
    """The ratings of a song. Without any, `average`, `lowest` and `highest` are null."""

    model_config = _CLOSED

    song_id: str
    average: Annotated[float, Field(ge=MIN_RATING, le=MAX_RATING)] | None
    lowest: Value | None
    highest: Value | None
    count: Count
    distribution: Distribution


class Registered(BaseModel):
    """The account was made."""

    model_config = _CLOSED

    message: str
    username: str


class SignedIn(BaseModel):
    """An access token, for the Authorization header: `Bearer <access_token>`; and what gets the next one."""

    model_config = _CLOSED

    access_token: str
    token_type: Literal["bearer"]
    expires_in: Annotated[int, Field(description="How long the access token is good for, in seconds.")]
    refresh_token: Annotated[str, Field(description="For POST /auth/refresh, once.")]


class User(BaseModel):
    """A user, as an admin sees it, or the user itself."""

    model_config = _CLOSED

    id: str
    username: str
    role: Role
    disabled: bool
    created_at: str


class UserList(BaseModel):
    """A part of the users, ordered by id."""

    model_config = _CLOSED

    data: list[User]
    next_after: Annotated[str | None, Field(description="For `after`; null at the end.")]


class Health(BaseModel):
    """The process answers."""

    model_config = _CLOSED

    status: Literal["healthy"]


class Readiness(BaseModel):
    """Whether requests can be served, and what was found. A cache that is down is reported and does no harm."""

    model_config = _CLOSED

    status: Literal["ready", "unavailable"]
    checks: dict[Literal["storage", "cache"], Literal["up", "down"]]


class Fault(BaseModel):
    """One wrong member of a body, or parameter of a query."""

    model_config = _CLOSED

    pointer: str
    message: str


class Problem(BaseModel):
    """What went wrong (RFC 9457). `code` is stable; `error` repeats `detail` for older clients."""

    model_config = _CLOSED

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str
    error: str
    errors: list[Fault] = Field(default_factory=list)
