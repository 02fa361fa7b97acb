"""A server that speaks MongoDB's protocol, for the contract kit where no MongoDB is at hand: nx-27017, over SQLite.

Good for what single commands do. It is no evidence for transactions, replication, plans of queries or durability.
"""

import atexit
import importlib.util
import subprocess
import sys
from functools import cache
from typing import Final

MODULE: Final = "nx_27017"


class TrialServerError(Exception):
    """There is no server to be had; the message says why and what to do."""


class TrialServer:
    """A server in a process of its own, on this machine; it ends with its maker.

    Args:
        data: A folder in which it keeps its data, or "memory".
        port: Where it listens; 0: on a free port.
    """

    def __init__(self, data: str = "memory", port: int = 0) -> None:
        if importlib.util.find_spec(MODULE) is None:
            raise TrialServerError(
                "there is no MongoDB to test with: set SONGS_TEST_MONGO_URL, or install the package nx-27017"
            )
        # Its end of the pipe closes when this process ends, however that happens.
        self._process = subprocess.Popen(  # noqa: S603 - our own program and arguments
            [sys.executable, "-m", "songs_mongo.trial_server", data, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        said = self._process.stdout.readline().strip() if self._process.stdout else ""
        if not said:
            self.stop()
            raise TrialServerError(
                f"{MODULE} ended at once; run `python -m songs_mongo.trial_server {data} {port}` to see why"
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
def shared_trial_server() -> TrialServer:
    """Return the server of this process, started when it is first asked for.

    Raises:
        TrialServerError: The package is not installed, or does not start.
    """
    server = TrialServer()
    atexit.register(server.stop)
    return server
