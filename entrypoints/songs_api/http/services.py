"""The parts of the HTTP application, built by the container or by a test, and passed to `create_app`."""

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from songs.application.access import Access
from songs.application.accounts import Accounts
from songs.application.catalogue import Catalogue
from songs.application.ratings import Ratings
from songs.application.sessions import Sessions
from songs.caching.coherence import Coherence
from songs.caching.queries import CatalogueQueries, Prefetcher
from songs.ports.cache import Cache
from songs.ports.clock import Clock
from songs.ports.limiter import RateLimit, RateLimiter
from songs.ports.storage import Storage
from songs_api.shared_windows import WindowTable
from songs_api.telemetry.telemetry import Telemetry


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The rate limits. None means no limit.

    Attributes:
        default: Requests of each user, or of each address on public routes.
        register: Registrations from one address.
        sign_in: Sign-ins with one name from one address.
        sign_in_address: Sign-ins from one address.
        sign_in_user: Sign-ins with one name from anywhere, beyond which each address has fewer.
        shared: Whether the limiter counts for all processes.
        processes: The number of processes that remember windows by themselves, and share the rest in an outage.
    """

    default: RateLimit | None = None
    register: RateLimit | None = None
    sign_in: RateLimit | None = None
    sign_in_address: RateLimit | None = None
    sign_in_user: RateLimit | None = None
    shared: bool = True
    processes: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """The limits of the HTTP application.

    Attributes:
        deadline_s: The time that a request may wait for the storage.
        max_body_bytes: The maximum size of a body.
        body_timeout_s: The time that a client may take to send a body.
        request_threads: The number of requests that the server handles at once; at most half of them read bodies.
        limits: The rate limits.
        trusted_proxies: Networks of proxies whose forwarded addresses are believed.
        forwarded_header: The header with the forwarded address.
        registration_open: Whether anyone may register.
        metrics_token: The token for reading metrics; empty if they are not served.
        page: Whether the page is served at the root.
        cors_origins: Origins whose pages may read answers in a browser.
    """

    deadline_s: float = 3.0
    max_body_bytes: int = 65_536
    body_timeout_s: float = 10.0
    request_threads: int = 32
    limits: Limits = field(default_factory=Limits)
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = field(default=())
    forwarded_header: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for"
    registration_open: bool = True
    metrics_token: bytes = field(default=b"", repr=False)
    page: bool = True
    cors_origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AppServices:
    """Services and ports, ready for use; `window_table` holds the shared windows of rate limits, if there are any."""

    clock: Clock
    storage: Storage
    cache: Cache
    limiter: RateLimiter
    coherence: Coherence
    access: Access
    sessions: Sessions
    accounts: Accounts
    catalogue: Catalogue
    ratings: Ratings
    queries: CatalogueQueries
    prefetcher: Prefetcher | None = None
    window_table: WindowTable | None = None
    telemetry: Telemetry
    options: HttpOptions
