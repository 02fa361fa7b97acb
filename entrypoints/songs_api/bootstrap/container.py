"""The composition root: the only place where adapters and services are put together."""

import hmac
import logging
import os
import warnings
from typing import Any, Final, cast

from dependency_injector import containers, providers

from songs.application.access import Access
from songs.application.accounts import Accounts
from songs.application.catalogue import Catalogue
from songs.application.cursors import Cursors
from songs.application.hashing import HashingTurns
from songs.application.importing import Importer
from songs.application.password_policy import PasswordPolicy
from songs.application.ratings import Ratings
from songs.application.runner import UnitRunner
from songs.application.sessions import Lifetimes, Sessions
from songs.caching.coherence import ANNOUNCE_S, Coherence
from songs.caching.queries import CatalogueQueries, Prefetcher
from songs.ports.cache import Cache, CacheCapabilities, CountAndGet, CountingCache
from songs.ports.clock import Clock
from songs.ports.ids import IdGenerator
from songs.ports.limiter import LimiterCapabilities, RateLimiter
from songs.ports.meter import UNMETERED
from songs.ports.storage import StorageCapabilities
from songs_api.bootstrap.handover import METRICS_FOLDER, WINDOW_TABLE
from songs_api.http.kernel.read_plans import REPRESENTATION_VERSION
from songs_api.http.services import AppServices
from songs_api.settings import Settings
from songs_api.settings.resolve import secrets_of
from songs_api.shared_windows import TABLE_LOST, WindowTable
from songs_api.telemetry.logs import renderer
from songs_api.telemetry.telemetry import Availabilities, Telemetry
from songs_plugins import AdapterContext, Port
from songs_plugins.processors import usable_cores
from songs_plugins.registry import PluginError

_log: Final = logging.getLogger(__name__)
_CURSORS_LABEL: Final = b"songs/cursors/1"


class _NotThere:
    """A placeholder in an adapter's context for parts not built yet: clocks come first, then ids, then the others."""

    def __getattr__(self, name: str) -> object:
        msg = "a clock has no other clock, and neither clocks nor id generators have other ids to use"
        raise PluginError(msg)


