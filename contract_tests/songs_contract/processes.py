"""Child processes of the kit, from the parent's side."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import IO, Any, Self

from songs_contract.subject import Subject, plain

PATIENCE_S = 60.0


@dataclass
class Child:
    """A process that has the subject's place open, or was refused it."""

    process: "subprocess.Popen[str]"
    first_line: str

    @classmethod
    def start(cls, subject: Subject, task: str, **order: Any) -> Self:  # noqa: ANN401 - JSON
        """Start a child and wait until it has opened the storage, or was refused it."""
        # What is importable here is importable there: a target may lie on a path that only this process was given.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        process = subprocess.Popen(
            [sys.executable, "-m", "songs_contract.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        child = cls(process, "")
        child._tell({"target": subject.target, "settings": plain(subject.settings), "task": task, **order})
        child.first_line = child.read_line()
        return child

    def go(self) -> None:
        """Let it begin."""
        self._input.write("go\n")
        self._input.flush()

    def read_line(self) -> str:
        """Return its next line, empty when it has ended."""
        return self._output.readline().rstrip("\n")

    def rest(self) -> list[str]:
        """Wait until it has ended and return its remaining lines."""
        out = self._output.read().splitlines()
        self.process.wait(PATIENCE_S)
        return out

    def kill(self) -> None:
        """End it with SIGKILL: it gets no chance to clean up."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def close(self) -> None:
        """Make sure that nothing is left of it."""
        if self.process.poll() is None:
            self.kill()
        self._input.close()
        self._output.close()

    def _tell(self, order: dict[str, Any]) -> None:
        self._input.write(json.dumps(order) + "\n")
        self._input.flush()

    @property
    def _input(self) -> IO[str]:
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def _output(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout
