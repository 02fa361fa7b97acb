"""Query strings: read strictly, checked against the parameters that a route declares."""

import re
from functools import cached_property, lru_cache
from typing import Annotated, Any, Final, TypeVar, cast
from urllib.parse import unquote_to_bytes, urlencode

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

from songs.limits import DEFAULT_PAGE_SIZE, MAX_LEVEL, MAX_PAGE_SIZE, id_problem
from songs.query import PageNumber, SongFilter, Walk
from songs.services.catalogue import folded
from songs_api.http.failures import MALFORMED_QUERY, Malformed
from songs_api.http.validation import STRICT, validated

_DECIMAL: Final = re.compile(r"0|-?[1-9][0-9]{0,8}", re.ASCII)
MAX_DECIMAL: Final = 999_999_999
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_MAX_REMEMBERED: Final = 200
"""Characters of a query string that is remembered."""


def _decimal(text: Any) -> Any:  # noqa: ANN401 - whatever a caller sent
    if isinstance(text, str):
        if not _DECIMAL.fullmatch(text):
            raise ValueError("must be an integer of at most 9 digits")
        return int(text)
    return text


def _id(text: str | None) -> str | None:
    if text is not None and (problem := id_problem(text)):
        raise ValueError(problem)
    return text


DECIMAL: Final = BeforeValidator(_decimal)
Level = Annotated[int, Field(ge=0, le=MAX_LEVEL, description="Only songs of this level."), DECIMAL]
PageSize = Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE, description="How many items."), DECIMAL]


class NoQuery(BaseModel):
    """No parameters."""

    model_config = STRICT


class PageQuery(BaseModel):
    """Which part of a list: a page by number, or the next part of a walk."""

    model_config = STRICT

    page: Annotated[int, Field(ge=1, description="The number of the page, from 1."), DECIMAL] = 1
    page_size: PageSize = DEFAULT_PAGE_SIZE
    cursor: Annotated[
        str | None,
        Field(
            description="Walks through everything without totals: empty to begin, then each answer's `next_cursor`. "
            "Not together with `page`.",
        ),
    ] = None

    @model_validator(mode="after")
    def _one_way(self) -> "PageQuery":
        if {"page", "cursor"} <= self.model_fields_set:
            raise ValueError("send either page or cursor")
        return self

    @cached_property
    def which(self) -> PageNumber | Walk:
        """What to ask the services for."""
        if self.cursor is None:
            return PageNumber(self.page, self.page_size)
        return Walk(self.cursor or None, self.page_size)

    @cached_property
    def others(self) -> str:
        """A query string with all that was sent and says nothing of which part is asked for."""
        sent = self.model_dump(exclude_unset=True, exclude_none=True, exclude={"page", "cursor"})
        return urlencode(sent) + "&" if sent else ""


class SongListQuery(PageQuery):
    """Which songs."""

    artist: Annotated[
        str | None, Field(description="Only songs of this artist, without regard to case and accents.")
    ] = None
    level: Annotated[Level | None, Field(description="Only songs of this level.")] = None

    @cached_property
    def song_filter(self) -> SongFilter:
        """What to ask the services for.

        Raises:
            InvalidInput: Nothing of the artist can be matched.
        """
        artist = None if self.artist is None else folded("/artist", self.artist)
        return SongFilter(artist=artist, level=self.level)


class SearchQuery(PageQuery):
    """What to search for."""

    message: Annotated[
        str,
        Field(
            description="Part of an artist's name or of a title, without regard to case and accents. "
            "Every character stands for itself.",
            examples=["bach"],
        ),
    ]

    @cached_property
    def song_filter(self) -> SongFilter:
        """What to ask the services for.

        Raises:
            InvalidInput: Nothing of the message can be matched.
        """
        return SongFilter(text=folded("/message", self.message))


class LevelQuery(BaseModel):
    """Songs of one level, or all. A level that no song can have is one without songs."""

    model_config = STRICT

    level: Annotated[
        int | None,
        Field(ge=-MAX_DECIMAL, le=MAX_DECIMAL, description="Only songs of this level: null where there are none."),
        DECIMAL,
    ] = None


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


Query = TypeVar("Query", bound=BaseModel)


def read_query(query_string: str, model: type[Query]) -> Query:
    """Return the parameters of a query string, still percent-encoded, as a `model`.

    Raises:
        Malformed: It is not UTF-8, percent-encoded, without NUL, or it has a parameter twice.
        InvalidInput: A parameter is not declared, is missing, or has a value that is not accepted.
    """
    read = _remembered if len(query_string) <= _MAX_REMEMBERED else _read
    # Queries are frozen, so that requests may share them.
    return cast("Query", read(query_string, model))


def _read(query_string: str, model: type[BaseModel]) -> BaseModel:
    return validated(model, _parameters(query_string) if query_string else {})


_remembered = lru_cache(maxsize=1024)(_read)


def _parameters(query_string: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for part in query_string.split("&"):
        if part:
            name, _, value = part.partition("=")
            name = _decoded(name)
            if name in parameters:
                raise Malformed(MALFORMED_QUERY.format("a parameter occurs twice"))
            parameters[name] = _decoded(value)
    return parameters


def _decoded(text: str) -> str:
    if not text.isascii() or _BROKEN_ESCAPE.search(text):
        raise Malformed(MALFORMED_QUERY.format("its percent-encoding is broken"))
    try:
        decoded = unquote_to_bytes(text.replace("+", " ")).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(MALFORMED_QUERY.format("it is not UTF-8")) from error
    if "\0" in decoded:
        raise Malformed(MALFORMED_QUERY.format("it has a NUL character"))
    return decoded
