"""Calls of the system that fail, for the contract kit: with the error of a disk that is broken."""

import errno
import os
from contextlib import AbstractContextManager

from songs_jsonfile.log import Disk
from songs_plugins import FailingCalls, failing


def faults(_settings: object) -> AbstractContextManager[FailingCalls]:
    """Return what lets calls of this process fail, also for files that are open."""
    return failing(Disk, "write", "sync", "rename", error=lambda _: OSError(errno.EIO, os.strerror(errno.EIO)))
