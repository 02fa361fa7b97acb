"""Link headers (RFC 8288) for parts of lists."""

from urllib.parse import urlencode

from songs.limits import MAX_COUNTED_ITEMS
from songs_api.http.queries import PageQuery


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
