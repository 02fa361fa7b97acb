"""The offline documentation page: Swagger UI and our three small files, as bytes ready to be served.

The page itself (`PAGE`) is served at `<prefix>/docs`, without a trailing slash, and each entry of `ASSETS` at
`<prefix>/docs/<file name>`; the page reads its document from `<prefix>/openapi.json`. All its addresses are
relative, so the prefix may be empty or `/api/v1`.

`swagger-ui-bundle.js` and `swagger-ui.css` are swagger-ui-dist 5.35.0, unmodified, under Apache-2.0; the
licences of what the bundle contains are in `swagger-ui-bundle.js.LICENSE.txt`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from types import MappingProxyType
from typing import Final

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The value of the Content-Security-Policy header the page and its assets are served with."""

_HTML: Final = "text/html; charset=utf-8"
_JAVASCRIPT: Final = "text/javascript; charset=utf-8"
_CSS: Final = "text/css; charset=utf-8"
_TEXT: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, kw_only=True)
class Asset:
    """One file of the page. The file is read on the first use of `body` or `etag`, and kept.

    Safe to use from several threads: two first uses at once read the same bytes twice.
    """

    file_name: str
    content_type: str

    @cached_property
    def body(self) -> bytes:
        """The file's bytes, exactly as they are sent.

        Raises:
            FileNotFoundError: The installation is incomplete.
        """
        return files(__name__).joinpath(self.file_name).read_bytes()

    @cached_property
    def etag(self) -> str:
        """A strong entity tag, quoted as in the ETag header, that changes exactly when `body` changes."""
        return f'"{hashlib.sha256(self.body).hexdigest()}"'


PAGE: Final = Asset(file_name="index.html", content_type=_HTML)
"""The page. It is not in `ASSETS`: under `/docs/index.html` its relative addresses would lead nowhere."""

ASSETS: Final[Mapping[str, Asset]] = MappingProxyType(
    {
        file_name: Asset(file_name=file_name, content_type=content_type)
        for file_name, content_type in (
            ("init.js", _JAVASCRIPT),
            ("page.css", _CSS),
            ("swagger-ui-bundle.js", _JAVASCRIPT),
            ("swagger-ui-bundle.js.LICENSE.txt", _TEXT),
            ("swagger-ui.LICENSE", _TEXT),
            ("swagger-ui.NOTICE", _TEXT),
            ("swagger-ui.css", _CSS),
        )
    }
)
"""The files of the page, by name. Only these are served, so a request never becomes a path."""
