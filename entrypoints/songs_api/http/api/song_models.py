"""Request and response models of songs."""

import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, WithJsonSchema, create_model

from songs import model
from songs.application.catalogue import folded
from songs.errors import InvalidInput
from songs.limits import MAX_LEVEL, MAX_PAGE_SIZE, MAX_TEXT, text_problem
from songs.model import SongDetails, difficulty_milli
from songs.query import SongFilter
from songs_api.http.kernel.query_strings import DECIMAL, MAX_DECIMAL, PageQuery
from songs_api.http.kernel.validation import STRICT, WHOLE, Count, answer_config, request_config

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
SONG_ID: Final = "01a2307eeb17982a0b776b083bfe4a86"
"""The example."""
_PAGINATION: Final = {"page": 1, "page_size": 20, "total": 1, "total_pages": 1, "next_cursor": None}


def _title(text: str) -> str:
    # Checked as the domain does, but before a condition is looked at or a song sought: a wrong body is wrong for any.
    normalised = unicodedata.normalize("NFC", text)
    if problem := text_problem(normalised):
        raise ValueError(problem)
    return normalised


def _released(text: Any) -> Any:  # noqa: ANN401 - whatever a caller sent
    if not isinstance(text, str) or not _DATE.fullmatch(text):
        raise ValueError("must be a date: YYYY-MM-DD")
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError("must be a date that exists: YYYY-MM-DD") from error


def _milli(number: Any) -> Any:  # noqa: ANN401 - whatever a caller sent
    if isinstance(number, bool) or not isinstance(number, int | Decimal):
        raise ValueError("must be a number")  # noqa: TRY004 - pydantic turns only ValueError into a fault
    try:
        return difficulty_milli(number)
    except InvalidInput as error:
        raise ValueError(error.errors[0].message) from error


