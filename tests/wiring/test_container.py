"""The composition root: one of each, built on demand, opened late, closed at the end."""

import logging
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

import pytest
from falcon import testing

from songs.errors import BadCursor, StorageInUse, StorageUnavailable
from songs.query import SongFilter
from songs_api.bootstrap import startup
from songs_api.bootstrap.container import Container, max_calls, max_held
from songs_api.bootstrap.handover import UserError
from songs_api.settings import Settings, Source, Variables, resolve
from songs_memory.storage import MemoryStorage
from songs_plugins import AdapterSpec, Port, hookimpl
from songs_plugins.registry import GROUP, PluginError, Registry

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
    """The HTTP options are the service's settings; some threads are left for what needs no storage."""
    options = Container(settings=settings).services().options

    assert (options.request_threads, options.max_body_bytes, options.registration_open) == (8, 65_536, True)
    assert [max_calls(threads) for threads in (4, 8, 32)] == [3, 6, 24]
    assert [max_held(threads) for threads in (4, 8, 32)] == [3, 7, 28]


def test_what_is_on_one_redis_is_asked_together(settings: Settings, variables: Variables) -> None:
    """Cache and limiter of one address have a read-ahead, others none; a limiter of this process is not shared."""
    redis = {"SONGS_CACHE": "redis", "SONGS_LIMITER": "redis", "SONGS_WORKERS": "3"}
    joined = Container(settings=resolve(variables.replacing(redis), Registry())).services()
    apart = Container(settings=resolve(variables.replacing({"SONGS_CACHE": "redis"}), Registry())).services()

    assert joined.prefetcher is not None
    assert joined.options.limits.shared
    assert joined.options.limits.processes == 3
    assert apart.prefetcher is None
    assert not apart.options.limits.shared


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
