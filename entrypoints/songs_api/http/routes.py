"""The one table of routes. The application, what is public, HEAD, OPTIONS and Allow, and OpenAPI all follow from it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import BaseModel

from songs import errors
from songs.errors import SongsError
from songs.model import Role
from songs_api.http import answers, failures, queries, schemas
from songs_api.http.docs_page import ASSETS
from songs_api.http.reading import JSON

PREFIX: Final = "/api/v1"
MERGE_PATCH: Final = "application/merge-patch+json"
IDEMPOTENCY_KEY: Final = "Idempotency-Key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path.

    Attributes:
        method: GET, POST, PUT, PATCH or DELETE. HEAD and OPTIONS follow.
        path: Below `PREFIX`, with fields in braces.
        needs: The least role that may use it; None: anyone, without a token.
        operation_id: Names it in OpenAPI.
        tag: Groups it in OpenAPI.
        summary: One line.
        description: More, in Markdown.
        query: The parameters of the query; any other is refused.
        request: The body, which is read only where this is given.
        media_types: What the body may be sent as.
        idempotent_by_key: Whether it takes an Idempotency-Key.
        tagged: Whether its good answers have an ETag; a GET that has one takes If-None-Match.
        if_match: Whether it changes what If-Match names, and nothing without one.
        answers: The body of each good status; None: without one.
        problems: The errors that are this route's own, besides those that any route may answer.
        limited: Whether it counts against the default limit.
        audited: Whether the audit trail tells of every request; of refused requests it always does.
        at_root: Whether it is served without `PREFIX` too.
        documented: Whether OpenAPI tells of it.
    """

    method: str
    path: str
    needs: Role | None = Role.USER
    operation_id: str
    tag: str
    summary: str
    description: str = ""
    query: type[BaseModel] = queries.NoQuery
    request: type[BaseModel] | None = None
    media_types: tuple[str, ...] = (JSON,)
    idempotent_by_key: bool = False
    tagged: bool = False
    if_match: bool = False
    answers: Mapping[int, type[BaseModel] | None] = field(default_factory=dict)
    problems: tuple[type[SongsError], ...] = ()
    limited: bool = True
    audited: bool = False
    at_root: bool = False
    documented: bool = True

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path under which it is served."""
        return (PREFIX + self.path, self.path) if self.at_root else (PREFIX + self.path,)


_ACCOUNTS: Final = (
    Route(
        method="POST",
        path="/auth/register",
        needs=None,
        operation_id="register",
        tag="accounts",
        summary="Make an account",
        request=schemas.Registration,
        answers={201: answers.Registered},
        audited=True,
        problems=(errors.UserExists, errors.RegistrationClosed),
    ),
    Route(
        method="POST",
        path="/auth/login",
        needs=None,
        operation_id="sign_in",
        tag="accounts",
        summary="Sign in",
        description="Send the access token with every other request: `Authorization: Bearer <access_token>`.",
        request=schemas.Credentials,
        answers={200: answers.SignedIn},
        audited=True,
        problems=(errors.BadCredentials,),
    ),
    Route(
        method="POST",
        path="/auth/refresh",
        needs=None,
        operation_id="refresh",
        tag="accounts",
        summary="Get new tokens for a refresh token",
        description="A refresh token is good once. If the answer was lost, sign in again; a token that is used again "
        "later than 10 s after the first time ends its session.",
        request=schemas.RefreshRequest,
        answers={200: answers.SignedIn},
        audited=True,
        problems=(errors.RefreshRefused,),
    ),
    Route(
        method="POST",
        path="/auth/logout",
        needs=None,
        operation_id="sign_out",
        tag="accounts",
        summary="Sign out",
        description="Ends the session of the refresh token, or every session of its user, and makes all access tokens "
        "of the user worthless: other sessions refresh theirs. A token that is not good any more is no error.",
        request=schemas.SignOut,
        answers={204: None},
        audited=True,
    ),
    Route(
        method="POST",
        path="/auth/password",
        operation_id="change_password",
        tag="accounts",
        summary="Change your password",
        description="Ends all your sessions, and answers with the tokens of a new one.",
        request=schemas.PasswordChange,
        answers={200: answers.SignedIn},
        audited=True,
        problems=(errors.WrongPassword,),
    ),
    Route(
        method="GET",
        path="/users/me",
        operation_id="get_own_account",
        tag="accounts",
        summary="Get your own account",
        answers={200: answers.User},
    ),
    Route(
        method="DELETE",
        path="/users/me",
        operation_id="remove_own_account",
        tag="accounts",
        summary="Remove your own account",
        description="Takes the password. Your ratings stay, and are nobody's. An admin has to be demoted first.",
        request=schemas.Confirmation,
        answers={204: None},
        audited=True,
        problems=(errors.WrongPassword, errors.OwnAccount),
    ),
    Route(
        method="GET",
        path="/users",
        needs=Role.ADMIN,
        operation_id="list_users",
        tag="accounts",
        summary="List the users",
        query=queries.UserListQuery,
        answers={200: answers.UserList},
    ),
    Route(
        method="PATCH",
        path="/users/{name}",
        needs=Role.ADMIN,
        operation_id="change_user",
        tag="accounts",
        summary="Change a user's role, or disable it",
        description="Older access tokens of the user are worthless from then on. An admin cannot demote or disable "
        "itself.",
        request=schemas.UserChanges,
        media_types=(JSON, MERGE_PATCH),
        audited=True,
        answers={200: answers.User},
        problems=(errors.UserNotFound, errors.OwnAccount),
    ),
)

_SONGS: Final = (
    Route(
        method="GET",
        path="/songs",
        operation_id="list_songs",
        tag="songs",
        summary="List songs",
        description="Ordered by id. Pages end at 100,000 songs; a cursor goes on from there.",
        query=queries.SongListQuery,
        tagged=True,
        answers={200: answers.SongList},
        problems=(errors.BadCursor, errors.UseCursor),
    ),
    Route(
        method="POST",
        path="/songs",
        needs=Role.EDITOR,
        operation_id="add_song",
        tag="songs",
        summary="Add a song",
        request=schemas.NewSong,
        tagged=True,
        answers={201: answers.Song},
        audited=True,
        problems=(errors.DuplicateSong,),
    ),
    Route(
        method="GET",
        path="/songs/search",
        operation_id="search_songs",
        tag="songs",
        summary="Search artists and titles",
        description="Finds songs whose artist or title contains the message, without regard to case and accents.",
        query=queries.SearchQuery,
        tagged=True,
        answers={200: answers.SearchResult},
        problems=(errors.BadCursor, errors.UseCursor),
    ),
    Route(
        method="GET",
        path="/songs/difficulty/average",
        operation_id="average_difficulty",
        tag="songs",
        summary="Average difficulty",
        query=queries.LevelQuery,
        tagged=True,
        answers={200: answers.DifficultyAverage},
    ),
    Route(
        method="GET",
        path="/songs/{song_id}",
        operation_id="get_song",
        tag="songs",
        summary="Get a song",
        tagged=True,
        answers={200: answers.Song},
        problems=(errors.SongNotFound,),
    ),
    Route(
        method="PUT",
        path="/songs/{song_id}",
        needs=Role.EDITOR,
        operation_id="replace_song",
        tag="songs",
        summary="Replace all that is said of a song",
        request=schemas.NewSong,
        if_match=True,
        tagged=True,
        answers={200: answers.Song},
        audited=True,
        problems=(errors.SongNotFound, errors.DuplicateSong),
    ),
    Route(
        method="PATCH",
        path="/songs/{song_id}",
        needs=Role.EDITOR,
        operation_id="change_song",
        tag="songs",
        summary="Change some of what is said of a song",
        request=schemas.SongChanges,
        audited=True,
        media_types=(MERGE_PATCH, JSON),
        if_match=True,
        tagged=True,
        answers={200: answers.Song},
        problems=(errors.SongNotFound, errors.DuplicateSong),
    ),
    Route(
        method="DELETE",
        path="/songs/{song_id}",
        needs=Role.EDITOR,
        operation_id="remove_song",
        tag="songs",
        summary="Remove a song with its ratings",
        if_match=True,
        answers={204: None},
        audited=True,
        problems=(errors.SongNotFound,),
    ),
)

_RATINGS: Final = (
    Route(
        method="POST",
        path="/songs/ratings",
        operation_id="rate_song",
        tag="ratings",
        summary="Rate a song",
        description="Each request is a rating of its own, unless it repeats an earlier `Idempotency-Key`: then the "
        "first one counts, and the answer has `Idempotency-Replayed: true`.",
        request=schemas.NewRating,
        idempotent_by_key=True,
        answers={201: answers.RatingStats},
        problems=(errors.SongNotFound, errors.KeyReused),
    ),
    Route(
        method="GET",
        path="/songs/{song_id}/ratings",
        operation_id="get_rating_stats",
        tag="ratings",
        summary="Statistics of a song's ratings",
        tagged=True,
        answers={200: answers.RatingStats},
        problems=(errors.SongNotFound,),
    ),
)

_SERVICE: Final = (
    Route(
        method="GET",
        path="/health",
        needs=None,
        operation_id="get_health",
        tag="service",
        summary="Whether the process answers",
        answers={200: answers.Health},
        limited=False,
    ),
    Route(
        method="GET",
        path="/health/ready",
        needs=None,
        operation_id="get_readiness",
        tag="service",
        summary="Whether requests can be served",
        answers={200: answers.Readiness, 503: answers.Readiness},
        limited=False,
    ),
    Route(
        method="GET",
        path="/openapi.json",
        needs=None,
        operation_id="get_openapi",
        tag="service",
        summary="This document",
        limited=False,
        at_root=True,
        documented=False,
    ),
    *(
        Route(
            method="GET",
            path=path,
            needs=None,
            operation_id=f"get_{path}",
            tag="service",
            summary="The documentation page, and what leads there",
            limited=False,
            at_root=True,
            documented=False,
        )
        for path in ("/", "/docs/", "/docs", *(f"/docs/{file_name}" for file_name in ASSETS))
    ),
)

ROUTES: Final[tuple[Route, ...]] = (*_ACCOUNTS, *_SONGS, *_RATINGS, *_SERVICE)

METRICS: Final = Route(
    method="GET",
    path="/metrics",
    operation_id="get_metrics",
    tag="service",
    summary="Metrics for Prometheus",
    at_root=True,
    documented=False,
)
"""No part of the table: served where a token for it is set, to who has that token and no one else."""

GENERAL_PROBLEMS: Final[tuple[type[SongsError], ...]] = (failures.Malformed, errors.InvalidInput, errors.Unavailable)
"""What any route may answer; a limited one `errors.RateLimited` as well."""


def routes_by_path(routes: Iterable[Route] = ROUTES) -> dict[str, tuple[Route, ...]]:
    """Return the routes of each path under which anything is served."""
    found: dict[str, tuple[Route, ...]] = {}
    for route in routes:
        for path in route.paths:
            found[path] = (*found.get(path, ()), route)
    return found


def public_routes() -> dict[tuple[str, str], Route]:
    """Return what anyone may use, by method and exact path. Public paths have no fields."""
    return by_request(route for route in ROUTES if route.needs is None)


def by_request(routes: Iterable[Route]) -> dict[tuple[str, str], Route]:
    """Return the routes by method and exact path, a GET under HEAD as well."""
    found: dict[tuple[str, str], Route] = {}
    for route in routes:
        for path in route.paths:
            found[route.method, path] = route
            if route.method == "GET":
                found["HEAD", path] = route
    return found
