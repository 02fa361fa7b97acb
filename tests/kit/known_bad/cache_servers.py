"""Caches whose server can be made to fail; all but one deal wrongly with that, or ask it too often."""

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TypeVar

from songs.errors import CacheUnavailable
from songs.ports.cache import Hit, Miss
from songs.ports.clock import Clock
from songs_memory.cache import MemoryCache
from songs_plugins import AdapterSpec

from .backends import Backend, DriverError, served_by
from .caches import MANY, SPEC

T = TypeVar("T")
FORMAT = b"v1:"


class Server(Backend):
    """Makes round trips, fails one of them, and forgets what its entries were."""

    spoilt = False

    def spoil(self) -> None:
        """Put rubbish under every key."""
        self.spoilt = True

    def ask(self, work: Callable[[], T]) -> T:
        """Make one round trip."""
        try:
            return self.do(work)
        except DriverError as error:
            raise CacheUnavailable from error


class Served(MemoryCache):
    """Asks the server once for everything."""

    def __init__(self, server: Server, clock: Clock) -> None:
        super().__init__(clock, max_bytes=MANY)
        self.server = server

    def get(self, group: str, key: str) -> Hit | Miss:
        """Return what is of our format, else a miss."""
        return self.read(group, self.server.ask(lambda: self.stored(group, key)), key)

    def stored(self, group: str, key: str) -> Hit | Miss:
        """Return what the server has."""
        found = super().get(group, key)
        return replace(found, value=b"\x00rubbish") if self.server.spoilt and isinstance(found, Hit) else found

    def read(self, group: str, found: Hit | Miss, key: str) -> Hit | Miss:
        """Return what the answer means."""
        if isinstance(found, Miss):
            return found
        if not found.value.startswith(FORMAT):
            self.server.spoilt = False
            super().invalidate([group])
            return super().get(group, key)
        return replace(found, value=found.value.removeprefix(FORMAT))

    def fill(self, group: str, key: str, value: bytes, *, lease: bytes, ttl_s: float) -> None:
        """Keep it in our format."""
        keep = super().fill
        self.server.ask(lambda: keep(group, key, FORMAT + value, lease=lease, ttl_s=ttl_s))

    def invalidate(self, groups: Collection[str]) -> str:
        """Forget all groups at once."""
        forget = super().invalidate
        return self.server.ask(lambda: forget(groups))

    def ping(self) -> str:
        """Ask whether it would."""
        ping = super().ping
        return self.server.ask(ping)


def _planted(kind: type[Served]) -> AdapterSpec:
    return served_by(Server(), SPEC, kind)


served = _planted(Served)


class _OneByOne(Served):
    def invalidate(self, groups: Collection[str]) -> str:
        """Ask for each group."""
        identity = ""
        for each in groups:
            identity = super().invalidate([each])
        return identity


groups_are_invalidated_one_by_one = _planted(_OneByOne)


class _Believes(Served):
    def read(self, group: str, found: Hit | Miss, key: str) -> Hit | Miss:
        """Unpack without looking."""
        if isinstance(found, Hit):
            return replace(found, value=found.value.split(b":", 1)[1])
        return found


rubbish_is_an_error = _planted(_Believes)


class _Rubbish(Served):
    def read(self, group: str, found: Hit | Miss, key: str) -> Hit | Miss:
        """Take whatever is there for a value."""
        return replace(found, value=found.value.removeprefix(FORMAT)) if isinstance(found, Hit) else found


rubbish_is_a_hit = _planted(_Rubbish)


class _LooksFirst(Served):
    def fill(self, group: str, key: str, value: bytes, *, lease: bytes, ttl_s: float) -> None:
        """Ask whether it is there before it is sent."""
        if isinstance(self.get(group, key), Miss):
            super().fill(group, key, value, lease=lease, ttl_s=ttl_s)


fill_looks_first = _planted(_LooksFirst)


class _GivesUp(Served):
    def get(self, group: str, key: str) -> Hit | Miss:
        """Never ask a server again that failed once."""
        if self.server.failed:
            raise CacheUnavailable
        return super().get(group, key)


server_is_given_up = _planted(_GivesUp)


class _KnowsByHeart(Served):
    def ping(self) -> str:
        """Return what the server said when it was opened."""
        return MemoryCache.ping(self)


ping_asks_nobody = _planted(_KnowsByHeart)


class _Silent(Server):
    def ask(self, work: Callable[[], T]) -> T:
        """Say nothing of the driver's error."""
        try:
            return self.do(work)
        except DriverError:
            raise CacheUnavailable from None


cause_is_lost = served_by(_Silent(), SPEC, Served)
