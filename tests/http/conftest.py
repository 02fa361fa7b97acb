"""The application over real adapters in memory, and people to use it."""

import io
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any, TextIO

import pytest
from falcon import testing
from tests.clock import ManualClock
from tests.submitted import Submitted

from songs.application.access import Access
from songs.application.accounts import Accounts
from songs.application.catalogue import Catalogue
from songs.application.cursors import Cursors
from songs.application.hashing import HashingTurns
from songs.application.password_policy import PasswordPolicy
from songs.application.ratings import Ratings
from songs.application.runner import UnitRunner
from songs.application.sessions import Lifetimes, Sessions
from songs.caching.coherence import Coherence
from songs.caching.queries import CatalogueQueries, Prefetcher
from songs.model import Role, SongDetails, User
from songs.ports.cache import Cache, CountAndGet
from songs.ports.clock import Deadline
from songs.ports.limiter import LimiterCapabilities, RateLimit, RateLimiter
from songs.ports.tokens import AccessClaims, TokenIssuer
from songs_api.http.app import create_app
from songs_api.http.kernel.read_plans import REPRESENTATION_VERSION
from songs_api.http.services import AppServices
from songs_api.settings.service import Limits, ServiceSettings
from songs_api.shared_windows import WindowTable
from songs_api.telemetry.logs import json_line
from songs_api.telemetry.metrics import Metrics
from songs_api.telemetry.telemetry import Telemetry
from songs_memory import plugin as memory
from songs_plugins import AdapterContext, Port, none
from songs_security import bcrypt_plugin, jwt_plugin
from songs_system import plugin as system

PASSWORD = "correct horse battery staple"
SECRET = "a secret of the tests, of more than 32 bytes"
API = "/api/v1"
ANY = {"If-Match": "*"}
DETAILS = SongDetails(
    artist="Johann Pachelbel",
    title="Canon in D",
    difficulty_milli=7250,
    level=6,
    released=datetime(1694, 1, 1, tzinfo=UTC).date(),
)


def adapter(plugin: ModuleType, port: Port, context: AdapterContext, **settings: Any) -> Any:
    """Return an adapter as the registry would make it."""
    spec = next(spec for spec in plugin.songs_adapters() if spec.port is port)
    return spec.build(spec.settings(**settings), context)


def _opened(context: AdapterContext, *, cached: bool, replaced: Mapping[str, object]) -> dict[str, Any]:
    ports: dict[str, Any] = {
        "storage": adapter(memory, Port.STORAGE, context),
        "cache": adapter(memory if cached else none, Port.CACHE, context),
        "limiter": adapter(memory, Port.LIMITER, context),
        "passwords": adapter(bcrypt_plugin, Port.PASSWORDS, context, rounds=4, concurrency=2),
        **replaced,
    }
    for name in ("storage", "cache", "limiter"):
        ports[name].open()
    return ports


def limits(**rates: RateLimit) -> Limits:
    """Return these rate limits and no others."""
    given = {f"limiter_{name}": rate for name, rate in rates.items()}
    return Limits.model_validate(dict.fromkeys(Limits.model_fields) | given)


def limited(**rates: RateLimit) -> ServiceSettings:
    """Return the default settings with these rate limits and no others."""
    return ServiceSettings(limits=limits(**rates))


def build_parts(
    settings: ServiceSettings | None = None,
    *,
    cached: bool = False,
    metrics: Metrics | None = None,
    log: TextIO | None = None,
    max_hashing: int = 8,
    replaced: Mapping[str, object] | None = None,
    counting: Callable[[Cache, RateLimiter], CountAndGet] | None = None,
    window_table: WindowTable | None = None,
) -> tuple[AppServices, TokenIssuer]:
    """Return open parts over an empty storage in memory.

    Args:
        settings: Of the service; without rate limits by default.
        cached: Whether reads go through a cache.
        metrics: Where to count.
        log: Where lines go, as JSON.
        max_hashing: How many requests may hash a password or wait for that.
        replaced: Ports to use instead: `storage`, `cache`, `limiter`, `passwords`.
        counting: Makes a counting cache's `count_and_get` of cache and limiter.
        window_table: What this process and others remember together of their limits.
    """
    clock = ManualClock()
    bare: Any = None
    ids = adapter(system, Port.IDS, AdapterContext(clock=clock, ids=bare))
    context = AdapterContext(clock=clock, ids=ids)
    ports = _opened(context, cached=cached, replaced=replaced or {})
    tokens: TokenIssuer = adapter(jwt_plugin, Port.TOKENS, context, secret=SECRET)
    telemetry = Telemetry(json_line, clock, level=logging.INFO, metrics=metrics, stream=log or io.StringIO())
    runner = UnitRunner(ports["storage"], clock, max_calls=8, meter=telemetry.meter)
    coherence = Coherence(ports["cache"], runner, clock, announce_s=0.0, meter=telemetry.meter)
    passwords = ports["passwords"]
    access = Access(runner, tokens, clock)
    sessions = Sessions(runner, tokens, ids, clock, lifetimes=Lifetimes())
    catalogue = Catalogue(runner, coherence, ids, Cursors(b"cursors"))
    ratings = Ratings(runner, coherence, ids, clock)
    services = AppServices(
        clock=clock,
        storage=ports["storage"],
        cache=ports["cache"],
        limiter=ports["limiter"],
        limiter_capabilities=LimiterCapabilities(shared=True),
        coherence=coherence,
        access=access,
        sessions=sessions,
        accounts=Accounts(
            runner,
            access,
            sessions,
            passwords,
            ids,
            clock,
            policy=PasswordPolicy(),
            hashing=HashingTurns(2, max_hashing - 2),
        ),
        catalogue=catalogue,
        ratings=ratings,
        queries=CatalogueQueries(catalogue, ratings, coherence, form=REPRESENTATION_VERSION),
        prefetcher=Prefetcher(counting(ports["cache"], ports["limiter"]), coherence) if counting else None,
        window_table=window_table,
        telemetry=telemetry,
        settings=settings or limited(),
    )
    return services, tokens


