"""Shared state of the processes of one service: metrics and windows of rate limits."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from songs.ports.limiter import LimiterCapabilities
from songs_api.bootstrap.handover import METRICS_FOLDER, WINDOW_TABLE
from songs_api.bootstrap.user_errors import warn
from songs_api.limiting.shared_windows import WindowTable
from songs_api.settings import Settings
from songs_plugins import Port


@contextmanager
def metrics_folder(settings: Settings) -> Iterator[None]:
    """For the length of the block name a folder for metrics, if they are wanted and none is named; remove it then.

    What a worker counted stays when it ends, so the one that replaces it goes on from there. Where there is no room for
    a folder, each process counts on its own.
    """
    if settings.service.metrics_token is None or METRICS_FOLDER in os.environ:
        yield
        return
    owner = os.getpid()
    try:
        folder = tempfile.mkdtemp(prefix="songs-metrics-")
    except OSError as error:
        warn(f"there is no folder for metrics, so each process shows its own: {error.strerror or error}")
        yield
        return
    os.environ[METRICS_FOLDER] = folder
    try:
        yield
    finally:
        # Workers that were forked off leave this block as well.
        if os.getpid() == owner:
            del os.environ[METRICS_FOLDER]
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def window_table(settings: Settings, workers: int) -> Iterator[None]:
    """For the length of the block have a table for what workers remember, if there are several and a shared limiter.

    Where none can be made, each of them remembers for itself.
    """
    limiter = settings.adapters[Port.LIMITER].spec.capabilities
    if workers == 1 or not isinstance(limiter, LimiterCapabilities) or not (limiter.shared and limiter.limits):
        yield
        return
    owner = os.getpid()
    try:
        table = WindowTable.create()
    except OSError as error:
        warn(
            "each process remembers by itself what was used of rate limits, and more may be allowed when the limiter "
            f"fails: {error.strerror or error}"
        )
        yield
        return
    os.environ[WINDOW_TABLE] = table.path
    try:
        yield
    finally:
        # Workers that were forked off leave this block as well.
        if os.getpid() == owner:
            os.environ.pop(WINDOW_TABLE, None)
            table.close()
