"""The HTTP application, built from given services."""

from functools import cache
from typing import Final

import falcon
import orjson

from songs.errors import SongsError
from songs_api.http.api import accounts, ratings, service, songs
from songs_api.http.kernel import openapi, problem_details
from songs_api.http.kernel.bodies import BodyReader
from songs_api.http.kernel.body_slots import BodySlots
from songs_api.http.kernel.context import ApiRequest, ApiResponse
from songs_api.http.kernel.fast_path import FastPath
from songs_api.http.kernel.operation import Operation, operations_of
from songs_api.http.kernel.pipeline import Middleware
from songs_api.http.kernel.read_plans import ReadPlans
from songs_api.http.kernel.router import OperationRouter
from songs_api.http.services import AppServices

OPERATIONS: Final[tuple[Operation, ...]] = operations_of(
    (*accounts.RESOURCES, *songs.RESOURCES, *ratings.RESOURCES, *service.RESOURCES)
)
"""The resources that are always served; metrics need a token."""


@cache
def openapi_document() -> bytes:
    """Return the OpenAPI document as JSON, the same bytes every time."""
    return orjson.dumps(openapi.document(OPERATIONS), option=orjson.OPT_INDENT_2)


def create_app(services: AppServices) -> FastPath:
    """Return the WSGI application. Pure: reads no setting, does no I/O, and needs `services` open only to answer."""
    options = services.options
    reader = BodyReader(
        max_bytes=options.max_body_bytes,
        slots=BodySlots(
            request_threads=options.request_threads, clock=services.clock, timeout_s=options.body_timeout_s
        ),
        trusted_proxies=options.trusted_proxies,
    )
    plans = ReadPlans()
    router = OperationRouter(reader, services.clock, options.deadline_s, plans)
    resources = [
        *accounts.resources(services),
        *songs.resources(services),
        *ratings.resources(services),
        *service.resources(services, openapi_document()),
    ]
    middleware = Middleware(services, operations_of(resources), router.operation_of)
    app = falcon.App(
        request_type=ApiRequest,
        response_type=ApiResponse,
        middleware=middleware,
        router=router,
    )
    app.resp_options.xml_error_serialization = False
    app.add_error_handler(Exception, problem_details.answer_defect)
    app.add_error_handler(falcon.HTTPError, problem_details.answer_http_error)
    app.add_error_handler(SongsError, problem_details.answer_songs_error)
    for resource in resources:
        router.add(app, resource)
    return FastPath(services, middleware, plans, app)
