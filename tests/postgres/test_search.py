"""Searches: by which indexes, and for every text."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.postgres.database_user import User, folded, song

from songs.errors import InvalidInput
from songs.ports.storage import Scope
from songs.query import SongFilter
from songs_postgres.songs import Query, count_query, page_query

HOSTILE = st.text(st.sampled_from("aAbß%_\\'\"?*.[]ıİσς́日本ー한 \u200f🎵"), min_size=1, max_size=6)


@pytest.fixture
def large(user: User) -> User:
    """Thousands of songs, of which few are about zebras, with the server's statistics about them."""
    words = ("love", "night", "rain", "river", "heart", "street", "moon")
    for batch in range(5):
        numbers = range(1000 * batch, 1000 * batch + 1000)
        user.add(
            *(
                song(
                    f"n{n:05d}",
                    artist=f"Artist {n % 500}",
                    title=f"{words[n % 7]} {words[n % 5]} {n}" + " zebra" * (n % 1250 == 7),
                    level=n % 100,
                )
                for n in numbers
            )
        )
    user.sql("ANALYZE songs")
    return user


def _plan(user: User, query: Query | None) -> str:
    assert query is not None
    statement, parameters = query
    (plan,) = user.sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)

    def nodes(node: dict[str, Any]) -> list[str]:
        return [
            f"{node['Node Type']} {node.get('Index Name', '')}".strip(),
            *(each for child in node.get("Plans", ()) for each in nodes(child)),
        ]

    return json.dumps(nodes(plan[0][0]["Plan"]))


def test_plans(large: User) -> None:
    """A selective filter goes through its index; the rest walks in the order of ids, and nothing is sorted whole."""

    def page(song_filter: SongFilter) -> str:
        return _plan(large, page_query(song_filter, limit=20, after_id=None, offset=0))

    assert "songs_by_trigram" in page(SongFilter(text="zebra"))
    assert "songs_by_trigram" in _plan(large, count_query(SongFilter(text="zebra")))
    assert "songs_by_trigram" in page(SongFilter(text="zebra", level=7))
    assert "songs_by_artist" in page(SongFilter(artist="artist 7"))
    assert "songs_by_artist" in _plan(large, count_query(SongFilter(artist="artist 7")))
    assert "songs_by_level" in page(SongFilter(level=7))
    assert "songs_pkey" in page(SongFilter())
    assert "songs_pkey" in page(SongFilter(text="o"))
    for song_filter in (SongFilter(), SongFilter(level=7), SongFilter(text="o")):
        assert "Sort" not in page(song_filter)


def test_short_texts_and_long_ones(large: User) -> None:
    """One and two characters are found too, and so is a text longer than any index holds."""

    def count(text: str) -> int:
        return large.run(Scope.READ, lambda unit: unit.songs.count(SongFilter(text=text)))

    assert count("z") == count("ze") == count("zebra") == 4
    assert count("%") == count("_") == count("\\") == 0
    long = "\U0001f3b5" * 1023
    large.add(song("long", artist=f"{long}x", title=f"{long}y"))
    found = large.run(Scope.READ, lambda unit: unit.songs.find(SongFilter(artist=folded(f"{long}x")), limit=9))
    assert [each.id for each in found] == ["long"]
    assert count(long) == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(titles=st.lists(HOSTILE, min_size=1, max_size=8), text=HOSTILE)
def test_the_definition(user: User, titles: list[str], text: str) -> None:
    """What is found is what the definition of a match says, whatever the text is."""
    songs = []
    for n, title in enumerate(titles):
        try:
            songs.append(song(f"h{n}", artist="x", title=title, level=9))
        except InvalidInput:
            continue
    wanted = folded(text)
    if not wanted:
        return
    user.sql("DELETE FROM songs WHERE level = 9")
    user.sql("DELETE FROM level_totals")
    refused = user.run(Scope.WRITE_ONE, lambda unit: unit.songs.add_many(songs))
    expected = [each.id for each in songs if each.id not in refused and wanted in folded(each.title)]
    found = user.run(Scope.READ, lambda unit: unit.songs.find(SongFilter(text=wanted, level=9), limit=99))
    assert [each.id for each in found] == expected
