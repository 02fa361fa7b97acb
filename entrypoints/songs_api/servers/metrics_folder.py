"""Where the processes of one service keep their metrics together."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from songs_api.refusals import warn
from songs_api.servers.options import METRICS_FOLDER
from songs_api.settings import Settings


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
