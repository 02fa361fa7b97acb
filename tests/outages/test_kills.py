"""A service whose processes are all killed at random moments keeps what it acknowledged, once each."""

import random
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tests.outages.disk import SmallDisk
from tests.outages.service import METRICS_TOKEN, Client, Service
from tests.outages.storages import KINDS, KINDS_IN_A_FOLDER, SQLITE, Kind
from tests.outages.writers import Distributions, Writer, acknowledged, stored, writing

pytestmark = pytest.mark.server

WRITERS = 3
MANY_WRITERS = 16
"""Enough for units that wait for each other, and share a commit where a storage has them do so."""
REPEATED = 20
MANY = 50
DISK_MIB = 64


def _wait_for(writers: list[Writer], more: int) -> None:
    """Return when so many more ratings have been acknowledged, or when one was refused."""
    goal = sum(len(writer.acknowledged) for writer in writers) + more
    while sum(len(writer.acknowledged) for writer in writers) < goal and not any(each.refused for each in writers):
        time.sleep(0.002)


def _kill_and_restart(service: Service, writers: list[Writer]) -> None:
    _wait_for(writers, random.randint(1, 40))
    time.sleep(random.uniform(0, 0.02))
    service.kill()
    if random.random() < 0.2:
        service.start()
        time.sleep(random.uniform(0, 1))
        service.kill()
    service.start().wait_until_it_answers()


@pytest.mark.parametrize(
    ("kind", "kills"),
    [
        pytest.param(SQLITE, 5, id="sqlite-5"),
        *(
            pytest.param(kind, MANY, id=f"{kind.name}-{MANY}", marks=[pytest.mark.thorough, pytest.mark.timeout(1800)])
            for kind in KINDS
        ),
    ],
)
def test_ratings_are_stored_once_each(
    kind: Kind, kills: int, tmp_path: Path, new_service: Callable[..., Service], add_songs: Callable[..., list[str]]
) -> None:
    """Counts and distributions are those of the acknowledged ratings, and repeating some changes nothing."""
    with kind.variables(tmp_path) as variables:
        service = new_service({**variables, "SONGS_STORAGE": kind.name, "SONGS_WORKERS": str(kind.workers)})
        service.add_user("ada", "editor")
        service.start().wait_until_it_answers()
        connect = partial(service.connect, service.signed_in("ada"))
        songs = add_songs(connect(), 3)

        with writing(connect, songs, MANY_WRITERS if kills == MANY else WRITERS) as writers:
            for _ in range(kills):
                _kill_and_restart(service, writers)
            _wait_for(writers, 20)

        _assert_stored_once_each(service, connect(), songs, writers)


@pytest.mark.thorough
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", KINDS_IN_A_FOLDER, ids=lambda kind: f"{kind.name}-{MANY}")
def test_ratings_are_stored_once_each_on_a_disk_that_fills_up(
    kind: Kind, new_service: Callable[..., Service], add_songs: Callable[..., list[str]]
) -> None:
    """The same with the disk of data and metrics full at every other kill: reads go on, and writes afterwards."""
    with SmallDisk.mounted(DISK_MIB) as disk, kind.variables(disk.folder) as variables:
        metrics = disk.folder / "metrics"
        metrics.mkdir()
        variables |= {"SONGS_METRICS_TOKEN": METRICS_TOKEN, "PROMETHEUS_MULTIPROC_DIR": str(metrics)}
        service = new_service({**variables, "SONGS_STORAGE": kind.name, "SONGS_WORKERS": str(kind.workers)})
        service.add_user("ada", "editor")
        service.start().wait_until_it_answers()
        connect = partial(service.connect, service.signed_in("ada"))
        songs = add_songs(connect(), 3)

        with writing(connect, songs, WRITERS) as writers:
            for number in range(MANY):
                if number % 2:
                    _kill_and_restart(service, writers)
                    continue
                _wait_for(writers, random.randint(1, 40))
                with disk.full():
                    with disk.fought_over():
                        time.sleep(random.uniform(0, 0.2))
                        _assert_reads_go_on(connect(), songs, writers)
                        service.kill()
                    service.start().wait_until_it_answers()
                    _assert_reads_go_on(connect(), songs, writers)
            _wait_for(writers, 20)

        codes = sum((writer.codes for writer in writers), Counter[str]())
        print(f"{kind.name}: refused {dict(codes)}")  # noqa: T201 - for -rP
        assert codes["storage_unavailable"] > 0, "the disk was never full"
        _assert_stored_once_each(service, connect(), songs, writers)


def _assert_reads_go_on(client: Client, songs: list[str], writers: list[Writer]) -> None:
    """Whatever was acknowledged before is there, and no more than the writers may have sent since."""
    before = acknowledged(writers)
    found = stored(client, songs)
    after = acknowledged(writers)
    for song in songs:
        assert before.get(song, Counter()) <= found.get(song, Counter())
    assert _total(found) <= _total(after) + len(writers)
    assert client.ask("GET", "/health/ready").status == 200


def _assert_stored_once_each(service: Service, client: Client, songs: list[str], writers: list[Writer]) -> None:
    given = acknowledged(writers)
    assert stored(client, songs) == given
    replayed = sum(writer.replayed for writer in writers)
    print(f"{_total(given)} ratings, {replayed} stored by a request that was not answered")  # noqa: T201 - for -rP
    for writer in writers:
        writer.repeat(REPEATED)
    assert stored(client, songs) == given
    service.stop()
    service.songs("doctor")


def _total(distributions: Distributions) -> int:
    return sum(counts.total() for counts in distributions.values())
