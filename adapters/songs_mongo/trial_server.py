"""The program that `songs_mongo.trial` starts: prints its port, and serves until its standard input ends.

Its arguments are where it keeps its data ("memory": nowhere), and the port to listen on (0: a free one).
"""

import asyncio
import sys
import threading
from typing import Any

from nx_27017.handler import NeoSQLiteHandler  # type: ignore[import-not-found, import-untyped, unused-ignore]
from nx_27017.server import handle_client  # type: ignore[import-not-found, import-untyped, unused-ignore]


class Handler(NeoSQLiteHandler):  # type: ignore[misc, unused-ignore]
    """Leaves `_id` out of indexes of several members, after which this server would refuse every insertion."""

    def handle_command(self, message: dict[str, Any]) -> Any:  # noqa: ANN401 - the library's
        """Handle one command."""
        for kind, body in message["sections"]:
            if kind == "body" and "createIndexes" in body:
                for index in body["indexes"]:
                    index["key"] = {name: way for name, way in index["key"].items() if name != "_id"}
        return super().handle_command(message)


async def _serve(data: str, port: int) -> None:
    handler = Handler(data_dir=data)

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await handle_client(reader, writer, handler)

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
