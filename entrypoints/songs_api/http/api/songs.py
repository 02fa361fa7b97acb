"""Songs: the catalogue, read through the cache and edited by editors."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from songs.errors import BadCursor, DuplicateSong, SongNotFound, UseCursor, VersionConflict
from songs.limits import level_problem
from songs.model import DifficultyTotals, Role, Song
from songs.ports.clock import Deadline
from songs.query import SongPage
from songs_api.http.api import song_models as models
from songs_api.http.kernel.bodies import Read
from songs_api.http.kernel.operation import JSON, MERGE_PATCH, PREFIX, Operation, RequestContext, Resource
from songs_api.http.kernel.query_strings import PageQuery, link_header, split
from songs_api.http.kernel.read_plans import (
    REPRESENTATION_VERSION,
    Answer,
    ReadPlan,
    Seen,
    conditional,
    decimal,
    encode,
    tagged,
    tagged_by_content,
)
from songs_api.http.services import AppServices


class SongCollection(Resource):
    """All songs."""

    paths = ("/songs",)

    def __init__(self, services: AppServices) -> None:
        self._queries = services.queries
        self._catalogue = services.catalogue

    @Operation(
        operation_id="list_songs",
        tag="songs",
        summary="List songs",
        description="Songs are ordered by id. Pages end at 100,000 songs; to go further, use a cursor.",
        query=models.SongListQuery,
        tagged=True,
        answers={200: models.SongList},
        problems=(BadCursor, UseCursor),
    )
    def on_get(self, _: RequestContext, *, query: models.SongListQuery) -> ReadPlan:
        """Answer with a part of the songs."""
        page = self._queries.page("songs", query.song_filter, query.which, tagged_page)
        return ReadPlan(page, partial(_linked, query))

    @Operation(
        needs=Role.EDITOR,
        operation_id="add_song",
        tag="songs",
        summary="Add a song",
        request=models.NewSong,
        tagged=True,
        answers={201: models.Song},
        audited=True,
        problems=(DuplicateSong,),
    )
    def on_post(self, context: RequestContext, *, read: Read[models.NewSong]) -> Answer:
        """Add a song."""
        song = self._catalogue.add(read().details, deadline=context.deadline)
        return _stored(song, 201, {"location": _url(song)}, about=song.id)


class SongSearch(Resource):
    """Songs by a part of their artist or title."""

    paths = ("/songs/search",)

    def __init__(self, services: AppServices) -> None:
        self._queries = services.queries

    @Operation(
        operation_id="search_songs",
        tag="songs",
        summary="Search artists and titles",
        description="Finds songs whose artist or title contains the message, ignoring case and accents.",
        query=models.SearchQuery,
        tagged=True,
        answers={200: models.SearchResult},
        problems=(BadCursor, UseCursor),
    )
    def on_get(self, _: RequestContext, *, query: models.SearchQuery) -> ReadPlan:
        """Answer with a part of the songs that were found."""
        page = self._queries.page("songs", query.song_filter, query.which, tagged_page)
        return ReadPlan(page, partial(_found, query))


class AverageDifficulty(Resource):
    """The average difficulty of a level, or of all songs."""

    paths = ("/songs/difficulty/average",)

    def __init__(self, services: AppServices) -> None:
        self._queries = services.queries

    @Operation(
        operation_id="average_difficulty",
        tag="songs",
        summary="Get the average difficulty",
        query=models.LevelQuery,
        tagged=True,
        answers={200: models.DifficultyAverage},
    )
    def on_get(self, context: RequestContext, *, query: models.LevelQuery) -> Answer | ReadPlan:
        """Answer with the average over a level, or over all songs."""
        if query.level is not None and level_problem(query.level):
            # Known without asking, so that nobody fills the cache with levels that do not exist.
            none = DifficultyTotals(count=0, sum_milli=0)
            return conditional(tagged_difficulty(query.level, none), context.environ)
        return ReadPlan(self._queries.difficulty(query.level, partial(tagged_difficulty, query.level)))


class SongItem(Resource):
    """One song."""

    paths = ("/songs/{song_id}",)

    def __init__(self, services: AppServices) -> None:
        self._queries = services.queries
        self._catalogue = services.catalogue

    @Operation(
        operation_id="get_song",
        tag="songs",
        summary="Get a song",
        tagged=True,
        answers={200: models.Song},
        problems=(SongNotFound,),
    )
    def on_get(self, _: RequestContext, *, song_id: str) -> ReadPlan:
        """Answer with the song."""
        return ReadPlan(self._queries.song(song_id, tagged_song))

    @Operation(
        needs=Role.EDITOR,
        operation_id="replace_song",
        tag="songs",
        summary="Replace a song",
        request=models.NewSong,
        if_match=True,
        tagged=True,
        answers={200: models.Song},
        audited=True,
        problems=(SongNotFound, DuplicateSong),
    )
    def on_put(self, context: RequestContext, *, song_id: str, if_match: Seen, read: Read[models.NewSong]) -> Answer:
        """Replace the song's details."""
        details = read().details
        deadline = context.deadline
        if_version = self._if_version(song_id, if_match, deadline)
        return _stored(self._catalogue.change(song_id, lambda _: details, if_version=if_version, deadline=deadline))

    @Operation(
        needs=Role.EDITOR,
        operation_id="change_song",
        tag="songs",
        summary="Change a song",
        request=models.SongChanges,
        audited=True,
        media_types=(MERGE_PATCH, JSON),
        if_match=True,
        tagged=True,
        answers={200: models.Song},
        problems=(SongNotFound, DuplicateSong),
    )
    def on_patch(
        self, context: RequestContext, *, song_id: str, if_match: Seen, read: Read[models.SongChanges]
    ) -> Answer:
        """Change what was sent; an empty object changes nothing."""
        changes = read()
        deadline = context.deadline
        if_version = self._if_version(song_id, if_match, deadline)
        if changes.model_fields_set:
            song = self._catalogue.change(song_id, changes.merged, if_version=if_version, deadline=deadline)
        else:
            song = self._catalogue.get(song_id, deadline=deadline)
            if if_version not in {None, song.version}:
                raise VersionConflict
        return _stored(song)

    @Operation(
        needs=Role.EDITOR,
        operation_id="remove_song",
        tag="songs",
        summary="Delete a song and its ratings",
        if_match=True,
        answers={204: None},
        audited=True,
        problems=(SongNotFound,),
    )
    def on_delete(self, context: RequestContext, *, song_id: str, if_match: Seen) -> Answer:
        """Remove the song with its ratings."""
        if_version = self._if_version(song_id, if_match, context.deadline)
        self._catalogue.remove(song_id, if_version=if_version, deadline=context.deadline)
        return Answer(204)

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


