"""The pages: one to look at and rate songs, at `/`, and the documentation, at `/docs`.

Both are static, work offline, and read everything from the API: their files are in the folders `page` and `docs_page`.
All their addresses are relative, so that they are right behind any proxy.

`swagger-ui-bundle.js` and `swagger-ui.css` are swagger-ui-dist 5.35.0, unmodified, under Apache-2.0; the licences of
what the bundle contains are in `swagger-ui-bundle.js.LICENSE.txt`.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from songs_api.http.kernel.operation import PREFIX, Operation, RequestContext, Resource
from songs_api.http.kernel.read_plans import Answer, is_known

_REVALIDATED: Final = "public, no-cache"
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The value of the Content-Security-Policy header that all files of the pages are served with."""

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_TEXT: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Asset:
    """One file of a page. The file is read on the first use of `body` or `etag`, and kept.

    Safe to use from several threads: two first uses at once read the same bytes twice.
    """

    folder: str
    file_name: str

    @property
    def content_type(self) -> str:
        """The value of the Content-Type header."""
        return next((found for suffix, found in _TYPES.items() if self.file_name.endswith(suffix)), _TEXT)

    @cached_property
    def body(self) -> bytes:
        """The file's bytes, exactly as they are sent.

        Raises:
            FileNotFoundError: The installation is incomplete.
        """
        return files("songs_api.http").joinpath(self.folder, self.file_name).read_bytes()

    @cached_property
    def etag(self) -> str:
        """A strong entity tag, quoted as in the ETag header, that changes exactly when `body` changes."""
        return f'"{hashlib.sha256(self.body).hexdigest()}"'


def _assets(folder: str, *file_names: str) -> Mapping[str, Asset]:
    return MappingProxyType({file_name: Asset(folder, file_name) for file_name in file_names})


# Only these are served, so a request never becomes a path.
INDEX: Final = Asset("page", "index.html")
PAGE_ASSETS: Final = _assets("page", "icon.svg", "page.css", "page.js")
"""The files of the page at `/`, by name, but for `INDEX`."""

DOCS_INDEX: Final = Asset("docs_page", "index.html")
"""It is not in `DOCS_ASSETS`: under `/docs/index.html` its relative addresses would lead nowhere."""

DOCS_ASSETS: Final = _assets(
    "docs_page",
    "init.js",
    "page.css",
    "swagger-ui-bundle.js",
    "swagger-ui-bundle.js.LICENSE.txt",
    "swagger-ui.LICENSE",
    "swagger-ui.NOTICE",
    "swagger-ui.css",
)
"""The files of the documentation's page, by name, but for `DOCS_INDEX`."""


def _static(operation_id: str) -> Operation:
    return Operation(
        needs=None,
        operation_id=operation_id,
        tag="service",
        summary="Get a file of a page",
        limited=False,
        at_root=True,
        documented=False,
    )


class OpenApiDocument(Resource):
    """The OpenAPI document.

    Args:
        body: Returns the document, as JSON. It is called when somebody asks: a start should not take longer for it.
    """

    paths = ("/openapi.json",)

    def __init__(self, body: Callable[[], bytes]) -> None:
        self._body = body

    @cached_property
    def _etag(self) -> str:
        return f'"{hashlib.sha256(self._body()).hexdigest()}"'

    @_static("get_openapi")
    def on_get(self, context: RequestContext) -> Answer:
        """Answer with the document, or 304 to a client that has it."""
        return _document(context, "application/json", self._etag, self._body)


class Page(Resource):
    """The page at the root."""

    paths = ("/", *(f"/page/{file_name}" for file_name in PAGE_ASSETS))

    @_static("get_page")
    def on_get(self, context: RequestContext) -> Answer:
        """Answer with a file, or 304 to a client that has it."""
        return _file(context, PAGE_ASSETS, INDEX)


class Docs(Resource):
    """The documentation page and its assets."""

    paths = ("/docs", *(f"/docs/{file_name}" for file_name in DOCS_ASSETS))

    @_static("get_docs")
    def on_get(self, context: RequestContext) -> Answer:
        """Answer with a file, or 304 to a client that has it."""
        return _file(context, DOCS_ASSETS, DOCS_INDEX)


class DocsPointer(Resource):
    """Redirects browsers to the documentation page, which has no trailing slash."""

    paths = ("/docs/",)

    @_static("get_docs_pointer")
    def on_get(self, _: RequestContext) -> Answer:
        """Lead there."""
        return _pointer("../docs")


class RootPointer(Resource):
    """Redirects browsers from the root to the documentation page, where the root has no page."""

    paths = ("/",)

    @_static("get_root_pointer")
    def on_get(self, _: RequestContext) -> Answer:
        """Lead there."""
        return _pointer("docs")


RESOURCES: Final = (OpenApiDocument, Page, DocsPointer, Docs)


def resources(document: Callable[[], bytes], *, page: bool) -> Sequence[Resource]:
    """Return the resources of the pages, `document` being the OpenAPI document; at the root there may be no page."""
    return [OpenApiDocument(document), Page() if page else RootPointer(), DocsPointer(), Docs()]


def _pointer(target: str) -> Answer:
    """Return a redirection by a relative reference, which is right behind any proxy."""
    body = f"The documentation of the Songs API is at {target}; its routes are below {PREFIX}.\n".encode()
    return Answer(302, body, {"location": target, "content-type": _TEXT})


def _file(context: RequestContext, assets: Mapping[str, Asset], index: Asset) -> Answer:
    asset = assets.get(context.environ["PATH_INFO"].rpartition("/")[2], index)
    return _document(context, asset.content_type, asset.etag, lambda: asset.body)


def _document(context: RequestContext, content_type: str, etag: str, body: Callable[[], bytes]) -> Answer:
    headers = {
        "etag": etag,
        "cache-control": _REVALIDATED,
        "content-security-policy": CONTENT_SECURITY_POLICY,
        "referrer-policy": "no-referrer",
    }
    if is_known(context.environ, etag):
        return Answer(304, None, headers)
    return Answer(200, body(), headers | {"content-type": content_type})
