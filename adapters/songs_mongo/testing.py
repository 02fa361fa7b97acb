"""For the contract kit: a server of one's own, damaged data and failing commands.

The server is nx-27017, which speaks MongoDB's protocol over SQLite. It is good for what single commands do, and no
evidence for transactions, replication, plans of queries or durability.

This module is also the program that serves: it prints its port, and serves until its standard input ends. Its arguments
are where it keeps its data ("memory": nowhere), and the port to listen on (0: a free one). It has a command of its own,
`songsFaults`, with which it fails as a router does that cannot reach a shard: code 6 where nothing was done, and a
connection that breaks where all was.
"""

import asyncio
import atexit
import importlib.util
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any, Final, Literal

from nx_27017.handler import NeoSQLiteHandler  # type: ignore[import-not-found, import-untyped, unused-ignore]
from nx_27017.server import handle_client  # type: ignore[import-not-found, import-untyped, unused-ignore]
from pymongo.database import Database

from songs_mongo.client import Client, MongoSettings, connect
from songs_mongo.migrations import bring_up_to_date, create_indexes, shard
from songs_mongo.schema import META, SCHEMA, SONGS, Document
from songs_plugins import FailingCalls

_PLAIN: Final[Document] = {"artist_fold": "Beyoncé", "artist_key": "none", "grams": ["B"]}


def _count_too_much(database: Database[Document]) -> None:
    database[SONGS].update_one({"_id": "song-1"}, {"$inc": {"n1": 1, "n5": -1}})


def _count_nothing(database: Database[Document]) -> None:
    for song in database[SONGS].find({}, {"_id": 1}):
        database[SONGS].update_one(song, {"$set": dict.fromkeys(("n1", "n2", "n3", "n4", "n5"), 0)})


def _fold_a_song(database: Database[Document]) -> None:
    database[SONGS].update_one({"_id": "song-1"}, {"$set": _PLAIN})


def _fold_otherwise(database: Database[Document]) -> None:
    _fold_a_song(database)
    database[META].update_one({"_id": SCHEMA}, {"$set": {"fold": "1/1.1.0"}})


def _damaging(damage: Callable[[Database[Document]], None]) -> Callable[[Any], None]:
    return lambda storage: damage(storage.database)


DAMAGES: Final = {
    "a song's statistics count too much": _damaging(_count_too_much),
    "all statistics are zero": _damaging(_count_nothing),
    "folds of a song": _damaging(_fold_a_song),
    "folds": _damaging(_fold_otherwise),
}


@contextmanager
def dropped(client: Client, name: str) -> Iterator[Database[Document]]:
    """Have a database dropped for the length of the block; then it is as it was, whatever was written to it."""
    database: Database[Document] = client.get_database(name)
    contents = {each: list(database[each].find()) for each in database.list_collection_names()}
    client.drop_database(name)
    try:
        yield database
    finally:
        client.drop_database(name)
        shard(client, name)
        create_indexes(database)
        # The record of the identity last: a storage that finds it relies on everything else.
        for each in sorted(contents, key=lambda name: name == META):
            if contents[each]:
                database[each].insert_many(contents[each])


def losses(
    make_client: Callable[[MongoSettings], AbstractContextManager[Client]],
) -> dict[str, Callable[[Any], AbstractContextManager[None]]]:
    """Return ways to take the data away, with clients made by `make_client`."""

    @contextmanager
    def gone(settings: MongoSettings) -> Iterator[None]:
        with make_client(settings) as client, dropped(client, settings.database):
            yield

    @contextmanager
    def replaced(settings: MongoSettings) -> Iterator[None]:
        with make_client(settings) as client, dropped(client, settings.database) as database:
            bring_up_to_date(database)
            yield

    return {"the database": gone, "the database, for another one": replaced}


LOSSES: Final = losses(lambda settings: connect(settings, 1))


Message = dict[str, Any]
Answer = tuple[int, dict[str, Any]]

FAULTS: Final = "songsFaults"
"""The command that makes the server fail."""
UNCOUNTED: Final = frozenset({"hello", "ismaster", "isMaster", "ping", "endSessions", "killCursors"})
"""Commands that drivers send by themselves, or to look whether anybody is there."""


class _HangUp(BaseException):
    """A command was run, and its connection breaks: no mere error, which the library would send as an answer."""


