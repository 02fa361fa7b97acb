"""Storages over a server that speaks MongoDB's protocol, and over one that answers as a test wants it to."""

import os
import secrets
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from pydantic import SecretStr
from pymongo import MongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from songs.model import Rating, Song
from songs.ports.clock import Clock, Deadline
from songs.text import FOLD_VERSION
from songs_contract.models import samples
from songs_mongo import MongoSettings, MongoStorage
from songs_mongo.client import connect
from songs_mongo.plugin import TEST_URL
from songs_mongo.testing import EphemeralServer
from songs_system.system import SystemClock

Document = dict[str, Any]
OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
HEADER = struct.Struct("<iiii")


class Silence(Exception):
    """What a scripted answer raises so that nothing is sent."""


class HangUp(Exception):
    """What a scripted answer raises so that the connection is closed."""


class ScriptedServer(socketserver.ThreadingTCPServer):
    """Speaks just enough of the protocol that the driver takes it for a replica set, or a stand-alone server.

    `answers` maps a command's name to a function of the command; commands that it lacks succeed with nothing found but
    the record that `prepare` makes.
    `seen` lists the names of the commands in the order of their arrival, without those that drivers send by themselves.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *, replicated: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.replicated = replicated
        self.ending = threading.Event()
        self.seen: list[str] = []
        self.answers: dict[str, Callable[[Document], Document]] = {}
        self.record: Document = {"_id": "schema", "version": 1, "fold": FOLD_VERSION, "identity": "these"}
        self.url = f"mongodb://127.0.0.1:{self.server_address[1]}/?retryWrites=true"

    def hello(self) -> Document:
        """Return what the server says of itself."""
        address = f"127.0.0.1:{self.server_address[1]}"
        of_set = {"setName": "rs", "hosts": [address], "me": address, "primary": address, "setVersion": 1}
        return {
            "ok": 1,
            "isWritablePrimary": True,
            "ismaster": True,
            "helloOk": True,
            "minWireVersion": 0,
            "maxWireVersion": 21,
            "maxBsonObjectSize": 16_777_216,
            "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000,
            "logicalSessionTimeoutMinutes": 30,
            **(of_set if self.replicated else {}),
        }

    def answer(self, command: Document) -> Document:
        """Return the answer to a command."""
        name = next(iter(command))
        if name.lower() in {"hello", "ismaster"}:
            return self.hello()
        if name in {"endSessions", "killCursors"} - self.answers.keys():
            return {"ok": 1}
        self.seen.append(name)
        if name in self.answers:
            return self.answers[name](command)
        if name in {"find", "aggregate", "listCollections"}:
            found = [self.record] if name == "find" and command.get("filter") == {"_id": "schema"} else []
            return {"ok": 1, "cursor": {"id": 0, "ns": f"songs.{command[name]}", "firstBatch": found}}
        return {"ok": 1, "n": 1, "nModified": 1, "value": None}


class _Connection(socketserver.BaseRequestHandler):
    """One connection."""

    def handle(self) -> None:
        """Answer until the other side ends, or an answer wants the connection to break."""
        server: Any = self.server
        while (message := self._read()) is not None:
            number, kind, command = message
            try:
                answer = server.answer(command)
                document = answer if isinstance(answer, bytes) else bson.encode(answer)
            except Silence:
                server.ending.wait(30)
                return
            except HangUp:
                return
            if kind == OP_MSG:
                body = struct.pack("<iB", 0, 0) + document
                self.request.sendall(HEADER.pack(16 + len(body), 1, number, OP_MSG) + body)
            else:
                body = struct.pack("<iqii", 8, 0, 0, 1) + document
                self.request.sendall(HEADER.pack(16 + len(body), 1, number, OP_REPLY) + body)

    def _read(self) -> tuple[int, int, Document] | None:
        try:
            header = self._exactly(HEADER.size)
            length, number, _, kind = HEADER.unpack(header)
            body = self._exactly(length - HEADER.size)
        except (OSError, EOFError):
            return None
        # OP_MSG: flags, the kind of the first section, the command; OP_QUERY: flags, a name, two numbers, the command.
        start = 5 if kind == OP_MSG else body.index(b"\0", 4) + 9
        size = struct.unpack_from("<i", body, start)[0]
        return number, kind, bson.decode(body[start : start + size])

    def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            piece = self.request.recv(size - len(found))
            if not piece:
                raise EOFError
            found += piece
        return found


class Commands(CommandListener):
    """Lists the commands that a client sends, with the collection each is for, and whole."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.whole: list[Document] = []

    def clear(self) -> None:
        """Forget those of before."""
        self.sent.clear()
        self.whole.clear()

    def started(self, event: CommandStartedEvent) -> None:
        """Note it."""
        self.sent.append(f"{event.command_name} {event.command.get(event.command_name)}")
        self.whole.append(dict(event.command))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Do nothing."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Do nothing."""