@dataclass(frozen=True)
class Service:
    """An application with its parts, and a way to call it as somebody."""

    services: AppServices
    tokens: TokenIssuer
    client: testing.TestClient

    def deadline(self) -> Deadline:
        """Return a deadline for calls past HTTP."""
        return Deadline.after(self.services.clock, 3.0)

    def join(self, name: str, role: Role = Role.USER) -> dict[str, str]:
        """Register a user and return the headers of its requests."""
        user = self.services.accounts.register(name, PASSWORD, role=role, deadline=self.deadline())
        return self.bearer(self.services.accounts.token_for(user).access_token)

    @staticmethod
    def bearer(token: str) -> dict[str, str]:
        """Return the headers of a request with this token."""
        return {"Authorization": f"Bearer {token}"}

    def claims(self, user: User, **changed: Any) -> AccessClaims:
        """Return a user's claims as of now, changed."""
        now = self.services.clock.now().replace(microsecond=0)
        claims = AccessClaims(
            token_id="t1",
            user_id=user.id,
            name=user.name,
            role=user.role,
            token_version=user.token_version,
            issued_at=now,
            expires_at=now + timedelta(seconds=600),
        )
        return replace(claims, **changed)

    def add_song(self, **changed: Any) -> str:
        """Store a song and return its id."""
        return self.services.catalogue.add(replace(DETAILS, **changed), deadline=self.deadline()).id


Build = Callable[..., Service]


class WatchedClient(testing.TestClient):
    """A client that fails when an answer holds a password or a token that was submitted before."""

    def __init__(self, app: Any, submitted: Submitted) -> None:
        super().__init__(app)
        self._submitted = submitted

    def simulate_request(self, *args: Any, **kwargs: Any) -> Any:
        """Send a request and look through its answer."""
        self._submitted.note(kwargs.get("json"))
        authorization = str((kwargs.get("headers") or {}).get("Authorization", ""))
        self._submitted.note(authorization.split()[1:], secret=True)
        result = super().simulate_request(*args, **kwargs)
        assert self._submitted.found_in(f"{result.headers}{result.text}") == [], "the answer repeats a secret"
        return result


@pytest.fixture(autouse=True)
def submitted(caplog: pytest.LogCaptureFixture) -> Iterator[Submitted]:
    """Fails a test whose log shows a password or a token that it submitted, or what tokens are signed with."""
    caplog.set_level(logging.DEBUG)
    submitted = Submitted()
    submitted.secrets.add(SECRET)
    yield submitted
    format_ = logging.Formatter("%(message)s").format
    assert submitted.found_in("\n".join(map(format_, caplog.get_records("call")))) == [], "the log repeats a secret"


@pytest.fixture
def build(submitted: Submitted) -> Iterator[Build]:
    """Builds services, and closes their parts at the end. What they told by then repeats no secret either."""
    built: list[tuple[AppServices, TextIO]] = []

    def make(settings: ServiceSettings | None = None, *, log: TextIO | None = None, **how: Any) -> Service:
        log = log or io.StringIO()
        services, tokens = build_parts(settings, log=log, **how)
        built.append((services, log))
        return Service(services, tokens, WatchedClient(create_app(services), submitted))

    yield make
    for services, log in built:
        services.storage.close()
        services.cache.close()
        services.limiter.close()
        services.telemetry.emit()
        metrics = services.telemetry.exposition().decode()
        log.seek(0)
        assert submitted.found_in(log.read() + metrics) == [], "the log or the metrics repeat a secret"


@pytest.fixture
def service(build: Build) -> Service:
    """A service with the default settings and an empty storage."""
    return build()


@pytest.fixture
def user(service: Service) -> dict[str, str]:
    """The headers of a user."""
    return service.join("ursula")


@pytest.fixture
def editor(service: Service) -> dict[str, str]:
    """The headers of an editor."""
    return service.join("edward", Role.EDITOR)


@pytest.fixture
def admin(service: Service) -> dict[str, str]:
    """The headers of an admin."""
    return service.join("adele", Role.ADMIN)
