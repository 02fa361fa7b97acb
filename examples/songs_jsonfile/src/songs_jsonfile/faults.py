"""Calls of the system that fail, for the contract kit: with the error of a disk that is broken."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Literal, ParamSpec

from songs_jsonfile.log import Disk

P = ParamSpec("P")

CALLS: Final = ("write", "sync", "rename")


class FailingCalls:
    """Lets one call fail, whichever file it is for."""

    def __init__(self) -> None:
        self.failed = False
        self._left = 0
        self._when: Literal["before", "after"] = "before"

    def fail_at(self, call: int, *, when: Literal["before", "after"]) -> None:
        """Let the call number `call` from now on fail, before or after it was made."""
        self._left, self._when, self.failed = call, when, False

    def heal(self) -> None:
        """Let none fail."""
        self._left = 0

    def counting(self, call: Callable[P, None]) -> Callable[P, None]:
        """Return `call` with the one failure in it."""

        def counted(*arguments: P.args, **options: P.kwargs) -> None:
            self._left -= 1
            if self._left == 0:
                if self._when == "after":
                    call(*arguments, **options)
                self.failed = True
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            call(*arguments, **options)

        return counted


@contextmanager
def faults(_settings: object) -> Iterator[FailingCalls]:
    """Yield what lets calls of this process fail, also for files that are open."""
    found = FailingCalls()
    whole = {name: getattr(Disk, name) for name in CALLS}
    for name, call in whole.items():
        setattr(Disk, name, staticmethod(found.counting(call)))
    try:
        yield found
    finally:
        for name, call in whole.items():
            setattr(Disk, name, staticmethod(call))
