"""The catalogue, read through the cache and edited by editors."""

from functools import partial

import falcon

from songs.services.catalogue import Catalogue
from songs.services.reads import CachedReads
from songs_api.http.paging import link_header, split
from songs_api.http.queries import LevelQuery, PageQuery, SearchQuery, SongListQuery
from songs_api.http.reading import Read
from songs_api.http.rendering import difficulty_bytes, found_bytes, page_bytes, song_bytes
from songs_api.http.request import ApiRequest
from songs_api.http.routes import PREFIX
from songs_api.http.schemas import NewSong, SongChanges


class SongCollection:
    """GET and POST /songs."""

    def __init__(self, reads: CachedReads, catalogue: Catalogue) -> None:
        self._reads = reads
        self._catalogue = catalogue

    def on_get(self, req: ApiRequest, resp: falcon.Response, *, query: SongListQuery) -> None:
        """Answer with a part of the songs."""
        page = self._reads.page("songs", query.song_filter, query.which, page_bytes, deadline=req.deadline)
        resp.data = _linked(resp, query, page)

    def on_post(self, req: ApiRequest, resp: falcon.Response, *, read: Read[NewSong]) -> None:
        """Add a song."""
        song = self._catalogue.add(read().details, deadline=req.deadline)
        req.target = song.id
        resp.status = 201
        resp.set_header("Location", f"{PREFIX}/songs/{song.id}")
        resp.data = song_bytes(song)


class SongSearch:
    """GET /songs/search."""

    def __init__(self, reads: CachedReads) -> None:
        self._reads = reads

    def on_get(self, req: ApiRequest, resp: falcon.Response, *, query: SearchQuery) -> None:
        """Answer with a part of the songs that were found."""
        page = self._reads.page("songs", query.song_filter, query.which, page_bytes, deadline=req.deadline)
        resp.data = found_bytes(query.message, _linked(resp, query, page))


class AverageDifficulty:
    """GET /songs/difficulty/average."""

    def __init__(self, reads: CachedReads) -> None:
        self._reads = reads

    def on_get(self, req: ApiRequest, resp: falcon.Response, *, query: LevelQuery) -> None:
        """Answer with the average over a level, or over all songs."""
        render = partial(difficulty_bytes, query.level)
        resp.data = self._reads.difficulty(query.level, render, deadline=req.deadline)


class SongItem:
    """GET, PUT, PATCH and DELETE /songs/{song_id}."""

    def __init__(self, reads: CachedReads, catalogue: Catalogue) -> None:
        self._reads = reads
        self._catalogue = catalogue

    def on_get(self, req: ApiRequest, resp: falcon.Response, *, song_id: str) -> None:
        """Answer with the song."""
        resp.data = self._reads.song(song_id, song_bytes, deadline=req.deadline)

    def on_put(self, req: ApiRequest, resp: falcon.Response, *, song_id: str, read: Read[NewSong]) -> None:
        """Replace all that is said of the song."""
        details = read().details
        resp.data = song_bytes(self._catalogue.change(song_id, lambda _: details, deadline=req.deadline))

    def on_patch(self, req: ApiRequest, resp: falcon.Response, *, song_id: str, read: Read[SongChanges]) -> None:
        """Change what was sent; an empty object changes nothing."""
        changes = read()
        if changes.model_fields_set:
            song = self._catalogue.change(song_id, changes.merged, deadline=req.deadline)
        else:
            song = self._catalogue.get(song_id, deadline=req.deadline)
        resp.data = song_bytes(song)

    def on_delete(self, req: ApiRequest, resp: falcon.Response, *, song_id: str) -> None:
        """Remove the song with its ratings."""
        self._catalogue.remove(song_id, deadline=req.deadline)
        resp.status = 204


def _linked(resp: falcon.Response, query: PageQuery, page: bytes) -> bytes:
    total_pages, next_cursor, body = split(page)
    links = link_header(query, total_pages, next_cursor)
    if links:
        resp.set_header("Link", links)
    return body
