"""The HTTP application, made of ready parts."""

import hashlib
from functools import partial

import falcon

from songs.errors import SongsError
from songs_api.http import openapi, problems
from songs_api.http.body_slots import BodySlots
from songs_api.http.docs_page import ASSETS, PAGE, Asset
from songs_api.http.front import Front
from songs_api.http.middleware import Middleware
from songs_api.http.readiness import ReadinessProbe
from songs_api.http.reading import BodyReader
from songs_api.http.request import ApiRequest
from songs_api.http.resources import accounts, ratings, service, songs
from songs_api.http.response import ApiResponse
from songs_api.http.router import TableRouter
from songs_api.http.routes import METRICS, PREFIX, ROUTES, routes_by_path
from songs_api.http.sign_in_limits import SignInLimits
from songs_api.parts import Parts


def create_app(parts: Parts) -> Front:
    """Return the WSGI application. Pure: reads no setting, does no I/O, and needs `parts` open only to answer."""
    options = parts.options
    reader = BodyReader(
        max_bytes=options.max_body_bytes,
        slots=BodySlots(request_threads=options.request_threads, clock=parts.clock, timeout_s=options.body_timeout_s),
        trusted_proxies=options.trusted_proxies,
    )
    paths = routes_by_path((*ROUTES, METRICS) if options.metrics_token else ROUTES)
    router = TableRouter(reader, parts.clock, options.deadline_s, paths)
    middleware = Middleware(parts, router.route_of)
    app = falcon.App(
        request_type=ApiRequest,
        response_type=ApiResponse,
        middleware=middleware,
        router=router,
    )
    app.resp_options.xml_error_serialization = False
    app.add_error_handler(Exception, problems.answer_defect)
    app.add_error_handler(falcon.HTTPError, problems.answer_http_error)
    app.add_error_handler(SongsError, problems.answer_songs_error)
    resources = _resources(parts)
    for path, routes in paths.items():
        app.add_route(path, resources[path.removeprefix(PREFIX)], routes=routes)
    return Front(parts, middleware, app)


def _resources(parts: Parts) -> dict[str, object]:
    """Return what serves each path of the table."""
    sign_ins = SignInLimits(parts)
    probe = ReadinessProbe(parts.storage, parts.cache, parts.clock, deadline_s=parts.options.deadline_s)
    return {
        "/auth/register": accounts.Register(parts),
        "/auth/login": accounts.SignIn(parts.accounts, sign_ins),
        "/auth/refresh": accounts.Refresh(parts.sessions),
        "/auth/logout": accounts.SignOut(parts.accounts),
        "/auth/password": accounts.Password(parts.accounts, sign_ins),
        "/users/me": accounts.OwnAccount(parts.accounts, sign_ins),
        "/users": accounts.UserCollection(parts.accounts),
        "/users/{name}": accounts.UserItem(parts.accounts),
        "/songs": songs.SongCollection(parts.reads, parts.catalogue),
        "/songs/search": songs.SongSearch(parts.reads),
        "/songs/difficulty/average": songs.AverageDifficulty(parts.reads),
        "/songs/ratings": ratings.RatingCollection(parts.ratings),
        "/songs/{song_id}": songs.SongItem(parts.reads, parts.catalogue),
        "/songs/{song_id}/ratings": ratings.SongRatings(parts.reads),
        "/health": service.Health(),
        "/health/ready": service.Readiness(probe),
        "/metrics": service.MetricsPage(parts.recorder.exposition),
        "/openapi.json": _openapi(),
        "/": service.Pointer("docs"),
        "/docs/": service.Pointer("../docs"),
        "/docs": _document(PAGE),
        **{f"/docs/{file_name}": _document(asset) for file_name, asset in ASSETS.items()},
    }


def _openapi() -> service.Document:
    body = openapi.document_bytes()
    etag = f'"{hashlib.sha256(body).hexdigest()}"'
    return service.Document("application/json", lambda: body, lambda: etag)


def _document(asset: Asset) -> service.Document:
    return service.Document(asset.content_type, partial(getattr, asset, "body"), partial(getattr, asset, "etag"))