class Handler(NeoSQLiteHandler):  # type: ignore[misc, unused-ignore]
    """Leaves `_id` out of indexes of several members, after which this server would refuse every insertion.

    And fails as it was asked to.
    """

    def __init__(self, data_dir: str) -> None:
        super().__init__(data_dir=data_dir)
        self._turn = threading.Lock()
        self._faults = FailingCalls(RuntimeError)

    def handle_insert(self, message: Message) -> Answer:
        """Handle one insertion."""
        return self._counted(message, super().handle_insert)

    def handle_command(self, message: Message) -> Answer:
        """Handle one command."""
        body = _body(message)
        if FAULTS in body:
            return message["request_id"], self._told(body[FAULTS])
        for index in body.get("indexes", ()) if "createIndexes" in body else ():
            index["key"] = {name: way for name, way in index["key"].items() if name != "_id"}
        return self._counted(message, super().handle_command)

    def _counted(self, message: Message, handle: Callable[[Message], Answer]) -> Answer:
        if UNCOUNTED & _body(message).keys():
            return handle(message)
        with self._turn:
            fails = self._faults.next_call()
        if fails == "before":
            return message["request_id"], {"ok": 0, "code": 6, "codeName": "HostUnreachable", "errmsg": "planted"}
        answer = handle(message)
        if fails == "after":
            raise _HangUp
        return answer

    def _told(self, order: Message) -> Message:
        with self._turn:
            if "call" in order:
                fail = self._faults.fail_from if order["lasting"] else self._faults.fail_at
                fail(order["call"], when=order["when"])
            elif "heal" in order:
                self._faults.heal()
            return {"ok": 1, "calls": self._faults.calls, "failed": self._faults.failed}


def _body(message: Message) -> Message:
    return next((body for kind, body in message["sections"] if kind == "body"), {})


async def _serve(data: str, port: int) -> None:
    handler = Handler(data_dir=data)

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle_client(reader, writer, handler)
        except _HangUp:
            writer.close()

    server = await asyncio.start_server(serve_one, "127.0.0.1", port)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await ended.wait()


MODULE: Final = "nx_27017"


class EphemeralServerError(Exception):
    """There is no server to be had; the message says why and what to do."""


class EphemeralServer:
    """A server in a process of its own, on this machine; it ends with its maker.

    Args:
        data: A folder in which it keeps its data, or "memory".
        port: Where it listens; 0: on a free port.
    """

    def __init__(self, data: str = "memory", port: int = 0) -> None:
        if importlib.util.find_spec(MODULE) is None:
            raise EphemeralServerError(
                "there is no MongoDB to test with: set SONGS_TEST_MONGO_URL, or install the package nx-27017"
            )
        # Its end of the pipe closes when this process ends, however that happens.
        self._process = subprocess.Popen(  # noqa: S603 - our own program and arguments
            [sys.executable, "-m", "songs_mongo.testing", data, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        said = self._process.stdout.readline().strip() if self._process.stdout else ""
        if not said:
            self.stop()
            raise EphemeralServerError(
                f"{MODULE} ended at once; run `python -m songs_mongo.testing {data} {port}` to see why"
            )
        self.port: Final = int(said)
        self.url: Final = f"mongodb://127.0.0.1:{said}/"

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


@cache
def shared_ephemeral_server() -> EphemeralServer:
    """Return the server of this process, started when it is first asked for.

    Raises:
        EphemeralServerError: The package is not installed, or does not start.
    """
    server = EphemeralServer()
    atexit.register(server.stop)
    return server


class FailingCommands:
    """Lets commands of a trial server fail: a `LastingFaultInjector`. Those that drivers send by themselves do not."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def failed(self) -> bool:
        """Whether a command has failed since `fail_at` or `fail_from`."""
        return bool(self._tell()["failed"])

    @property
    def calls(self) -> int:
        """How many commands came since then."""
        return int(self._tell()["calls"])

    def fail_at(self, call: int, *, when: Literal["before", "after"]) -> None:
        """Let one command fail."""
        self._tell(call=call, when=when, lasting=False)

    def fail_from(self, call: int, *, when: Literal["before", "after"]) -> None:
        """Let one command fail, and all after it."""
        self._tell(call=call, when=when, lasting=True)

    def heal(self) -> None:
        """Let none fail, without forgetting what came."""
        self._tell(heal=True)

    def _tell(self, **order: Any) -> dict[str, Any]:  # noqa: ANN401 - what the server takes
        return self._client.admin.command({FAULTS: order})


@contextmanager
def faults(settings: MongoSettings) -> Iterator[FailingCommands]:
    """Yield what lets commands of the trial server of these settings fail."""
    with connect(settings, 1) as client:
        failing = FailingCommands(client)
        try:
            yield failing
        finally:
            failing.heal()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2])))
