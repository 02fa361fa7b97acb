"""The composition root: one of each, built on demand, opened late, closed at the end."""

import logging
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

import pytest
from falcon import testing

from songs.errors import BadCursor, StorageInUse, StorageUnavailable
from songs.ports.limiter import RateLimit, RateLimiter, Verdict
from songs.query import SongFilter
from songs_api.bootstrap import startup
from songs_api.bootstrap.container import Container, max_calls, max_held
from songs_api.bootstrap.handover import UserError
from songs_api.settings import Settings, Source, Variables, resolve
from songs_memory.cache import MemoryCache
from songs_memory.limiter import MemoryLimiter
from songs_memory.storage import MemoryStorage
from songs_plugins import AdapterSpec, Port, hookimpl
from songs_plugins.registry import GROUP, PluginError, Registry
from songs_redis import RedisCache, RedisLimiter
from songs_redis.client import Client

SECRET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"


class _Late(MemoryStorage):
    """A storage that is not there before the third attempt to open it."""

    def __init__(self, error: Exception | None) -> None:
        super().__init__()
        self.error = error
        self.calls: list[str] = []
        self.is_open = threading.Event()

    def open(self) -> None:
        self.calls.append("open")
        if self.error is not None and self.calls.count("open") < 3:
            raise self.error
        super().open()

    def prepare(self) -> None:
        super().prepare()
        self.calls.append("prepare")
        self.is_open.set()

    def close(self) -> None:
        self.calls.append("close")
        super().close()


class _Plugin:
    """The plugin ``late``; `made` is what its factory returns, or raises."""

    def __init__(self) -> None:
        self.made: object = _Late(None)

    def _factory(self, settings: Any, context: Any) -> object:
        if isinstance(self.made, Exception):
            raise self.made
        return self.made

    @hookimpl
    def songs_adapters(self) -> Sequence[AdapterSpec]:
        """Return the storage."""
        return [AdapterSpec(port=Port.STORAGE, name="late", summary="late", factory=self._factory)]


@pytest.fixture(autouse=True)
def _no_worker_goes_on(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stop what a worker stops at its exit, and log as before: its threads would write into other tests' output."""
    started: list[Container] = []
    monkeypatch.setattr(startup, "_close_at_exit", started.append)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for container in started:
        container.telemetry().stop()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> _Plugin:
    """A plugin named ``late``, installed for everyone."""
    late = _Plugin()
    module = ModuleType("late_songs")
    module.plugin = late  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "late_songs", module)
    found = [*entry_points(group=GROUP), EntryPoint(name="late", value="late_songs:plugin", group=GROUP)]
    monkeypatch.setattr("songs_plugins.registry.entry_points", lambda **_: found)
    # The tests' own environment stays as it is; tests/servers looks at that of real workers.
    monkeypatch.setattr(startup, "scrub", lambda: None)
    return late


@pytest.fixture
def variables() -> Variables:
    """What selects it."""
    texts = {"SONGS_STORAGE": "late", "SONGS_JWT_SECRET": SECRET, "SONGS_BCRYPT_ROUNDS": "4", "SONGS_THREADS": "8"}
    return Variables().replacing(texts, Source.ENVIRONMENT)


@pytest.fixture
def settings(plugin: _Plugin, variables: Variables) -> Settings:
    """The settings that select it."""
    return resolve(variables, Registry())


def test_threads_share_one_of_each(settings: Settings) -> None:
    """Twenty threads that ask at once get the same parts."""
    container = Container(settings=settings)
    together = threading.Barrier(20)

    def ask(_: int) -> int:
        together.wait()
        return id(container.services())

    with ThreadPoolExecutor(20) as pool:
        assert len(set(pool.map(ask, range(20)))) == 1
    assert container.services().storage is container.storage()


def test_building_opens_nothing(settings: Settings, plugin: _Plugin) -> None:
    """All I/O begins with `open`, after any fork."""
    Container(settings=settings).services()

    assert isinstance(plugin.made, _Late)
    assert plugin.made.calls == []


def test_settings_reach_the_parts(settings: Settings) -> None:
    """The application has the service's settings; some threads are left for what needs no storage."""
    assert Container(settings=settings).services().settings is settings.service
    assert settings.service.deployment.threads == 8

    assert [max_calls(threads) for threads in (4, 8, 32)] == [3, 6, 24]
    assert [max_held(threads) for threads in (4, 8, 32)] == [3, 7, 28]


def test_cache_and_limiter_on_one_redis_are_one_object(settings: Settings, variables: Variables) -> None:
    """Of one adapter they have a prefetcher, others none; a limiter of this process is not shared."""
    redis = {"SONGS_CACHE": "redis", "SONGS_LIMITER": "redis", "SONGS_WORKERS": "3"}
    one = Container(settings=resolve(variables.replacing(redis), Registry()))
    apart = Container(settings=resolve(variables.replacing({"SONGS_CACHE": "redis"}), Registry()))

    assert one.limiter() is one.cache()
    assert one.services().prefetcher is not None
    assert one.services().limiter_capabilities.shared
    assert one.services().settings.deployment.workers == 3
    assert apart.limiter() is not apart.cache()
    assert apart.services().prefetcher is None
    assert not apart.services().limiter_capabilities.shared


