"""A service whose processes are all killed at random moments keeps what it acknowledged, once each."""

import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tests.outages.service import Service
from tests.outages.storages import KINDS, SQLITE, Kind
from tests.outages.writers import Writer, acknowledged, stored, writing

pytestmark = pytest.mark.server

WRITERS = 3
REPEATED = 20
MANY = 50


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

        with writing(connect, songs, WRITERS) as writers:
            for _ in range(kills):
                _kill_and_restart(service, writers)
            _wait_for(writers, 20)

        given = acknowledged(writers)
        assert stored(connect(), songs) == given
        total = sum(counts.total() for counts in given.values())
        replayed = sum(writer.replayed for writer in writers)
        print(f"{kind.name}: {total} ratings, {replayed} stored by a request that was not answered")  # noqa: T201 - for -rP
        for writer in writers:
            writer.repeat(REPEATED)
        assert stored(connect(), songs) == given
        service.stop()
        service.songs("doctor")
