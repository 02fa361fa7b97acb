"""Lists in parts: by page or by cursor, with Link headers (RFC 8288) to the other parts."""

from functools import cached_property
from typing import Annotated
from urllib.parse import urlencode

from pydantic import BaseModel, Field, model_validator

from songs.limits import DEFAULT_PAGE_SIZE, MAX_COUNTED_ITEMS, MAX_PAGE_SIZE
from songs.query import PageNumber, Walk
from songs_api.http.kernel.query_strings import DECIMAL
from songs_api.http.kernel.validation import STRICT

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
        """A query string with all that was sent and says nothing of which part is asked for."""
        sent = self.model_dump(exclude_unset=True, exclude_none=True, exclude={"page", "cursor"})
        return urlencode(sent) + "&" if sent else ""


def split(rendered: bytes) -> tuple[int | None, str, bytes]:
    """Return what `rendering.tagged_page` made, less the tag: how many pages (None in a walk), next cursor, body."""
    line, _, body = rendered.partition(b"\n")
    pages, _, cursor = line.decode("ascii").partition(" ")
    return (int(pages) if pages else None), cursor, body


def link_header(query: PageQuery, total_pages: int | None, next_cursor: str) -> str:
    """Return the Link header of a part of a list; empty where it leads nowhere.

    Its targets are relative references that consist of a query only, so they stay right behind any proxy.
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
