"""Starts the application from the settings, in each worker of a server, after the fork."""

import atexit
import gc
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import util
from typing import Final

from songs.errors import SongsError, StorageInUse, StorageMismatch, Unavailable
from songs.ports.clock import Clock
from songs.ports.storage import IdentifiedStorage, Storage
from songs_api.bootstrap.container import Container
from songs_api.bootstrap.handover import Application, UserError
from songs_api.http.app import create_app
from songs_api.settings import Settings, Variables, resolve, scrub
from songs_plugins.registry import Registry

RETRY_S: Final = 1.0
_log: Final = logging.getLogger(__name__)


@contextmanager
def opened(settings: Settings) -> Iterator[Container]:
    """Yield a container whose storage is open and prepared, its cache and limiter open; close them at the end.

    Raises:
        UserError: The storage cannot be opened or prepared.
        PluginError: An adapter cannot be made.
    """
    container = Container(settings=settings)
    container.services()
    try:
        try:
            _open(container.storage())
        except SongsError as error:
            msg = f"the storage {settings.service.adapters.storage!r} cannot be opened: {error.detail}"
            raise UserError(msg) from error
        container.cache().open()
        container.limiter().open()
        yield container
    finally:
        close(container)


def close(container: Container) -> None:
    """Close all open parts: the storage last, except for the telemetry."""
    for adapter in (container.limiter(), container.cache(), container.storage()):
        adapter.close()
    container.telemetry().stop()


def identity_of(container: Container) -> str | None:
    """Return the identity of the data in the open storage of a container, for workers to find; None if it has none."""
    storage = container.storage()
    return storage.identity() if isinstance(storage, IdentifiedStorage) else None


def application(
    variables: Variables, prepare: Callable[[Container], None] | None = None, *, identity: str | None = None
) -> Application:
    """Return the application, ready to answer, in a worker.

    The settings are removed from the environment, so that they are in no request's. A storage that does not answer
    yet is tried again every `RETRY_S` seconds, until when every request that needs it gets 503. A durable one whose
    data are not there is one of these: workers create nothing.

    Args:
        variables: The settings.
        prepare: Called before the application answers anyone.
        identity: What `identity_of` returned where the server was started; None: any data that were prepared.

    Raises:
        StorageInUse: Another process has the storage.
        StorageMismatch: What is stored cannot be used.
        PluginError: An adapter cannot be made.
    """
    settings = resolve(variables, Registry())
    scrub()
    container = Container(settings=settings)
    services = container.services()
    services.telemetry.start()
    _close_at_exit(container)
    services.cache.open()
    services.limiter.open()
    container.availabilities().ask(services.cache, services.limiter)
    try:
        _open_in_worker(services.storage, identity)
    except (StorageInUse, StorageMismatch):
        raise
    except Unavailable as error:
        _log.warning("The storage is not available yet: %s", error)
        threading.Thread(target=_keep_opening, args=(services.storage, identity, services.clock), daemon=True).start()
    if prepare is not None:
        prepare(container)
    app = create_app(services)
    # The objects built so far live as long as the process: no garbage collection has to scan them again.
    gc.collect()
    gc.freeze()
    return app


def _open(storage: Storage) -> None:
    storage.open()
    storage.prepare()


def _open_in_worker(storage: Storage, identity: str | None) -> None:
    if isinstance(storage, IdentifiedStorage):
        storage.open_existing(identity)
    elif storage.capabilities.durable:
        storage.open()
    else:
        # State of one process starts empty.
        _open(storage)


def _keep_opening(storage: Storage, identity: str | None, clock: Clock) -> None:
    while True:
        clock.sleep(RETRY_S)
        try:
            _open_in_worker(storage, identity)
        except Unavailable as error:
            _log.debug("The storage is still not available: %s", error)
        else:
            _log.warning("The storage is available.")
            return


def _close_at_exit(container: Container) -> None:
    # Processes that multiprocessing forked (granian's workers) do not run atexit's functions on Python 3.11.
    util.Finalize(None, close, args=(container,), exitpriority=10)
    atexit.register(close, container)
