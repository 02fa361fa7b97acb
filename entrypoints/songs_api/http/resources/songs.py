"""The catalogue, read through the cache and edited by editors."""

from functools import partial

from songs.deadline import Deadline
from songs.errors import VersionConflict
from songs.limits import level_problem
from songs.model import DifficultyTotals, Song
from songs.services.catalogue import Catalogue
from songs.services.reads import CachedReads
from songs_api.http.conditions import Seen, required_if_match
from songs_api.http.paging import link_header, split
from songs_api.http.queries import LevelQuery, PageQuery, SearchQuery, SongListQuery
from songs_api.http.reading import Read
from songs_api.http.readings import send, send_at_once
from songs_api.http.rendering import found_bytes, song_bytes, song_tag, tagged_difficulty, tagged_page, tagged_song
from songs_api.http.request import ApiRequest
from songs_api.http.response import ApiResponse
from songs_api.http.routes import PREFIX
from songs_api.http.schemas import NewSong, SongChanges


class SongCollection:
    """GET and POST /songs."""

    def __init__(self, reads: CachedReads, catalogue: Catalogue) -> None:
        self._reads = reads
        self._catalogue = catalogue

    def on_get(self, req: ApiRequest, resp: ApiResponse, *, query: SongListQuery) -> None:
        """Answer with a part of the songs."""
        read = self._reads.page("songs", query.song_filter, query.which, tagged_page)
        send(req, resp, read, partial(_linked, query))

    def on_post(self, req: ApiRequest, resp: ApiResponse, *, read: Read[NewSong]) -> None:
        """Add a song."""
        song = self._catalogue.add(read().details, deadline=req.deadline)
        req.exchange.target = song.id
        resp.status = 201
        resp.set_header("Location", _url(song))
        _answer(resp, song)


class SongSearch:
    """GET /songs/search."""

    def __init__(self, reads: CachedReads) -> None:
        self._reads = reads

    def on_get(self, req: ApiRequest, resp: ApiResponse, *, query: SearchQuery) -> None:
        """Answer with a part of the songs that were found."""
        read = self._reads.page("songs", query.song_filter, query.which, tagged_page)
        send(req, resp, read, partial(_found, query))


class AverageDifficulty:
    """GET /songs/difficulty/average."""

    def __init__(self, reads: CachedReads) -> None:
        self._reads = reads

    def on_get(self, req: ApiRequest, resp: ApiResponse, *, query: LevelQuery) -> None:
        """Answer with the average over a level, or over all songs."""
        if query.level is not None and level_problem(query.level):
            # Known without asking, so that nobody fills the cache with levels that there are not.
            send_at_once(req, resp, tagged_difficulty(query.level, DifficultyTotals(count=0, sum_milli=0)))
            return
        send(req, resp, self._reads.difficulty(query.level, partial(tagged_difficulty, query.level)))


class SongItem:
    """GET, PUT, PATCH and DELETE /songs/{song_id}."""

    def __init__(self, reads: CachedReads, catalogue: Catalogue) -> None:
        self._reads = reads
        self._catalogue = catalogue

    def on_get(self, req: ApiRequest, resp: ApiResponse, *, song_id: str) -> None:
        """Answer with the song."""
        send(req, resp, self._reads.song(song_id, tagged_song))

    def on_put(self, req: ApiRequest, resp: ApiResponse, *, song_id: str, read: Read[NewSong]) -> None:
        """Replace all that is said of the song."""
        seen = required_if_match(req, song_id)
        details = read().details
        if_version = self._if_version(song_id, seen, req.deadline)
        song = self._catalogue.change(song_id, lambda _: details, if_version=if_version, deadline=req.deadline)
        _answer(resp, song)

    def on_patch(self, req: ApiRequest, resp: ApiResponse, *, song_id: str, read: Read[SongChanges]) -> None:
        """Change what was sent; an empty object changes nothing."""
        seen = required_if_match(req, song_id)
        changes = read()
        if_version = self._if_version(song_id, seen, req.deadline)
        if changes.model_fields_set:
            song = self._catalogue.change(song_id, changes.merged, if_version=if_version, deadline=req.deadline)
        else:
            song = self._catalogue.get(song_id, deadline=req.deadline)
            if if_version not in {None, song.version}:
                raise VersionConflict
        _answer(resp, song)

    def on_delete(self, req: ApiRequest, resp: ApiResponse, *, song_id: str) -> None:
        """Remove the song with its ratings."""
        seen = required_if_match(req, song_id)
        if_version = self._if_version(song_id, seen, req.deadline)
        self._catalogue.remove(song_id, if_version=if_version, deadline=req.deadline)
        resp.status = 204

    def _if_version(self, song_id: str, seen: Seen, deadline: Deadline) -> int | None:
        """Return the one version to compare and set, None for whichever is stored."""
        if seen.versions is None:
            return None
        if len(seen.versions) == 1:
            return next(iter(seen.versions))
        # Of several versions the stored one is chosen, and still compared when the change is made.
        stored = self._catalogue.get(song_id, deadline=deadline).version
        if stored not in seen.versions:
            raise VersionConflict
        return stored


def _url(song: Song) -> str:
    return f"{PREFIX}/songs/{song.id}"


def _answer(resp: ApiResponse, song: Song) -> None:
    # Content-Location: the body is what a GET would answer now, so the tag is that of the body.
    resp.set_header("Content-Location", _url(song))
    resp.set_header("ETag", song_tag(song))
    resp.data = song_bytes(song)


def _linked(query: PageQuery, page: bytes) -> tuple[bytes, str]:
    total_pages, next_cursor, body = split(page)
    return body, link_header(query, total_pages, next_cursor)


def _found(query: SearchQuery, page: bytes) -> tuple[bytes, str]:
    body, links = _linked(query, page)
    return found_bytes(query.message, body), links