@pytest.fixture(scope="session")
def clock() -> Clock:
    """The real clock: the driver knows no other."""
    return SystemClock()


@pytest.fixture(scope="session")
def deadline(clock: Clock) -> Callable[[float], Deadline]:
    """Makes a deadline, in seconds from now."""
    return lambda seconds: Deadline.after(clock, seconds)


@pytest.fixture(scope="session")
def trial() -> Iterator[EphemeralServer]:
    """A server that stores, for all tests of the session."""
    server = EphemeralServer()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def server_url(request: pytest.FixtureRequest) -> str:
    """The deployment that SONGS_TEST_MONGO_URL names, or else a server of ours that stores."""
    return os.environ.get(TEST_URL) or str(request.getfixturevalue("trial").url)


@pytest.fixture
def commands() -> Commands:
    """What `storage` sends."""
    return Commands()


@pytest.fixture
def storage(server_url: str, clock: Clock, commands: Commands) -> Iterator[MongoStorage]:
    """An open, prepared and empty storage."""
    settings = MongoSettings(url=SecretStr(server_url), database=f"songs-{secrets.token_hex(4)}")

    def client(settings: MongoSettings, connections: int, listeners: Sequence[Any]) -> MongoClient[Document]:
        return connect(settings, connections, [*listeners, commands])

    storage = MongoStorage(settings, clock, connections=9, make_client=client)
    storage.open()
    storage.prepare()
    commands.clear()
    yield storage
    if TEST_URL in os.environ:
        assert storage._client is not None
        storage._client.drop_database(settings.database)
    storage.close()


@pytest.fixture
def scripted() -> Iterator[Callable[..., ScriptedServer]]:
    """Starts servers that answer as told; they end with the test."""
    servers: list[ScriptedServer] = []

    def start(*, replicated: bool = True) -> ScriptedServer:
        server = ScriptedServer(replicated=replicated)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.ending.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def silence() -> type[Exception]:
    """What an answer raises that never comes."""
    return Silence


@pytest.fixture
def hang_up() -> type[Exception]:
    """What an answer raises that ends the connection."""
    return HangUp


@pytest.fixture(scope="session")
def song() -> Callable[..., Song]:
    """Makes a song."""

    def make(song_id: str = "S1", *, title: str | None = None, level: int = 3) -> Song:
        return samples.song(
            song_id,
            artist="Queen",
            title=title or f"Song {song_id}",
            level=level,
        )

    return make


@pytest.fixture(scope="session")
def rating() -> Callable[..., Rating]:
    """Makes a rating of S1."""

    def make(rating_id: str, value: int = 3, *, song_id: str = "S1", key: str | None = None) -> Rating:
        at = datetime(2026, 1, 1, tzinfo=UTC)
        return Rating(id=rating_id, song_id=song_id, user_id="U1", value=value, rated_at=at, key=key)

    return make
