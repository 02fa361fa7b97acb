"""Looking up a host name in bounded time."""

import socket
import threading
import time
from concurrent.futures import Future
from typing import Any, Final

MAX_ADDRESSES: Final = 4

Address = tuple[int, tuple[Any, ...]]


class Resolver:
    """Looks up one host. Thread-safe.

    The system's look-up cannot be told how long to take: it runs in a thread of its own, one at a time. While it takes
    longer than a caller has, or fails, the addresses of the last one stand.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._lock = threading.Lock()
        self._pending: Future[list[Address]] | None = None
        self._known: list[Address] = []

    def addresses(self, ends_at_s: float) -> list[Address]:
        """Return the addresses, before `ends_at_s` of `time.monotonic`.

        Raises:
            OSError: There are none, or none yet (`TimeoutError`).
        """
        with self._lock:
            pending = self._pending
            if pending is None:
                pending = self._pending = Future()
                threading.Thread(target=self._resolve, args=(pending,), daemon=True).start()
            known = self._known
        left_s = max(0.0, ends_at_s - time.monotonic())
        try:
            # With something to fall back on, half of the time is left for the connection.
            return pending.result(timeout=left_s / 2 if known else left_s)
        except OSError:
            if known:
                return known
            raise

    def _resolve(self, pending: Future[list[Address]]) -> None:
        try:
            infos = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            found: list[Address] = [(family, address) for family, _, _, _, address in infos[:MAX_ADDRESSES]]
        except (OSError, UnicodeError) as error:
            with self._lock:
                self._pending = None
            pending.set_exception(error if isinstance(error, OSError) else OSError("this is not the name of a host"))
            return
        with self._lock:
            self._pending = None
            self._known = found
        pending.set_result(found)