# Characters that the domain refuses, for the document: control characters, line and paragraph separators.
Title = Annotated[
    str,
    Field(
        description="1 to 1024 characters after NFC, without control characters.",
        min_length=1,
        max_length=MAX_TEXT,
        json_schema_extra={"pattern": r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]+$"},
    ),
    AfterValidator(_title),
]
Level = Annotated[int, Field(ge=0, le=MAX_LEVEL, description="From 0 to 100."), WHOLE]
Released = Annotated[
    date,
    BeforeValidator(_released),
    Field(description="The release date."),
    WithJsonSchema({"type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}),
]
DifficultyMilli = Annotated[
    int,
    BeforeValidator(_milli),
    Field(description="From 0 to 100, with at most 3 decimals."),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 100, "multipleOf": 0.001}),
]
Difficulty = Annotated[float, Field(ge=0, le=100, description="With at most 3 decimals.")]
LevelFilter = Annotated[int, Field(ge=0, le=MAX_LEVEL, description="List only songs of this level."), DECIMAL]


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a song in JSON.

    Attributes:
        attribute: Its name in `SongDetails`.
        request: Its type in requests, whose values become those of `SongDetails`.
        response: Its type in responses.
        example: A value in JSON.
        default: What an absent member of a request stands for; an ellipsis where it is required.
    """

    attribute: str
    request: Any
    response: Any
    example: object
    default: Any = ...


MEMBERS: Final = {
    "artist": Member("artist", Title, Annotated[str, Field(description="The artist.")], "Johann Pachelbel"),
    "title": Member("title", Title, Annotated[str, Field(description="The title.")], "Canon in D"),
    "difficulty": Member("difficulty_milli", DifficultyMilli, Difficulty, 7.25),
    "level": Member("level", Level, Annotated[int, Field(ge=0, le=MAX_LEVEL, description="From 0 to 100.")], 6),
    "released": Member("released", Released, Annotated[date, Field(description="The release date.")], "1694-01-01"),
}
"""The members that a song has beside its id: requests, responses and imports follow from this table."""

_DETAILS: Final = {name: member.example for name, member in MEMBERS.items()}
_SONG: Final = {"id": SONG_ID, **_DETAILS}


def _made(name: str, fields: dict[str, Any]) -> Any:  # noqa: ANN401 - type checkers cannot see fields of a table
    return create_model(name, **fields)


_Required: Any = _made("_Required", {name: (member.request, member.default) for name, member in MEMBERS.items()})
# The defaults are never used: only members that were sent are merged. A factory keeps them out of the schema.
_Optional: Any = _made(
    "_Optional", {name: (member.request, Field(default_factory=lambda: None)) for name, member in MEMBERS.items()}
)
_Response: Any = _made(
    "_Response",
    {
        "id": Annotated[str, Field(description="The id of the song.")],
        **{name: member.response for name, member in MEMBERS.items()},
    },
)


class NewSong(_Required):  # type: ignore[misc]  # of a base that is Any
    """The details of a song."""

    model_config = request_config(_DETAILS)

    @property
    def details(self) -> SongDetails:
        """These details, checked by the domain.

        Raises:
            InvalidInput: At least one member is wrong; all of them are named.
        """
        return SongDetails(**{member.attribute: getattr(self, name) for name, member in MEMBERS.items()})


class SongChanges(_Optional):  # type: ignore[misc]  # of a base that is Any
    """Changes to a song (RFC 7396). Absent members stay as they are, and no member can be null."""

    model_config = request_config({"difficulty": 8.5, "level": 7})

    def merged(self, details: SongDetails) -> SongDetails:
        """Return `details` with what was sent put in its place.

        Raises:
            InvalidInput: At least one member is wrong; all of them are named.
        """
        return replace(details, **{MEMBERS[name].attribute: getattr(self, name) for name in self.model_fields_set})


class Song(_Response):  # type: ignore[misc]  # of a base that is Any
    """A song of the catalogue."""

    model_config = answer_config(_SONG)


def song_members(song: model.Song) -> dict[str, Any]:
    """Return a song as responses have it, the id first; its release date is still a date."""
    # Written out: a page has many songs, and filling a dictionary from the table takes more than twice as long.
    details = song.details
    return {
        "id": song.id,
        "artist": details.artist,
        "title": details.title,
        "difficulty": details.difficulty_milli / 1000,
        "level": details.level,
        "released": details.released,
    }


class SongListQuery(PageQuery):
    """The songs to list."""

    artist: Annotated[str | None, Field(description="List only songs of this artist, ignoring case and accents.")] = (
        None
    )
    level: Annotated[LevelFilter | None, Field(description="List only songs of this level.")] = None

    @cached_property
    def song_filter(self) -> SongFilter:
        """The filter for the services.

        Raises:
            InvalidInput: The artist has no characters that can match.
        """
        artist = None if self.artist is None else folded("/artist", self.artist)
        return SongFilter(artist=artist, level=self.level)


class SearchQuery(PageQuery):
    """The text to search for."""

    message: Annotated[
        str,
        Field(
            description="Part of an artist's name or of a title, ignoring case and accents. There are no wildcards.",
            examples=["bach"],
        ),
    ]

    @cached_property
    def song_filter(self) -> SongFilter:
        """The filter for the services.

        Raises:
            InvalidInput: The message has no characters that can match.
        """
        return SongFilter(text=folded("/message", self.message))


class LevelQuery(BaseModel):
    """The level of the songs, or all levels. A level that no song can have matches no song."""

    model_config = STRICT

    level: Annotated[
        int | None,
        Field(ge=-MAX_DECIMAL, le=MAX_DECIMAL, description="Average only songs of this level; null if there are none."),
        DECIMAL,
    ] = None


class Pagination(BaseModel):
    """The position of a part in its list. With a cursor, `page`, `total` and `total_pages` are null."""

    model_config = answer_config(_PAGINATION)

    page: Annotated[Annotated[int, Field(ge=1)] | None, Field(description="The page number; null with a cursor.")]
    page_size: Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE, description="The maximum number of items on a page.")]
    total: Annotated[Count | None, Field(description="The number of items; null with a cursor.")]
    total_pages: Annotated[Count | None, Field(description="The number of pages; null with a cursor.")]
    next_cursor: Annotated[str | None, Field(description="The value of `cursor` for the next part; null at the end.")]


class SongList(BaseModel):
    """Part of the songs, ordered by id."""

    model_config = answer_config({"data": [_SONG], "pagination": _PAGINATION})

    data: Annotated[list[Song], Field(description="The songs.")]
    pagination: Annotated[Pagination, Field(description="The position of this part in the list.")]


class SearchResult(BaseModel):
    """Part of the songs found, ordered by id."""

    model_config = answer_config({"message": "canon", "data": [_SONG], "pagination": _PAGINATION})

    message: Annotated[str, Field(description="The text that was searched for.")]
    data: Annotated[list[Song], Field(description="The songs found.")]
    pagination: Annotated[Pagination, Field(description="The position of this part in the list.")]


class DifficultyAverage(BaseModel):
    """The exact average difficulty, rounded once to 3 decimals; null if there are no songs."""

    model_config = answer_config({"average_difficulty": 7.25, "level": 6})

    average_difficulty: Annotated[Difficulty | None, Field(description="The average; null if there are no songs.")]
    level: Annotated[int | None, Field(description="The requested level; null for all levels.")]