RESOURCES: Final = (SongCollection, SongSearch, AverageDifficulty, SongItem)


def resources(services: AppServices) -> Sequence[Resource]:
    """Return the resources of the catalogue."""
    return [resource(services) for resource in RESOURCES]


def song_tag(song: Song) -> str:
    """Return the entity tag of a song: its id and version say which state it is, on every storage."""
    return f'"{REPRESENTATION_VERSION}.{song.id}.{song.version}"'


def tagged_song(song: Song) -> bytes:
    """Return a song with its tag."""
    return tagged(song_tag(song), encode(models.song_members(song)))


def tagged_page(page: SongPage) -> bytes:
    """Return a page with its tag, and a line for `query_strings.split`: its number of pages and its next cursor."""
    body = {
        "data": [models.song_members(song) for song in page.songs],
        "pagination": {
            "page": page.page,
            "page_size": page.page_size,
            "total": page.total,
            "total_pages": page.total_pages,
            "next_cursor": page.next_cursor,
        },
    }
    pages = "" if page.total_pages is None else page.total_pages
    return tagged_by_content(f"{pages} {page.next_cursor or ''}\n".encode("ascii") + encode(body))


def tagged_difficulty(level: int | None, totals: DifficultyTotals) -> bytes:
    """Return an average difficulty with its tag."""
    return tagged_by_content(encode({"average_difficulty": decimal(totals.average_milli), "level": level}))


def _url(song: Song) -> str:
    return f"{PREFIX}/songs/{song.id}"


def _stored(
    song: Song, status: int = 200, headers: dict[str, str] | None = None, *, about: str | None = None
) -> Answer:
    # Content-Location: the body is what a GET would answer now, so the tag is that of the body.
    own = {"content-location": _url(song), "etag": song_tag(song), **(headers or {})}
    return Answer(status, encode(models.song_members(song)), own, about)


def _linked(query: PageQuery, page: bytes) -> tuple[bytes, str]:
    total_pages, next_cursor, body = split(page)
    return body, link_header(query, total_pages, next_cursor)


def _found(query: models.SearchQuery, page: bytes) -> tuple[bytes, str]:
    body, links = _linked(query, page)
    return b'{"message":' + encode(query.message) + b"," + body[1:], links
