"""The program that `songs_mongo.trial` starts: prints its port, and serves until its standard input ends.

Its arguments are where it keeps its data ("memory": nowhere), and the port to listen on (0: a free one).

It has a command of its own, `songsFaults`, by which `songs_mongo.faults` lets it fail as a router does that cannot
reach a shard: code 6 where nothing was done, and a connection that breaks where all was.
"""

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

from nx_27017.handler import NeoSQLiteHandler  # type: ignore[import-not-found, import-untyped, unused-ignore]
from nx_27017.server import handle_client  # type: ignore[import-not-found, import-untyped, unused-ignore]

from songs_mongo.faults import FAULTS
from songs_plugins import FailingCalls

Message = dict[str, Any]
Answer = tuple[int, dict[str, Any]]

UNCOUNTED: Final = frozenset({"hello", "ismaster", "isMaster", "ping", "endSessions", "killCursors"})
"""What drivers send by themselves, or to look whether anybody is there."""


class _HangUp(BaseException):
    """A command was run, and its connection breaks: no mere error, which the library would send as an answer."""


class Handler(NeoSQLiteHandler):  # type: ignore[misc, unused-ignore]
    """Leaves `_id` out of indexes of several members, after which this server would refuse every insertion.

    And fails as it was told to.
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


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2])))
