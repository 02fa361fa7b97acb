"""Caches and limiters that processes share by a file; all but two forget that there are other processes."""

import fcntl
import pickle
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

from pydantic import BaseModel, ConfigDict

from songs.ports.cache import CacheCapabilities, Hit, Miss
from songs.ports.limiter import LimiterCapabilities, RateLimit, Verdict
from songs_memory.cache import MemoryCache
from songs_memory.limiter import MemoryLimiter
from songs_plugins import AdapterContext, AdapterSpec, Port
from songs_system.system import SystemClock

T = TypeVar("T")
MEMO_S: Final = 0.05


class FileSettings(BaseModel):
    """Where the file is."""

    model_config = ConfigDict(frozen=True)

    path: Path = Path("shared")


class _InAFile:
    """Reads the members of an object from a file, and writes them again after a call."""

    members: ClassVar[tuple[str, ...]]
    path: Path

    def shared(self, first: str, call: Callable[[], T]) -> T:
        """Return what a call comes to, if the object is open: its member `first` is there."""
        if getattr(self, first) is None:
            return call()
        with self.path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            kept = file.read()
            if kept:
                self.__dict__.update(pickle.loads(kept))  # noqa: S301 - it is its own
            result = call()
            file.truncate(0)
            file.write(pickle.dumps({name: getattr(self, name) for name in self.members}))
            return result


class FileCache(_InAFile, MemoryCache):
    """A cache that is right."""

    capabilities = CacheCapabilities(shared=True)
    members = ("_groups", "_bytes", "_identity")

    def get(self, group: str, key: str) -> Hit | Miss:
        """Look into the file."""
        return self.shared("_groups", partial(super().get, group, key))

    def fill(self, group: str, key: str, value: bytes, *, lease: bytes, ttl_s: float) -> None:
        """Write it."""
        self.shared("_groups", partial(super().fill, group, key, value, lease=lease, ttl_s=ttl_s))

    def invalidate(self, groups: Collection[str]) -> str:
        """Forget it there."""
        return self.shared("_groups", partial(super().invalidate, groups))

    def ping(self) -> str:
        """Say who it is."""
        return self.shared("_groups", super().ping)


class FileLimiter(_InAFile, MemoryLimiter):
    """A limiter that is right."""

    members = ("_windows", "_due_s", "_first_name", "_named")

    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Count in the file."""
        return self.shared("_windows", partial(super().hit, bucket, limit))

    def give_back(self, bucket: str, limit: RateLimit, window: str) -> None:
        """Undo it there."""
        self.shared("_windows", partial(super().give_back, bucket, limit, window))


@contextmanager
def _sandbox(folder: Path) -> Iterator[FileSettings]:
    yield FileSettings(path=folder / "shared")


def _planted(port: Port, kind: Callable[[], Any], capabilities: Any) -> AdapterSpec:
    def factory(settings: FileSettings, _context: AdapterContext) -> Any:
        adapter = kind()
        adapter.path = settings.path
        return adapter

    return AdapterSpec(
        port=port,
        name="known_bad",
        summary="",
        factory=factory,
        settings=FileSettings,
        capabilities=capabilities,
        sandbox=_sandbox,
    )


def _cache(kind: type[FileCache]) -> AdapterSpec:
    # All processes of a machine have one monotonic clock.
    return _planted(Port.CACHE, partial(kind, SystemClock(), max_bytes=1 << 26), kind.capabilities)


def _limiter(kind: type[FileLimiter]) -> AdapterSpec:
    return _planted(Port.LIMITER, partial(kind, SystemClock()), LimiterCapabilities(shared=True))


cache_in_a_file = _cache(FileCache)
limiter_in_a_file = _limiter(FileLimiter)


class _Remembers(FileCache):
    found: ClassVar[dict[tuple[str, str], tuple[Hit, float]]] = {}

    def get(self, group: str, key: str) -> Hit | Miss:
        """Ask for an entry again when it was found a moment ago."""
        known, at_s = self.found.get((group, key), (None, 0.0))
        if known is not None and time.monotonic() < at_s + MEMO_S:
            return known
        found = super().get(group, key)
        if isinstance(found, Hit):
            self.found[group, key] = found, time.monotonic()
        return found

    def invalidate(self, groups: Collection[str]) -> str:
        """Forget what all objects of this process remember."""
        for group, key in list(self.found):
            if group in groups:
                del self.found[group, key]
        return super().invalidate(groups)


process_remembers_what_it_found = _cache(_Remembers)


class _LeasesOfAProcess(FileCache):
    secret: ClassVar[str] = secrets.token_hex(8)
    voided: ClassVar[dict[str, int]] = {}

    def _lease(self, group: str) -> bytes:
        return f"{self.secret} {group} {self.voided.get(group, 0)}".encode()

    def get(self, group: str, key: str) -> Hit | Miss:
        """Hand out what this process makes of its own invalidations."""
        found = super().get(group, key)
        return found if isinstance(found, Hit) else Miss(self._lease(group), found.identity)

    def fill(self, group: str, key: str, value: bytes, *, lease: bytes, ttl_s: float) -> None:
        """Compare with that."""
        found = super().get(group, key)
        good = found.lease if isinstance(found, Miss) and lease == self._lease(group) else None
        super().fill(group, key, value, lease=good or b"", ttl_s=ttl_s)

    def invalidate(self, groups: Collection[str]) -> str:
        """Void the leases of this process."""
        for group in groups:
            self.voided[group] = self.voided.get(group, 0) + 1
        return super().invalidate(groups)


leases_are_each_processes_own = _cache(_LeasesOfAProcess)


class _CountsAlone(FileLimiter):
    all_windows: ClassVar[dict[int, OrderedDict[Any, Any]]] = {}

    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Count with the objects of this process."""
        self._windows = self.all_windows
        return MemoryLimiter.hit(self, bucket, limit)

    def give_back(self, bucket: str, limit: RateLimit, window: str) -> None:
        """Undo it there."""
        self._windows = self.all_windows
        MemoryLimiter.give_back(self, bucket, limit, window)


processes_count_alone = _limiter(_CountsAlone)
