"""Link headers where lists are longer than pages are counted."""

import re

import pytest

from songs.query import SongPage
from songs_api.http.api.song_models import SearchQuery
from songs_api.http.api.songs import tagged_page
from songs_api.http.kernel.query_strings import PageQuery, link_header, split


def _links(query: PageQuery, total_pages: int | None, next_cursor: str) -> dict[str, str]:
    header = link_header(query, total_pages, next_cursor)
    return {rel: target for target, rel in re.findall(r'<([^>]*)>; rel="(\w+)"', header)}


def test_beyond_the_counted_pages_a_cursor_goes_on() -> None:
    """The last page that is counted links on by cursor, and to no last page that nobody could get."""
    assert _links(PageQuery(page=1000, page_size=100), 1200, "abc") == {
        "first": "?page_size=100&page=1",
        "prev": "?page_size=100&page=999",
        "next": "?page_size=100&cursor=abc",
    }
    assert _links(PageQuery(page=999, page_size=100), 1200, "abc")["next"] == "?page_size=100&page=1000"


def test_exactly_the_counted_pages_are_linked() -> None:
    """With as many pages as are counted, the last one is linked, and nothing follows it."""
    assert _links(PageQuery(page=1000, page_size=100), 1000, "") == {
        "first": "?page_size=100&page=1",
        "prev": "?page_size=100&page=999",
        "last": "?page_size=100&page=1000",
    }


def test_a_walk_links_on_until_its_end() -> None:
    """A walk has nothing but a next part."""
    query = PageQuery(cursor="abc", page_size=2)

    assert _links(query, None, "def") == {"next": "?page_size=2&cursor=def"}
    assert link_header(query, None, "") == ""


@pytest.mark.parametrize("message", ["a&page=9", 'x>; rel="last"', "line\r\nX-Injected: 1", "君", "%", "+"])
def test_nothing_gets_out_of_a_link(message: str) -> None:
    """What was searched for is percent-encoded: it can end neither the link nor the header."""
    header = link_header(SearchQuery(message=message), 1, "")

    assert re.fullmatch(r'(<\?[A-Za-z0-9%=&+_.~-]*>; rel="(first|last)"(, )?){2}', header)


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (SongPage(songs=(), page_size=2, next_cursor="abc"), (None, "abc")),
        (SongPage(songs=(), page_size=2, next_cursor=None), (None, "")),
        (SongPage(songs=(), page_size=2, next_cursor=None, page=1, total=5), (3, "")),
        (SongPage(songs=(), page_size=2, next_cursor="abc", page=1, total=0), (0, "abc")),
    ],
)
def test_a_rendered_page_tells_what_its_links_need(page: SongPage, expected: tuple[int | None, str]) -> None:
    """The line before the body comes apart into what went into it, and the body is JSON again."""
    total_pages, next_cursor, body = split(tagged_page(page).partition(b"\n")[2])

    assert (total_pages, next_cursor) == expected
    assert body.startswith(b'{"data":[],"pagination":{')
