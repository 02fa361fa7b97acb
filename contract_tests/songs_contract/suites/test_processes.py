"""Processes: several at once, one at a time, and killed."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from songs.errors import StorageInUse
from songs.model import RatingStats
from songs.ports.storage import Storage
from songs_contract.harness.driver import StorageUser, add_session, contents, fill, until_no_conflict
from songs_contract.harness.processes import Child, look
from songs_contract.harness.subject import Subject, place
from songs_contract.law import builds_on, clause, requires
from songs_contract.models.samples import FILLING, WRITES, rating, session, song
from songs_plugins import Port

PORT = Port.STORAGE

Starter = Callable[..., Child]

CONTESTS = 30


@pytest.fixture
def start(subject: Subject) -> Iterator[Starter]:
    """Return a function that starts children; none of them outlives the test."""
    children: list[Child] = []

    def starter(task: str, **order: Any) -> Child:  # noqa: ANN401 - JSON
        child = Child.start(subject, task, **order)
        children.append(child)
        return child

    yield starter
    for child in children:
        child.close()


def acknowledged(lines: list[str]) -> list[str]:
    """Return the ids that a child was told are stored."""
    return [line.removeprefix("acknowledged ") for line in lines if line.startswith("acknowledged ")]


@clause("RAT-7", "STO-10")
@requires("shared")
def test_ratings_from_processes(use: StorageUser, start: Starter) -> None:
    """Ratings of one song from several processes are all counted, each once."""
    use.add_songs(song())
    children = [start("rate", who=n, times=60) for n in range(3)]
    for child in children:
        child.go()
    acknowledged_ids = [each for child in children for each in acknowledged(child.rest())]
    assert len(acknowledged_ids) == 180
    assert sorted(event.id for event in use.events()) == sorted(acknowledged_ids)
    assert use.stats() == RatingStats.of(event.value for event in use.events())


@clause("RAT-4")
@requires("shared")
def test_keys_from_processes(use: StorageUser, start: Starter) -> None:
    """When processes use the same keys at the same time, each key stores one rating, and all are told which."""
    use.add_songs(song())
    children = [start("rate", who=n, times=30, key="key") for n in range(3)]
    for child in children:
        child.go()
    acknowledged_ids = [acknowledged(child.rest()) for child in children]
    assert acknowledged_ids[0] == acknowledged_ids[1] == acknowledged_ids[2]
    assert sorted(event.id for event in use.events()) == sorted(acknowledged_ids[0])
    assert len(acknowledged_ids[0]) == 30


@clause("COH-2", "USR-2", "SES-2", "SNG-3", "STO-12")
@requires("shared")
@builds_on("SNG-12")
def test_what_one_process_wins(use: StorageUser, start: Starter) -> None:
    """Of processes that want one epoch, name, token or identity of a song at the same time, one gets it."""
    use.write_each([partial(add_session, session(f"session-{n}")) for n in range(CONTESTS)])
    children = [start("contend", who=n, times=CONTESTS) for n in range(3)]
    for child in children:
        child.go()
    lines = [line for child in children for line in child.rest()]
    assert lines.count("done") == len(children), lines
    won = Counter(line for line in lines if line != "done")
    wanted = Counter(f"won {what} {n}" for what in ("epoch", "name", "token", "song") for n in range(CONTESTS))
    assert (won - wanted, wanted - won) == (Counter(), Counter()), "won more than once, and not at all"
    assert use.read(lambda unit: unit.coherence.read()).epoch == CONTESTS + 1
    assert (len(use.find()), use.count(), len(use.users())) == (CONTESTS,) * 3


TELLING: Final = {
    *("songs.add", "songs.replace", "ratings.add without a key", "users.add", "users.replace", "users.delete"),
    *("sessions.rotate, a used token", "coherence.advance"),
}
"""Those of `WRITES` that change what is read, deletions coming last."""


@clause("STO-10")
@requires("shared")
@builds_on("SNG-11", "BAT-1")
def test_what_another_process_wrote_is_seen_at_once(use: StorageUser, start: Starter) -> None:
    """Whatever this process has read just before, by every method, shows what another one has written since."""
    for work in FILLING:
        use.write(work)
    child = start("follow")
    child.go()
    changed: set[str] = set()
    # What is deleted cannot be rated any more.
    for name in sorted(WRITES, key=lambda each: "delete" in each):
        before = look(use)
        assert child.ask(name) in {"written", "refused"}
        seen = look(use)
        changed |= {name} if seen != before else set()
        told: dict[str, str] = json.loads(child.ask("look"))
        assert {read: seen[read] for read in seen if seen[read] != told[read]} == {}, f"after {name}"
    assert changed >= TELLING, "these writes change what is read"


@clause("STO-11")
@requires("durable")
def test_killed_while_writing(
    storage: Storage, use: StorageUser, subject: Subject, start: Starter, rounds: int
) -> None:
    """After kill -9 everything acknowledged is there once, and what was on its way is kept whole or not at all.

    It may be kept a moment later, by a server that goes on with what it was sent, and is settled by sending it again.
    """
    use.add_songs(song())
    acknowledged_ids: set[str] = set()
    for r in range(rounds):
        if not subject.declares("shared"):
            storage.close()
        child = start("rate", who=r, times=100_000, key=f"key-{r}")
        assert child.first_line == "ready"
        child.go()
        lines = [child.read_line() for _ in range(7 * (r + 1))]
        child.kill()
        acknowledged_now = acknowledged(lines + child.rest())
        acknowledged_ids.update(acknowledged_now)
        n = len(acknowledged_now)
        on_its_way = rating(f"rating-{r}-{n:05d}", value=n % 5 + 1, key=f"key-{r}-{n}")
        if not subject.declares("shared"):
            storage.open()
            storage.prepare()
        stored = [event.id for event in use.events()]
        assert acknowledged_ids <= set(stored), "an acknowledged rating is lost"
        assert set(stored) <= acknowledged_ids | {on_its_way.id}, "more was stored than the one that was on its way"
        assert until_no_conflict(partial(use.rate, on_its_way)).rating_id == on_its_way.id
        acknowledged_ids.add(on_its_way.id)
        assert sorted(event.id for event in use.events()) == sorted(acknowledged_ids)
        assert use.stats() == RatingStats.of(event.value for event in use.events())


@clause("STO-11")
@requires("durable")
def test_killed_after_writing_everything(
    storage: Storage, use: StorageUser, subject: Subject, start: Starter, tmp_path: Path
) -> None:
    """After kill -9 songs, ratings, keys, users, sessions, deletions and coherence are as they were acknowledged."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with place(subject.target, subject.spec, elsewhere) as other:
        undisturbed = StorageUser(other.storage(), other)
        fill(undisturbed)
        expected = contents(undisturbed)
    if not subject.declares("shared"):
        storage.close()
    child = start("fill")
    child.go()
    assert child.read_line() == "acknowledged everything"
    child.kill()
    if not subject.declares("shared"):
        storage.open()
        storage.prepare()
    assert contents(use) == expected
    assert use.rate(rating("another", song_id="song-2", value=2, key="key-1")).rating_id == "rating-01"


@clause("STO-12")
@requires("durable", "not shared")
def test_a_second_opener(storage: Storage, use: StorageUser, subject: Subject, start: Starter) -> None:
    """While one process has the storage open another is refused soon; when the first was killed it is not."""
    use.add_songs(song())
    assert start("hold").first_line == "in use"
    storage.close()
    holder = start("hold")
    assert holder.first_line == "ready"
    began_s = time.monotonic()
    with pytest.raises(StorageInUse):
        storage.open()
    assert time.monotonic() - began_s < 2.0, "the refusal took too long"
    holder.kill()
    storage.open()
    storage.prepare()
    assert use.song() == song()


@clause("STO-12")
@requires("durable", "not shared")
def test_a_second_opener_in_this_process(storage: Storage, use: StorageUser, subject: Subject) -> None:
    """Another object of the same process is refused as another process is, and welcome when the first was closed."""
    use.add_songs(song())
    other: Storage = subject.build()
    with pytest.raises(StorageInUse):
        other.open()
    assert use.song() == song()
    storage.close()
    other.open()
    other.prepare()
    assert use.on(other).song() == song()
