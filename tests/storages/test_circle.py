"""`songs copy` from storage to storage, all around, changes nothing."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from tests.postgres.database_user import no_server

from songs.application.runner import UnitRunner
from songs.caching.coherence import Coherence
from songs.tools.comparing import RATINGS_PAGE, StorageReader, Tally
from songs.tools.copying import Copier
from songs_contract.harness.driver import Contents, contents, fill
from songs_contract.models.samples import rating, song
from songs_plugins.none import NoCache

AROUND = ("memory", "jsonfile", "sqlite", "postgres", "mongo", "sqlite")
RATINGS = RATINGS_PAGE + 9
TEXTS = ("Антонін", "君が代", "ﷺ", "q\u0301", '"%_*\\', "a" * 1024, "\u200fשלום", "𝄞 clef")


@pytest.fixture
def around(opened: Callable[[str], Any]) -> list[Any]:
    """An empty storage of each kind for which there is a server, in the order of the copies."""
    return [opened(name) for name in AROUND if name != "postgres" or not no_server()]


def _copier(source: Any, target: Any) -> Copier:
    runners = [UnitRunner(each.storage, each.clock, max_calls=2) for each in (source, target)]
    return Copier(
        StorageReader(source.name, runners[0], source.clock),
        StorageReader(target.name, runners[1], target.clock),
        runners[1],
        Coherence(NoCache(), runners[1], target.clock),
        target.clock,
        transactions=target.storage.capabilities.transactions,
    )


def _without_sessions_and_epoch(found: Contents) -> tuple[Any, ...]:
    return (found.songs, found.by_title, found.ratings, found.stats, found.totals, found.users)


@pytest.mark.timeout(600)
def test_around_the_circle(around: list[Any]) -> None:
    """Songs and their versions, ratings with ids, times and keys, users, searches and totals come back unchanged."""
    uses = [each.use for each in around]
    fill(uses[0])
    uses[0].add_many([song(f"text-{n}", title=text, artist=text[::-1]) for n, text in enumerate(TEXTS)])
    for n in range(RATINGS):
        uses[0].rate(rating(f"many-{n:03d}", song_id="text-0", value=n % 5 + 1, key=f"many-{n}" if n % 2 else None))
    before = _without_sessions_and_epoch(contents(uses[0]))

    reports = [_copier(source, target).run() for source, target in pairwise(around)]

    for name, use, report in zip(AROUND[1:], uses[1:], reports, strict=False):
        assert _without_sessions_and_epoch(contents(use)) == before, name
        assert report.verified.holds
        assert report.added == reports[0].added
        assert use.session("session-1") is None, "sessions stay behind"
    again = _copier(around[-1], around[1]).run()
    assert (again.added, again.verified.holds) == (Tally(), True)
