"""The application over real adapters in memory, and people to use it."""

import functools
import io
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any, TextIO

import pytest
from dependency_injector import providers
from falcon import testing
from tests.clock import ManualClock
from tests.submitted import Submitted

from songs.caching.queries import Prefetcher
from songs.model import Role, SongDetails, User
from songs.ports.cache import Cache, CountAndGet
from songs.ports.clock import Deadline
from songs.ports.limiter import LimiterCapabilities, RateLimit, RateLimiter
from songs.ports.tokens import AccessClaims, TokenIssuer
from songs_api.bootstrap.container import Container
from songs_api.http.app import create_app
from songs_api.http.services import AppServices
from songs_api.settings import Settings, Source, Variables, resolve
from songs_api.settings.service import Limits, ServiceSettings
from songs_api.telemetry.logs import json_line
from songs_api.telemetry.metrics import Metrics
from songs_api.telemetry.telemetry import Telemetry
from songs_plugins import AdapterContext, Port
from songs_plugins.registry import Registry

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


@functools.cache
def _settings(*, cached: bool) -> Settings:
    texts = {
        "SONGS_STORAGE": "memory",
        "SONGS_CACHE": "memory" if cached else "none",
        "SONGS_BCRYPT_ROUNDS": "4",
        "SONGS_BCRYPT_CONCURRENCY": "2",
        "SONGS_JWT_SECRET": SECRET,
    }
    return resolve(Variables().replacing(texts, Source.ENVIRONMENT), Registry())


def limits(**rates: RateLimit) -> Limits:
    """Return these rate limits and no others."""
    given = {f"limiter_{name}": rate for name, rate in rates.items()}
    return Limits.model_validate(dict.fromkeys(Limits.model_fields) | given)


def limited(**rates: RateLimit) -> ServiceSettings:
    """Return the default settings with these rate limits and no others."""
    return ServiceSettings(limits=limits(**rates))


def build_services(
    settings: ServiceSettings | None = None,
    *,
    cached: bool = False,
    metrics: Metrics | None = None,
    log: TextIO | None = None,
    replaced: Mapping[str, object] | None = None,
    counting: Callable[[Cache, RateLimiter], CountAndGet] | None = None,
) -> tuple[AppServices, TokenIssuer]:
    """Return the container's services over an empty, open storage in memory.

    Args:
        settings: Of the service; without rate limits by default.
        cached: Whether reads go through a cache.
        metrics: Where to count.
        log: Where lines go, as JSON.
        replaced: Parts to use instead, by the name that the container has for each.
        counting: Makes a counting cache's `count_and_get` of cache and limiter.
    """
    clock = ManualClock()
    container = Container(settings=replace(_settings(cached=cached), service=settings or limited()))
    parts = {
        "clock": clock,
        "telemetry": Telemetry(json_line, clock, level=logging.INFO, metrics=metrics, stream=log or io.StringIO()),
        "limiter_capabilities": LimiterCapabilities(shared=True),
        **(replaced or {}),
    }
    for name, part in parts.items():
        container.providers[name].override(providers.Object(part))
    if counting is not None:
        prefetcher = Prefetcher(counting(container.cache(), container.limiter()), container.coherence())
        container.prefetcher.override(providers.Object(prefetcher))
    services = container.services()
    for port in (services.storage, services.cache, services.limiter):
        port.open()
    return services, container.tokens()


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
        services, tokens = build_services(settings, log=log, **how)
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
