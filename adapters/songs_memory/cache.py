"""The cache."""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from songs.errors import CacheUnavailable
from songs.ports.cache import CacheCapabilities, Hit, Miss
from songs.ports.clock import Clock

OVERHEAD_BYTES: Final = 256
"""About as much as an entry or a group takes besides its text and value."""


@dataclass(slots=True)
class _Entry:
    value: bytes
    expires_at_s: float
    size: int


@dataclass(slots=True)
class _Group:
    """The entries of a group, least recently used first, and the lease that is good for it now."""

    size: int
    lease: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    entries: OrderedDict[str, _Entry] = field(default_factory=OrderedDict)


class MemoryCache:
    """Keeps bytes in this process's memory.

    A group's lease is random, and another one after the group was invalidated or forgotten: a lease from before never
    fits. When `max_bytes` would be exceeded, the least recently used entries are forgotten first. Before `open` and
    after `close` every call raises `CacheUnavailable`. Its identity is random, and another one after each `open`:
    nobody else sees these entries.

    Args:
        clock: Its monotonic clock ends entries.
        max_bytes: How much to keep: values, names, and about 256 bytes more for each entry and group.
    """

    capabilities = CacheCapabilities(shared=False)

    def __init__(self, clock: Clock, *, max_bytes: int) -> None:
        self._clock = clock
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._groups: OrderedDict[str, _Group] | None = None
        self._bytes = 0
        self._identity = ""

    def open(self) -> None:
        with self._lock:
            if self._groups is None:
                self._groups, self._bytes = OrderedDict(), 0
                self._identity = f"memory {secrets.token_hex(16)}"

    def close(self) -> None:
        with self._lock:
            self._groups, self._bytes = None, 0

    def ping(self) -> str:
        with self._lock:
            self._opened()
            return self._identity

    def get(self, group: str, key: str) -> Hit | Miss:
        with self._lock:
            groups = self._opened()
            found = groups.get(group)
            if found is None:
                found = _Group(len(group) + OVERHEAD_BYTES)
                groups[group] = found
                self._bytes += found.size
                self._shrink(groups)
            else:
                groups.move_to_end(group)
            entry = found.entries.get(key)
            if entry is None:
                return Miss(found.lease, self._identity)
            if self._clock.monotonic_s() >= entry.expires_at_s:
                self._drop(found, key)
                return Miss(found.lease, self._identity)
            found.entries.move_to_end(key)
            return Hit(entry.value, self._identity)

    def fill(self, group: str, key: str, value: bytes, *, lease: bytes, ttl_s: float) -> None:
        with self._lock:
            groups = self._opened()
            found = groups.get(group)
            if found is None or found.lease != lease:
                return
            if key in found.entries:
                self._drop(found, key)
            size = len(key) + len(value) + OVERHEAD_BYTES
            found.entries[key] = _Entry(bytes(value), self._clock.monotonic_s() + ttl_s, size)
            self._bytes += size
            groups.move_to_end(group)
            self._shrink(groups)

    def invalidate(self, groups: Collection[str]) -> str:
        with self._lock:
            kept = self._opened()
            for name in groups:
                group = kept.pop(name, None)
                if group is not None:
                    self._bytes -= group.size + sum(entry.size for entry in group.entries.values())
            return self._identity

    def _opened(self) -> OrderedDict[str, _Group]:
        if self._groups is None:
            raise CacheUnavailable("The cache is not open.")
        return self._groups

    def _drop(self, group: _Group, key: str) -> None:
        self._bytes -= group.entries.pop(key).size

    def _shrink(self, groups: OrderedDict[str, _Group]) -> None:
        """Forget the oldest entries of the oldest groups, and groups without any, until the rest fits."""
        while self._bytes > self._max_bytes and groups:
            name, group = next(iter(groups.items()))
            if group.entries:
                self._drop(group, next(iter(group.entries)))
            else:
                self._bytes -= group.size
                del groups[name]
