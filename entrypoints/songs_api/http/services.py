"""The parts of the HTTP application, built by the container or by a test, and passed to `create_app`."""

from dataclasses import dataclass

from songs.application.access import Access
from songs.application.accounts import Accounts
from songs.application.catalogue import Catalogue
from songs.application.ratings import Ratings
from songs.application.sessions import Sessions
from songs.caching.coherence import Coherence
from songs.caching.queries import CatalogueQueries, Prefetcher
from songs.ports.cache import Cache
from songs.ports.clock import Clock
from songs.ports.limiter import LimiterCapabilities, RateLimiter
from songs.ports.storage import Storage
from songs_api.settings.service import ServiceSettings
from songs_api.shared_windows import WindowTable
from songs_api.telemetry.telemetry import Telemetry


@dataclass(frozen=True, slots=True, kw_only=True)
class AppServices:
    """Services and ports, ready for use, and the settings of the service, in groups.

    `limiter_capabilities` are those that the limiter declares. `window_table` holds the shared windows of rate limits,
    if there are any.
    """

    clock: Clock
    storage: Storage
    cache: Cache
    limiter: RateLimiter
    limiter_capabilities: LimiterCapabilities
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
    settings: ServiceSettings
