"""A process of its own that works on a storage: started by the process suite, driven by JSON on its standard input.

It is told what to do in one line: the adapter, its settings (with their secrets, which is why they are not arguments),
and a task. It prints one line when it is ready, begins when it reads a line, and prints one line for each thing that
the storage acknowledged, so that whoever kills it knows what must be there.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from songs.errors import SongsError, StorageInUse
from songs.ports.storage import Storage
from songs_contract.checks import StorageUser, rating, song, until_no_conflict
from songs_contract.contents import fill
from songs_contract.histories import record
from songs_contract.subject import Subject, end_fixtures, find
from songs_plugins import Port


def main() -> None:
    """Do what standard input says."""
    order = json.loads(sys.stdin.readline())
    spec = next(spec for spec in find(order["target"]) if spec.port is Port.STORAGE)
    subject = Subject(order["target"], spec, spec.settings.model_validate(order["settings"]))
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


def _add_songs(subject: Subject, storage: Storage, order: dict[str, Any]) -> None:
    """Add songs, some of whose identities other processes use too."""
    use = StorageUser(storage, subject)
    for n in range(order["times"]):
        each = song(f"song-{order['who']}-{n:04d}", title=f"shared {n}")
        refused = use.add_many([each])
        _say("refused" if refused else f"acknowledged {each.id}")


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


TASKS: dict[str, Callable[[Subject, Storage, dict[str, Any]], None]] = {
    "rate": _rate,
    "add_songs": _add_songs,
    "fill": _fill,
    "history": _history,
    "hold": _hold,
}

if __name__ == "__main__":
    try:
        main()
    finally:
        end_fixtures()