@pytest.mark.parametrize("changed", ["factory", "settings", "cache"])
def test_what_one_factory_would_not_make_twice_is_two_objects(
    settings: Settings, variables: Variables, changed: str
) -> None:
    """Another factory or other settings may lead elsewhere, and not everything that one factory makes counts."""
    redis = {"SONGS_CACHE": "redis", "SONGS_LIMITER": "redis"}
    found = resolve(variables.replacing(redis), Registry())
    choices = dict(found.adapters)
    of_cache, of_limiter = choices[Port.CACHE], choices[Port.LIMITER]
    if changed == "factory":
        choices[Port.LIMITER] = replace(of_limiter, spec=replace(of_limiter.spec, factory=_plain_redis))
    elif changed == "settings":
        choices[Port.LIMITER] = replace(of_limiter, settings=of_limiter.settings.model_copy(update={"prefix": "other"}))
    else:
        for port, choice in ((Port.CACHE, of_cache), (Port.LIMITER, of_limiter)):
            choices[port] = replace(choice, spec=replace(choice.spec, factory=_plain_redis))

    container = Container(settings=replace(found, adapters=choices))

    assert container.limiter() is not container.cache()
    assert container.services().prefetcher is None


class _PlainRedis(RedisCache, RedisLimiter):
    """Cache and limiter, without a common round trip."""


def _plain_redis(settings: Any, context: Any) -> _PlainRedis:
    return _PlainRedis(Client(settings, context.clock, connections=1), settings.prefix)


class _Joining(MemoryCache):
    """A cache with the port of before."""

    def together_with(self, limiter: RateLimiter) -> "_Joined | None":
        return _Joined(limiter) if isinstance(limiter, MemoryLimiter) else None


class _Joined:
    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter

    def hit_and_get(self, bucket: str, limit: RateLimit, group: str, key: str) -> tuple[Verdict, None]:
        return self._limiter.hit(bucket, limit), None


def test_a_cache_of_the_former_port_is_still_asked(settings: Settings) -> None:
    """With `songs.ports.together`, for one release, and a warning."""
    choice = settings.adapters[Port.CACHE]
    spec = replace(choice.spec, factory=lambda _, context: _Joining(context.clock, max_bytes=1))
    former = replace(settings, adapters={**settings.adapters, Port.CACHE: replace(choice, spec=spec)})

    with pytest.warns(DeprecationWarning, match=r"_Joining.together_with is replaced: offer a songs.ports.cache"):
        assert Container(settings=former).services().prefetcher is not None


def test_cursors_are_good_in_every_process_with_the_same_secret(settings: Settings, variables: Variables) -> None:
    """Two containers agree; with another secret they do not."""
    other = resolve(variables.replacing({"SONGS_JWT_SECRET": SECRET[::-1]}), Registry())

    cursor = Container(settings=settings).cursors().encode("a", SongFilter())
    assert Container(settings=settings).cursors().encode("a", SongFilter()) == cursor
    assert Container(settings=other).cursors().encode("a", SongFilter()) != cursor


def test_a_new_secret_ends_no_walk(settings: Settings, variables: Variables) -> None:
    """With the previous secret given, cursors that it signed go on; without it they do not; new ones are the new's."""
    before = Container(settings=settings).cursors().encode("a", SongFilter())
    secrets = {"SONGS_JWT_SECRET": SECRET[::-1], "SONGS_JWT_SECRET_PREVIOUS": SECRET}
    changed, forgotten = (
        Container(settings=resolve(variables.replacing(texts), Registry())).cursors()
        for texts in (secrets, {"SONGS_JWT_SECRET": SECRET[::-1]})
    )

    assert changed.decode(before, SongFilter()) == "a"
    assert changed.encode("a", SongFilter()) == forgotten.encode("a", SongFilter()) != before
    with pytest.raises(BadCursor):
        forgotten.decode(before, SongFilter())


def test_a_factory_that_fails_is_told_by_its_adapter(settings: Settings, plugin: _Plugin) -> None:
    """A stranger's exception becomes one line; so does an object that lacks methods."""
    plugin.made = ZeroDivisionError("oops")
    with pytest.raises(PluginError, match="the adapter 'late' for 'storage' cannot be made: ZeroDivisionError: oops"):
        Container(settings=settings).storage()

    plugin.made = object()
    with pytest.raises(PluginError, match="does not have all methods of the port 'storage'"):
        Container(settings=settings).storage()


def test_a_command_opens_prepares_and_closes(settings: Settings, plugin: _Plugin) -> None:
    """Also when the command fails."""
    assert isinstance(plugin.made, _Late)
    with pytest.raises(ZeroDivisionError), startup.opened(settings):
        raise ZeroDivisionError

    assert plugin.made.calls == ["open", "prepare", "close"]


def test_a_command_says_which_storage_does_not_open(settings: Settings, plugin: _Plugin) -> None:
    """One line with its name and the reason."""
    plugin.made = _Late(StorageUnavailable("the disk is gone"))

    with (
        pytest.raises(UserError, match="the storage 'late' cannot be opened: the disk is gone"),
        startup.opened(settings),
    ):
        pass


def test_a_worker_waits_for_its_storage(plugin: _Plugin, variables: Variables, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the storage opens, health is answered and readiness is not; then everything is."""
    monkeypatch.setattr(startup, "RETRY_S", 0.001)
    plugin.made = late = _Late(StorageUnavailable())
    client = testing.TestClient(startup.application(variables))

    assert client.simulate_get("/api/v1/health").status_code == 200
    assert late.is_open.wait(20)
    assert late.calls[:4] == ["open", "open", "open", "prepare"]


@pytest.mark.parametrize("error", [StorageInUse()])
def test_a_worker_does_not_wait_for_what_others_hold(plugin: _Plugin, variables: Variables, error: Exception) -> None:
    """A storage of one process is not shared by waiting."""
    plugin.made = _Late(error)

    with pytest.raises(StorageInUse):
        startup.application(variables)
