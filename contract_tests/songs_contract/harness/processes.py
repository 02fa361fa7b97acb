"""Child processes of the kit, from both sides.

A child is told what to do in one line of JSON on its standard input: the adapter, its settings (with their secrets,
which is why they are not arguments), and a task. It prints one line when it is ready, begins when it reads a line, and
prints one line for each thing that the storage acknowledged, so that whoever kills it knows what must be there. For the
task ``ids`` it prints an id for each line that it reads.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO, Any, Self

from songs.errors import SongsError, StorageInUse, Unavailable, UserExists
from songs.ports.coherence import CoherenceRecord
from songs.ports.ids import IdGenerator
from songs.ports.sessions import Rotation
from songs.ports.storage import Storage
from songs_contract.harness.answering import answer
from songs_contract.harness.driver import StorageUser, fill, record, until_no_conflict
from songs_contract.harness.subject import Subject, end_fixtures, find, plain
from songs_contract.models.samples import READS, WRITES, rating, song, user
from songs_plugins import Port

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
            [sys.executable, "-m", "songs_contract.harness.processes"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        child = cls(process, "")
        told = {"target": subject.target, "settings": plain(subject.settings), "task": task, **order}
        child.first_line = child.ask(json.dumps(told))
        return child

    def go(self) -> None:
        """Let it begin."""
        self._say("go")

    def ask(self, line: str) -> str:
        """Send it a line and return the next one that it prints."""
        self._say(line)
        return self.read_line()

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

    def _say(self, line: str) -> None:
        self._input.write(line + "\n")
        self._input.flush()

    @property
    def _input(self) -> IO[str]:
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def _output(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout


@dataclass(frozen=True)
class Other:
    """Another process with the same cache or limiter open."""

    child: Child

    def ask(self, name: str, *arguments: Any) -> Any:  # noqa: ANN401 - JSON
        """Return what a call came to there; see `answering`."""
        return json.loads(self.child.ask(json.dumps([name, *arguments])))


@contextmanager
def another_process(subject: Subject) -> Iterator[Other]:
    """Start one that has opened the place of `subject`, and end it at the end."""
    child = Child.start(subject, subject.spec.port.value)
    try:
        yield Other(child)
    finally:
        child.close()


_PORTS = {"ids": Port.IDS, Port.CACHE.value: Port.CACHE, Port.LIMITER.value: Port.LIMITER}
"""What tasks for other ports than storages are for; the last two answer calls, see `answering`."""


def main() -> None:
    """Do what standard input says."""
    order = json.loads(sys.stdin.readline())
    port = _PORTS.get(order["task"], Port.STORAGE)
    spec = next(spec for spec in find(order["target"]) if spec.port is port)
    subject = Subject(order["target"], spec, spec.settings.model_validate(order["settings"]))
    if port is Port.IDS:
        _make_ids(subject.build())
        return
    if port is not Port.STORAGE:
        adapter = subject.open()
        _say("ready")
        answer(adapter)
        subject.close()
        return
    try:
        storage = subject.storage()
    except StorageInUse:
        _say("in use")
        return
    _say("ready")
    sys.stdin.readline()
    try:
        TASKS[order["task"]](subject, storage, order)
        _say("done")
    except SongsError as error:
        _say(f"failed {error.code}")
    finally:
        subject.close()


def _make_ids(ids: IdGenerator) -> None:
    """Make one id for each line of standard input."""
    while sys.stdin.readline():
        _say(ids.new_id())


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _rate(subject: Subject, storage: Storage, order: dict[str, Any]) -> None:
    """Rate song-1 many times, each time under a key of its own where asked for."""
    use, who = StorageUser(storage, subject), order["who"]
    for n in range(order["times"]):
        key = f"{order['key']}-{n}" if order.get("key") else None
        each = rating(f"rating-{who}-{n:05d}", value=n % 5 + 1, key=key)
        _say(f"acknowledged {until_no_conflict(partial(use.rate, each)).rating_id}")


def _fill(subject: Subject, storage: Storage, _order: dict[str, Any]) -> None:
    """Write some of everything, and wait to be killed."""
    fill(StorageUser(storage, subject))
    _say("acknowledged everything")
    time.sleep(300)


def _history(subject: Subject, storage: Storage, order: dict[str, Any]) -> None:
    """Rate and read, and say what was asked and answered when."""
    for call in record(StorageUser(storage, subject), order["who"], 0):
        _say(json.dumps([call.began, call.ended, call.operation, call.result]))


def _hold(_subject: Subject, _storage: Storage, _order: dict[str, Any]) -> None:
    """Keep the storage open until killed."""
    time.sleep(300)


def _contend(subject: Subject, storage: Storage, order: dict[str, Any]) -> None:
    """Advance the record, take names and identities, and rotate tokens, as other processes do; say what was won."""
    use, who = StorageUser(storage, subject), order["who"]
    for n in range(order["times"]):
        record = until_no_conflict(
            lambda n=n: use.write(  # type: ignore[misc]
                lambda unit: unit.coherence.advance(expected_epoch=n + 1, cache_on=True, cache=f"{who} {n}")
            )
        )
        if record == CoherenceRecord(n + 2, cache_on=True, cache=f"{who} {n}"):
            _say(f"won epoch {n}")
        try:
            until_no_conflict(partial(use.add_users, user(f"user-{who}-{n}", name=f"Name{n}")))
            _say(f"won name {n}")
        except UserExists:
            pass
        if not until_no_conflict(partial(use.add_many, [song(f"song-{who}-{n:04d}", title=f"shared {n}")])):
            _say(f"won song {n}")
        if (
            until_no_conflict(partial(use.rotate, "hash-1", f"next {who}", session_id=f"session-{n}"))
            is Rotation.ROTATED
        ):
            _say(f"won token {n}")


def _follow(subject: Subject, storage: Storage, _order: dict[str, Any]) -> None:
    """Write and look as standard input says: the name of a write, or "look"."""
    use = StorageUser(storage, subject)
    for line in sys.stdin:
        if line == "look\n":
            _say(json.dumps(look(use)))
            continue
        try:
            use.write(WRITES[line.rstrip("\n")])
        except Unavailable as error:
            _say(f"{type(error).__name__}: {error.detail}")
        except SongsError:
            _say("refused")
        else:
            _say("written")


def look(use: StorageUser) -> dict[str, str]:
    """Return what every method answers that reads, in one unit."""
    return use.read(lambda unit: {name: repr(read(unit)) for name, read in READS.items()})


TASKS: dict[str, Callable[[Subject, Storage, dict[str, Any]], None]] = {
    "rate": _rate,
    "fill": _fill,
    "contend": _contend,
    "follow": _follow,
    "history": _history,
    "hold": _hold,
}

if __name__ == "__main__":
    try:
        main()
    finally:
        end_fixtures()