def max_calls(threads: int) -> int:
    """Return how many of `threads` may be in a storage call at once: some are left for requests that need none."""
    return max(1, threads * 3 // 4)


def max_held(threads: int) -> int:
    """Return how many of `threads` may be in storage calls or wait for one while the storage stalls."""
    return threads - max(1, threads // 8)


def _build(
    settings: Settings,
    port: Port,
    clock: Clock | None = None,
    ids: IdGenerator | None = None,
    telemetry: Telemetry | None = None,
) -> Any:  # noqa: ANN401 - the port decides the type
    choice = settings.adapters[port]
    context = AdapterContext(
        clock=clock or cast("Clock", _NotThere()),
        ids=ids or cast("IdGenerator", _NotThere()),
        concurrency=max_calls(settings.service.deployment.threads),
        meter=telemetry.meter if telemetry else UNMETERED,
    )
    try:
        return choice.spec.build(choice.settings, context)
    except PluginError:
        raise
    except Exception as error:  # a third party's factory may raise anything
        msg = f"the adapter {choice.spec.name!r} for {port.value!r} cannot be made: {type(error).__name__}: {error}"
        raise PluginError(msg) from error


def _cursors(settings: Settings) -> Cursors:
    # The first secret of a token adapter signs; cursors of the others, such as the one before, are accepted too. An
    # adapter without a secret leaves nothing that all processes share: its cursors end with the process.
    secrets = tuple(filter(None, secrets_of(settings, Port.TOKENS).values())) or (os.urandom(32),)
    secret, *previous = (hmac.digest(each, _CURSORS_LABEL, "sha256") for each in secrets)
    return Cursors(secret, previous=previous)


def _telemetry(settings: Settings, clock: Clock) -> Telemetry:
    options, metrics = settings.service.telemetry, None
    if options.metrics_token is not None:
        from songs_api.telemetry.metrics import Metrics  # noqa: PLC0415 - takes time to load, and few need it

        metrics = Metrics(os.environ.get(METRICS_FOLDER))
    render = renderer(options.log_format, production=settings.service.deployment.environment == "production")
    return Telemetry(render, clock, level=logging.getLevelNamesMapping()[options.log_level.upper()], metrics=metrics)


def _watched_cache(availabilities: Availabilities, cache: Any) -> Cache:  # noqa: ANN401 - checked by the spec
    return availabilities.watched_cache(cache)


def _watched_limiter(availabilities: Availabilities, limiter: Any) -> RateLimiter:  # noqa: ANN401 - checked by the spec
    return availabilities.watched_limiter(limiter)


def _runner(settings: Settings, storage: Any, clock: Clock, telemetry: Telemetry) -> UnitRunner:  # noqa: ANN401 - checked by the spec
    threads = settings.service.deployment.threads
    return UnitRunner(storage, clock, max_calls=max_calls(threads), max_held=max_held(threads), meter=telemetry.meter)


def _coherence(settings: Settings, cache: Any, runner: UnitRunner, clock: Clock, telemetry: Telemetry) -> Coherence:  # noqa: ANN401 - checked by the spec
    storage = settings.adapters[Port.STORAGE].spec.capabilities
    alone = isinstance(storage, StorageCapabilities) and not storage.shared
    return Coherence(
        cache,
        runner,
        clock,
        ttl_s=settings.service.cache.cache_ttl_s,
        announce_s=0.0 if alone else ANNOUNCE_S,
        meter=telemetry.meter,
    )


def _availabilities(settings: Settings, clock: Clock) -> Availabilities:
    cache, limiter = settings.adapters[Port.CACHE].spec, settings.adapters[Port.LIMITER].spec
    keeps = cache.capabilities if isinstance(cache.capabilities, CacheCapabilities) else CacheCapabilities(shared=True)
    return Availabilities.of(
        clock,
        # Parts in this process always respond, and checking them would cost every request.
        cache=cache.name if keeps.shared and keeps.keeps else None,
        limiter=limiter.name if _limiter_capabilities(settings).shared else None,
    )


def _limiter(settings: Settings, cache: Any, *arguments: Any) -> Any:  # noqa: ANN401 - the container's providers
    # One factory would make the same of the same settings once more.
    of_cache, of_limiter = settings.adapters[Port.CACHE], settings.adapters[Port.LIMITER]
    same = (of_cache.spec.factory, of_cache.settings) == (of_limiter.spec.factory, of_limiter.settings)
    return cache if same and isinstance(cache, CountingCache) else _build(settings, Port.LIMITER, *arguments)


def _prefetcher(
    cache: Any,  # noqa: ANN401 - checked by the spec
    limiter: Any,  # noqa: ANN401 - checked by the spec
    coherence: Coherence,
    availabilities: Availabilities,
) -> Prefetcher | None:
    count_and_get = cache.count_and_get if cache is limiter else _former_count_and_get(cache, limiter)
    return Prefetcher(availabilities.watched_counts(count_and_get), coherence) if count_and_get else None


def _former_count_and_get(cache: Any, limiter: RateLimiter) -> CountAndGet | None:  # noqa: ANN401 - checked by the spec
    # The port `songs.ports.together`, for one release.
    if not hasattr(cache, "together_with"):
        return None
    msg = f"{type(cache).__qualname__}.together_with is replaced: offer a songs.ports.cache.CountingCache"
    warnings.warn(msg, DeprecationWarning, stacklevel=2)
    joined = cache.together_with(limiter)
    return None if joined is None else cast("CountAndGet", joined.hit_and_get)


def _sessions(settings: Settings, *arguments: Any) -> Sessions:  # noqa: ANN401 - the container's providers
    accounts = settings.service.accounts
    lifetimes = Lifetimes(
        access_s=accounts.access_token_ttl_s,
        refresh_s=accounts.refresh_token_ttl_s,
        idle_s=accounts.refresh_token_idle_s,
    )
    return Sessions(*arguments, lifetimes=lifetimes)


def _accounts(settings: Settings, *arguments: Any) -> Accounts:  # noqa: ANN401 - the container's providers
    policy = PasswordPolicy(settings.service.accounts.password_min_length)
    # A quarter of the threads, and two at least: one hashes, one waits for its turn.
    threads = max(2, settings.service.deployment.threads // 4)
    at_once = min(usable_cores(), threads // 2)
    return Accounts(*arguments, policy=policy, hashing=HashingTurns(at_once, threads - at_once))


def _limiter_capabilities(settings: Settings) -> LimiterCapabilities:
    capabilities = settings.adapters[Port.LIMITER].spec.capabilities
    return capabilities if isinstance(capabilities, LimiterCapabilities) else LimiterCapabilities(shared=True)


def _window_table(settings: Settings) -> WindowTable | None:
    path = os.environ.pop(WINDOW_TABLE, None)
    if path is None or not _limiter_capabilities(settings).shared:
        return None
    try:
        return WindowTable.open(path)
    except OSError as error:
        _log.warning(TABLE_LOST, error.strerror or error)
        return None


class Container(containers.DeclarativeContainer):
    """The shared parts of one process, each built once, at its first use. Building does no I/O."""

    settings = providers.Dependency(instance_of=Settings)

    clock = providers.ThreadSafeSingleton(_build, settings, Port.CLOCK)
    ids = providers.ThreadSafeSingleton(_build, settings, Port.IDS, clock)
    telemetry = providers.ThreadSafeSingleton(_telemetry, settings, clock)
    storage = providers.ThreadSafeSingleton(_build, settings, Port.STORAGE, clock, ids, telemetry)
    cache = providers.ThreadSafeSingleton(_build, settings, Port.CACHE, clock, ids, telemetry)
    limiter = providers.ThreadSafeSingleton(_limiter, settings, cache, clock, ids, telemetry)
    tokens = providers.ThreadSafeSingleton(_build, settings, Port.TOKENS, clock, ids)
    passwords = providers.ThreadSafeSingleton(_build, settings, Port.PASSWORDS, clock, ids)

    availabilities = providers.ThreadSafeSingleton(_availabilities, settings, clock)
    watched_cache = providers.ThreadSafeSingleton(_watched_cache, availabilities, cache)
    watched_limiter = providers.ThreadSafeSingleton(_watched_limiter, availabilities, limiter)

    runner = providers.ThreadSafeSingleton(_runner, settings, storage, clock, telemetry)
    coherence = providers.ThreadSafeSingleton(_coherence, settings, watched_cache, runner, clock, telemetry)
    cursors = providers.ThreadSafeSingleton(_cursors, settings)
    access = providers.ThreadSafeSingleton(Access, runner, tokens, clock)
    sessions = providers.ThreadSafeSingleton(_sessions, settings, runner, tokens, ids, clock)
    accounts = providers.ThreadSafeSingleton(_accounts, settings, runner, access, sessions, passwords, ids, clock)
    catalogue = providers.ThreadSafeSingleton(Catalogue, runner, coherence, ids, cursors)
    ratings = providers.ThreadSafeSingleton(Ratings, runner, coherence, ids, clock)
    queries = providers.ThreadSafeSingleton(
        CatalogueQueries, catalogue, ratings, coherence, form=REPRESENTATION_VERSION
    )
    prefetcher = providers.ThreadSafeSingleton(_prefetcher, cache, limiter, coherence, availabilities)
    importer = providers.ThreadSafeSingleton(Importer, runner, coherence, ids)
    limiter_capabilities = providers.Callable(_limiter_capabilities, settings)
    window_table = providers.ThreadSafeSingleton(_window_table, settings)

    services = providers.ThreadSafeSingleton(
        AppServices,
        clock=clock,
        storage=storage,
        cache=watched_cache,
        limiter=watched_limiter,
        limiter_capabilities=limiter_capabilities,
        coherence=coherence,
        access=access,
        sessions=sessions,
        accounts=accounts,
        catalogue=catalogue,
        ratings=ratings,
        queries=queries,
        prefetcher=prefetcher,
        window_table=window_table,
        telemetry=telemetry,
        settings=settings.provided.service,
    )
