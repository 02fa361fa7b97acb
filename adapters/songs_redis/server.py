"""A private Redis server, for the contract kit and for tests."""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

PROGRAM: Final = "redis-server"


class ServerNotStartedError(Exception):
    """There is no server; the message says why and what to do."""


class PrivateServer:
    """A server process of one's own, on a socket that nobody else knows.

    Args:
        folder: Where it keeps its snapshot, ``dump.rdb``, which it writes only when told to.
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
