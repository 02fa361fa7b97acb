"""Query strings, read strictly; and lists in parts, by page or by cursor, with Link headers (RFC 8288)."""

import re
from functools import cached_property, lru_cache
from typing import Annotated, Any, Final, TypeVar, cast
from urllib.parse import unquote_to_bytes, urlencode

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from songs.limits import DEFAULT_PAGE_SIZE, MAX_COUNTED_ITEMS, MAX_PAGE_SIZE
from songs.query import PageNumber, Walk
from songs_api.http.kernel.validation import MALFORMED_QUERY, STRICT, Malformed, validated

MAX_DECIMAL: Final = 999_999_999
_DECIMAL: Final = re.compile(r"0|-?[1-9][0-9]{0,8}", re.ASCII)
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_MAX_REMEMBERED: Final = 200
"""Characters of a query string that is remembered."""


def _decimal(text: Any) -> Any:  # noqa: ANN401 - whatever a caller sent
    if isinstance(text, str):
        if not _DECIMAL.fullmatch(text):
            raise ValueError("must be an integer of at most 9 digits")
        return int(text)
    return text


DECIMAL: Final = BeforeValidator(_decimal)


class NoQuery(BaseModel):
    """No parameters."""

    model_config = STRICT


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


PageSize = Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE, description="The maximum number of items."), DECIMAL]


class PageQuery(BaseModel):
    """The part of a list to return: a page by number, or the next part by cursor."""

    model_config = STRICT

    page: Annotated[int, Field(ge=1, description="The page number, from 1."), DECIMAL] = 1
    page_size: PageSize = DEFAULT_PAGE_SIZE
    cursor: Annotated[
        str | None,
        Field(
            description="Lists everything part by part, without totals. Send it empty to begin, then the `next_cursor` "
            "of each response. Cannot be combined with `page`.",
        ),
    ] = None

    @model_validator(mode="after")
    def _one_way(self) -> "PageQuery":
        if {"page", "cursor"} <= self.model_fields_set:
            raise ValueError("send either page or cursor")
        return self

    @cached_property
    def which(self) -> PageNumber | Walk:
        """The page for the services."""
        if self.cursor is None:
            return PageNumber(self.page, self.page_size)
        return Walk(self.cursor or None, self.page_size)

    @cached_property
    def others(self) -> str:
        """A query string with every parameter sent except `page` and `cursor`."""
        sent = self.model_dump(exclude_unset=True, exclude_none=True, exclude={"page", "cursor"})
        return urlencode(sent) + "&" if sent else ""


def split(rendered: bytes) -> tuple[int | None, str, bytes]:
    """Return what `api.songs.tagged_page` made, less the tag: how many pages (None in a walk), next cursor, body."""
    line, _, body = rendered.partition(b"\n")
    pages, _, cursor = line.decode("ascii").partition(" ")
    return (int(pages) if pages else None), cursor, body


def link_header(query: PageQuery, total_pages: int | None, next_cursor: str) -> str:
    """Return the Link header of a part of a list; empty where it leads nowhere.

    Its targets are relative references that consist of a query only, so they remain valid behind any proxy.
    """
    others = query.others
    if total_pages is None:
        return f'<?{others}{urlencode({"cursor": next_cursor})}>; rel="next"' if next_cursor else ""
    page, deepest = query.page, MAX_COUNTED_ITEMS // query.page_size
    links = f'<?{others}page=1>; rel="first"'
    if page > 1:
        links += f', <?{others}page={max(1, min(page - 1, total_pages))}>; rel="prev"'
    if page < total_pages:
        # Beyond the depth to which pages are counted a cursor goes on.
        further = f"page={page + 1}" if page < deepest else urlencode({"cursor": next_cursor})
        links += f', <?{others}{further}>; rel="next"'
    if 1 <= total_pages <= deepest:
        links += f', <?{others}page={total_pages}>; rel="last"'
    return links
