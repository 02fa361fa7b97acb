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
    """A server in a process of its own, in memory, on a free port of this machine; it ends with its maker."""

    def __init__(self) -> None:
        if importlib.util.find_spec(MODULE) is None:
            raise TrialServerError(
                "there is no MongoDB to test with: set SONGS_TEST_MONGO_URL, or install the package nx-27017"
            )
        # Its end of the pipe closes when this process ends, however that happens.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "songs_mongo.trial_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        port = self._process.stdout.readline().strip() if self._process.stdout else ""
        if not port:
            self.stop()
            raise TrialServerError(f"{MODULE} ended at once; run `python -m songs_mongo.trial_server` to see why")
        self.url: Final = f"mongodb://127.0.0.1:{port}/"

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
