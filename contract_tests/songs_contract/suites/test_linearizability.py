"""Histories of concurrent calls are such as one caller after the other could have made."""

import json

from songs.model import RatingStats
from songs_contract.harness.driver import StorageUser, race, record, returned
from songs_contract.harness.processes import Child
from songs_contract.harness.subject import Subject
from songs_contract.law import clause, requires
from songs_contract.models.linearizability import Operation, Recorded, State, first_impossible, rate_or_read
from songs_contract.models.samples import song
from songs_plugins import Port

PORT = Port.STORAGE

THREADS = 4
PROCESSES = 2


@clause("RAT-7", "RAT-1", "RAT-4", "RAT-8", "STO-10")
def test_threads(use: StorageUser, rounds: int) -> None:
    """What ratings and reads of one song answer in threads is what they would answer one after the other."""
    use.add_songs(song())
    for r in range(rounds):
        before = use.stats()
        assert before is not None
        histories = returned(race([lambda who=who, r=r: list(record(use, who, r)) for who in range(THREADS)]))  # type: ignore[misc]
        explain(histories, before)


@clause("RAT-7", "RAT-1", "RAT-4", "RAT-8", "STO-10")
@requires("shared")
def test_processes(use: StorageUser, subject: Subject) -> None:
    """The same in processes, by the clock of the machine."""
    use.add_songs(song())
    children = [Child.start(subject, "history", who=who) for who in range(PROCESSES)]
    try:
        for child in children:
            child.go()
        told = [[line for line in child.rest() if line != "done"] for child in children]
    finally:
        for child in children:
            child.close()
    histories = [[_read(line) for line in lines if not line.startswith("failed")] for lines in told]
    failed = [line for lines in told for line in lines if line.startswith("failed")]
    assert failed == [], "a process could not rate song-1, which another storage object had stored"
    assert all(histories), "a process recorded nothing"
    explain(histories, RatingStats())


def explain(histories: list[list[Recorded[Operation]]], before: RatingStats) -> None:
    """Fail where no order of the calls explains their answers."""
    initial: State = (before.distribution, frozenset())
    first_ns = min(call.began for calls in histories for call in calls)
    impossible = first_impossible(histories, initial, rate_or_read)
    told = sorted(
        (call.began, f"{call.began - first_ns:>12} to {call.ended - first_ns:<12} caller {who} {_told(call)}")
        for who, calls in enumerate(histories)
        for call in calls
    )
    assert impossible is None, "\n".join(
        [
            f"no order of the calls explains that somebody {_told(impossible)}; all calls, in ns:",
            *(line for _, line in told),
        ]
    )


def _told(call: Recorded[Operation]) -> str:
    asked = {type(None): "read", int: f"rated {call.operation}", str: f"rated 1 under {call.operation!r}"}
    return f"{asked[type(call.operation)]} and got {call.result}"


def _read(line: str) -> Recorded[Operation]:
    began, ended, operation, result = json.loads(line)
    return Recorded(began, ended, operation, tuple(result))
