"""A program at a terminal: a pseudo-terminal whose foreground process group is the program's."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import time
from pathlib import Path
from typing import Final

INTERRUPT: Final = b"\x03"
QUIT: Final = b"\x1c"
PATIENCE_S: Final = 60.0


class Terminal:
    """Runs one program, reads what it prints, and presses keys.

    Args:
        command: The program and its arguments.
        folder: Where it runs.
        variables: Its environment.
        port: Where it listens.
    """

    def __init__(self, command: list[str], folder: Path, variables: dict[str, str], port: int) -> None:
        self.port = port
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=variables,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - the library takes no terminal
        )
        os.close(slave)
        self._screen = b""

    @property
    def screen(self) -> str:
        """Everything that was printed and read so far."""
        return self._screen.decode(errors="replace")

    def press(self, key: bytes) -> None:
        """Press a key; the terminal makes a signal of it, for every process of the foreground group."""
        os.write(self._master, key)

    def read_until(self, text: str, within_s: float = PATIENCE_S) -> None:
        """Read what is printed until `text` is among it; fail when the program ends without it."""
        ends_s = time.monotonic() + within_s
        while text not in self.screen:
            assert time.monotonic() < ends_s, f"{text!r} was not printed:\n{self.screen}"
            assert self._read() or self.process.poll() is None or self._read(), f"it ended:\n{self.screen}"

    def wait_until_signals_are_its_own(self) -> None:
        """Return once the interpreter's handler of SIGINT, which is there first, is gone."""
        process = Path(f"/proc/{self.process.pid}")
        ends_s = time.monotonic() + PATIENCE_S
        seen = False
        while time.monotonic() < ends_s:
            status = (process / "status").read_text().splitlines()
            (caught,) = (int(line.split()[1], 16) for line in status if "SigCgt" in line)
            handled = bool(caught & 1 << signal.SIGINT - 1)
            # Where it was there too briefly to be seen: the first library is loaded after it is gone.
            if (seen and not handled) or "pydantic_core" in (process / "maps").read_text():
                return
            seen = seen or handled
            time.sleep(0.001)

    def read_for(self, duration_s: float) -> None:
        """Read what is printed for a while."""
        ends_s = time.monotonic() + duration_s
        while time.monotonic() < ends_s:
            self._read()

    def status(self, within_s: float) -> int:
        """Return the exit status, reading what is printed meanwhile; fail when it takes longer."""
        ends_s = time.monotonic() + within_s
        while self.process.poll() is None:
            assert time.monotonic() < ends_s, f"it did not end:\n{self.screen}"
            self._read()
        while self._read():
            pass
        return self.process.returncode

    def members(self) -> list[int]:
        """Return the processes of its session that are alive."""
        alive = []
        for each in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = each.read_text().rpartition(")")[2].split()
                if fields[0] != "Z" and int(fields[3]) == self.process.pid:
                    alive.append(int(each.parent.name))
        return alive

    def hang_up(self) -> None:
        """Close the terminal, as closing its window does."""
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def end(self) -> None:
        """Kill what is left of its session, and close the terminal."""
        for pid in self.members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)
        self.hang_up()

    def _read(self) -> bool:
        if self._master < 0 or not select.select([self._master], [], [], 0.02)[0]:
            return False
        try:
            read = os.read(self._master, 65_536)
        except OSError:  # nobody holds the other end any more
            return False
        self._screen += read
        return bool(read)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # A shell starts what it runs in the background, these tests maybe, with some of them ignored, which is inherited.
    for each in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(each, signal.SIG_DFL)
