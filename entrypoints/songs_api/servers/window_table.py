"""Where the processes of one service remember together what was used of their rate limits."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from songs.ports.limiter import LimiterCapabilities
from songs_api.http.shared_windows import WindowTable
from songs_api.refusals import warn
from songs_api.servers.options import WINDOW_TABLE
from songs_api.settings import Settings
from songs_plugins import Port


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
