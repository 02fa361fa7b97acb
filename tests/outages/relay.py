"""A stretch of network between a process and a server, which can break and heal."""

import socket
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

from songs_redis.client import CALL_S

CHUNK_BYTES = 65_536


class Relay:
    """Hands bytes on between clients, by TCP, and the server at a Unix socket.

    It may be led to another server, as a name or a proxy may be: new connections go there, the others stay.

    While it is cut, connections seem to be made and nothing arrives. What was sent arrives when it is healed, also from
    clients that have hung up since: a network delivers late, and a server obeys.

    Attributes:
        waits_in_vain: How many calls were not answered within the time that a client waits.
    """

    def __init__(self, server: Path) -> None:
        self.waits_in_vain = 0
        self._server = server
        self._through = threading.Event()
        self._through.set()
        self._counting = threading.Lock()
        self._open: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"redis://127.0.0.1:{self.port}"

    def lead_to(self, server: Path) -> None:
        """Let new connections go to another server."""
        self._server = server

    def cut(self) -> None:
        """Let nothing through."""
        self._through.clear()

    def heal(self) -> None:
        """Let everything through, late as it is."""
        self._through.set()

    def close(self) -> None:
        """Hang up on everyone."""
        self.heal()
        for each in (self._listening, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.socket(socket.AF_UNIX)
                self._open += (client, server)
                try:
                    server.connect(str(self._server))
                except OSError:
                    client.close()
                    continue
                asked_s: deque[float] = deque()
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=self._hand_on, args=(one, other, asked_s), daemon=True).start()

    def _hand_on(self, one: socket.socket, other: socket.socket, asked_s: deque[float]) -> None:
        """Hand on one direction of a connection, on which a client waits for each answer before it asks again."""
        from_client = one.family == socket.AF_INET
        with suppress(OSError):
            while sent := one.recv(CHUNK_BYTES):
                if from_client:
                    asked_s.append(time.monotonic())
                self._through.wait()
                if not from_client:
                    self._note_end(asked_s, CALL_S)
                other.sendall(sent)
        self._note_end(asked_s, 0.0)
        self._through.wait()
        with suppress(OSError):
            other.shutdown(socket.SHUT_WR)

    def _note_end(self, asked_s: deque[float], longest_s: float) -> None:
        """Note that the call, if one is open, was answered, or given up: after how long it was in vain."""
        with suppress(IndexError), self._counting:
            self.waits_in_vain += time.monotonic() - asked_s.popleft() > longest_s
