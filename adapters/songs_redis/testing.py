"""For tests: a redis-server of one's own, and faults between it and its clients."""

import itertools
import select
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal

from redis import Redis

from songs_redis.client import RedisSettings

PROGRAM: Final = "redis-server"


class ServerNotStartedError(Exception):
    """There is no server; the message says why and what to do."""


class PrivateServer:
    """A server process of one's own, on a socket that nobody else knows.

    Args:
        folder: Where it keeps its snapshot, ``dump.rdb``, which it writes only when asked to.
        options: More of its command line.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self._options = options
        # A path of a socket may have some hundred characters: a test's own folder is often too deep.
        self._short = Path(tempfile.mkdtemp(prefix="songs-redis-"))
        self.socket = self._short / "socket"
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        """The running process."""
        if self._process is None:
            raise ServerNotStartedError("the server is not running")
        return self._process.pid

    def start(self) -> None:
        """Start it, and return when it answers; with what the snapshot in its folder holds, if there is one.

        Raises:
            ServerNotStartedError: There is no such program, or it ended at once.
        """
        program = shutil.which(PROGRAM)
        if program is None:
            msg = f"there is no program {PROGRAM!r} on the PATH; Debian's package of that name has it"
            raise ServerNotStartedError(msg)
        command = [program, "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder), "--save", ""]
        self._process = subprocess.Popen(  # noqa: S603 - a program of the PATH, with our own arguments
            [*command, *self._options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        if self._process.stdout is None:
            raise ServerNotStartedError("the server has no output to read")
        said = []
        for line in self._process.stdout:
            if "ready to accept connections" in line.lower():
                return
            said.append(line)
        self.kill()
        msg = f"{PROGRAM} ended at once: {' '.join(''.join(said[-4:]).split())}"
        raise ServerNotStartedError(msg)

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None

    def remove(self) -> None:
        """End it, and remove its socket."""
        self.kill()
        shutil.rmtree(self._short, ignore_errors=True)


_SCHEME: Final = "unix://"
_PIECE: Final = 1 << 16

_RUBBISH: Final[tuple[Callable[[Any, bytes], object], ...]] = (
    lambda server, key: server.set(key, b"rubbish"),
    lambda server, key: server.rpush(key, b"rubbish"),
    lambda server, key: server.set(key, b""),
    lambda server, key: server.set(key, b"\x00" * 60),
)


class FailingServer:
    """Takes the place of a server's socket, and counts round trips: what a client sends until it is answered."""

    def __init__(self, path: Path, prefix: str) -> None:
        self.failed = False
        self._prefix = prefix
        self._left = 0
        self._when: Literal["before", "after"] = "before"
        self._path = path
        self._moved = path.with_name(f"{path.name}.server")
        self._rubbish = itertools.cycle(_RUBBISH)
        self._serving: list[tuple[socket.socket, threading.Thread]] = []
        path.rename(self._moved)
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(str(path))
        self._listening.listen()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()
        # What was connected before would go by another way.
        self._ask(lambda server: server.client_kill_filter(_type="normal", skipme=True))

    def fail_at(self, call: int, *, when: Literal["before", "after"]) -> None:
        """Hang up at the round trip number `call` from now on: before the server is asked, or when it has answered."""
        self._left, self._when, self.failed = call, when, False

    def heal(self) -> None:
        """Hang up, and refuse, no more."""
        self._left = 0
        self._ask(lambda server: server.execute_command("ACL", "SETUSER", "default", "allkeys"))

    def refuse_entries(self) -> None:
        """Let the server refuse all keys but the limiter's."""
        keys = f"~{self._prefix}:w:*"
        self._ask(lambda server: server.execute_command("ACL", "SETUSER", "default", "resetkeys", keys))

    def spoil(self) -> None:
        """Put rubbish under every key, of another kind each time."""
        put = next(self._rubbish)

        def replace_all(server: Any) -> None:  # noqa: ANN401 - the driver's commands are not typed
            for key in list(server.scan_iter()):
                server.delete(key)
                put(server, key)

        self._ask(replace_all)

    def close(self) -> None:
        """Give the server its socket back."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._accepting.join()
        for client, thread in self._serving:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            thread.join()
        self._moved.rename(self._path)

    def _ask(self, work: Callable[[Any], object]) -> None:
        with Redis(unix_socket_path=str(self._moved)) as server:
            work(server)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                self._serving.append((client, thread))
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
            server.connect(str(self._moved))
            asked = fails = False
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    piece = ready.recv(_PIECE)
                    if not piece:
                        return
                    if ready is client and not asked:
                        self._left -= 1
                        asked, fails = True, self._left == 0
                    if fails and (self._when == "before") is (ready is client):
                        self.failed = True
                        return
                    if ready is client:
                        server.sendall(piece)
                    else:
                        asked = False
                        client.sendall(piece)


@contextmanager
def faults(settings: RedisSettings) -> Iterator[FailingServer]:
    """Yield what lets the private server of these settings fail.

    Raises:
        ValueError: It is not a server with a socket of its own, as a sandbox has.
    """
    url = settings.url.get_secret_value()
    if not url.startswith(_SCHEME):
        raise ValueError("faults can be planted where the server listens on a socket in the file system only")
    found = FailingServer(Path(url.removeprefix(_SCHEME)), settings.prefix)
    try:
        yield found
    finally:
        found.close()
