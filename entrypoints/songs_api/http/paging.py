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
    links: dict[str, str] = {}
    if total_pages is None:
        if next_cursor:
            links["next"] = urlencode({"cursor": next_cursor})
    else:
        deepest = MAX_COUNTED_ITEMS // query.page_size
        links["first"] = "page=1"
        if query.page > 1:
            links["prev"] = f"page={max(1, min(query.page - 1, total_pages))}"
        if query.page < total_pages:
            # Beyond the depth to which pages are counted a cursor goes on.
            deeper = query.page < deepest
            links["next"] = f"page={query.page + 1}" if deeper else urlencode({"cursor": next_cursor})
        if 1 <= total_pages <= deepest:
            links["last"] = f"page={total_pages}"
    return ", ".join([f'<?{query.others}{target}>; rel="{rel}"' for rel, target in links.items()])
