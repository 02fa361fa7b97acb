"""The catalogue, the ratings and the importer, over the memory storage."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from songs.application.catalogue import folded
from songs.application.changes import CATALOGUE, song_group
from songs.application.importing import Importer
from songs.errors import (
    BadCursor,
    DuplicateSong,
    InvalidInput,
    KeyReused,
    OutcomeUnknown,
    SongNotFound,
    UseCursor,
    VersionConflict,
)
from songs.model import SongDetails
from songs.ports.storage import Scope
from songs.query import PageNumber, SongFilter, Walk

EVERYTHING = SongFilter()


def details(title: str = "Clair de lune", **changes: Any) -> SongDetails:
    """Return valid details, with changes."""
    members: dict[str, Any] = {
        "artist": "Claude Debussy",
        "difficulty_milli": 9_000,
        "level": 9,
        "released": date(1905, 1, 1),
    }
    return SongDetails(title=title, **(members | changes))


def test_pages(stack: Any) -> None:
    """Pages are ordered by id, counted, and say where a walk would go on."""
    songs = [stack.catalogue.add(details(f"Nr. {n}"), deadline=stack.deadline()) for n in range(5)]
    first = stack.catalogue.page(EVERYTHING, PageNumber(1, 2), deadline=stack.deadline())
    assert (first.songs, first.page, first.total, first.total_pages) == (tuple(songs[:2]), 1, 5, 3)
    second = stack.catalogue.page(EVERYTHING, Walk(first.next_cursor, 2), deadline=stack.deadline())
    assert (second.songs, second.page, second.total, second.total_pages) == (tuple(songs[2:4]), None, None, None)
    last = stack.catalogue.page(EVERYTHING, Walk(second.next_cursor, 2), deadline=stack.deadline())
    assert (last.songs, last.next_cursor) == (tuple(songs[4:]), None)


def test_a_page_past_the_end_is_empty(stack: Any) -> None:
    """It is not an error, and still tells the total."""
    stack.catalogue.add(details(), deadline=stack.deadline())
    page = stack.catalogue.page(EVERYTHING, PageNumber(2, 20), deadline=stack.deadline())
    assert (page.songs, page.total, page.total_pages, page.next_cursor) == ((), 1, 1, None)


def test_a_full_last_page_has_no_next_cursor(stack: Any) -> None:
    """That nothing follows is known without asking again."""
    for n in range(2):
        stack.catalogue.add(details(f"Nr. {n}"), deadline=stack.deadline())
    assert stack.catalogue.page(EVERYTHING, PageNumber(1, 2), deadline=stack.deadline()).next_cursor is None


@pytest.mark.parametrize(("number", "size", "allowed"), [(1000, 100, True), (1001, 100, False), (100_000, 1, True)])
def test_pages_end_at_a_hundred_thousand_items(stack: Any, number: int, size: int, allowed: bool) -> None:
    """Deeper pages are refused with the way to go on: a cursor."""
    if allowed:
        assert stack.catalogue.page(EVERYTHING, PageNumber(number, size), deadline=stack.deadline()).songs == ()
    else:
        with pytest.raises(UseCursor):
            stack.catalogue.page(EVERYTHING, PageNumber(number, size), deadline=stack.deadline())


def test_a_cursor_of_another_filter(stack: Any) -> None:
    """A cursor cannot be taken to another list."""
    for n in range(2):
        stack.catalogue.add(details(f"Nr. {n}"), deadline=stack.deadline())
    cursor = stack.catalogue.page(EVERYTHING, Walk(None, 1), deadline=stack.deadline()).next_cursor
    with pytest.raises(BadCursor):
        stack.catalogue.page(SongFilter(level=9), Walk(cursor, 1), deadline=stack.deadline())


def test_change(stack: Any) -> None:
    """A change is applied to what is stored, and counted in the version."""
    song = stack.catalogue.add(details(), deadline=stack.deadline())
    changed = stack.catalogue.change(song.id, lambda d: replace(d, level=3), deadline=stack.deadline())
    assert (changed.level, changed.version) == (3, 2)
    assert stack.catalogue.get(song.id, deadline=stack.deadline()) == changed


def test_change_of_a_version_that_is_gone(stack: Any) -> None:
    """Whoever says which version they saw does not overwrite a later one."""
    song = stack.catalogue.add(details(), deadline=stack.deadline())
    stack.catalogue.change(song.id, lambda d: replace(d, level=3), deadline=stack.deadline())
    with pytest.raises(VersionConflict):
        stack.catalogue.change(song.id, lambda d: replace(d, level=4), if_version=1, deadline=stack.deadline())


def test_change_between_two_writers(stack: Any) -> None:
    """Without a version, a change that another writer overtook is made again on top of theirs."""
    song = stack.catalogue.add(details(), deadline=stack.deadline())
    seen: list[int] = []

    def edit(before: SongDetails) -> SongDetails:
        if not seen:
            stack.catalogue.change(song.id, lambda d: replace(d, difficulty_milli=1), deadline=stack.deadline())
        seen.append(before.difficulty_milli)
        return replace(before, level=2)

    changed = stack.catalogue.change(song.id, edit, deadline=stack.deadline())
    assert seen == [9_000, 1]
    assert (changed.difficulty_milli, changed.level, changed.version) == (1, 2, 3)


@pytest.mark.parametrize("mine_was_kept", [True, False])
@pytest.mark.parametrize("others", [0, 1, 2])
def test_a_change_without_an_answer_and_others_after_it(
    stack: Any, monkeypatch: pytest.MonkeyPatch, mine_was_kept: bool, others: int
) -> None:
    """Made once where it is the last; a conflict only where it was certainly not made; else its outcome is unknown."""
    song = stack.catalogue.add(details(), deadline=stack.deadline())

    def edit_by_others(_: float) -> None:
        monkeypatch.undo()
        for _ in range(others):
            stack.catalogue.change(
                song.id, lambda d: replace(d, difficulty_milli=d.difficulty_milli + 1), deadline=stack.deadline()
            )

    monkeypatch.setattr(stack.clock, "sleep", edit_by_others)
    (stack.storage.after if mine_was_kept else stack.storage.before).extend([None, OutcomeUnknown()])
    try:
        stack.catalogue.change(song.id, lambda d: replace(d, level=3), if_version=1, deadline=stack.deadline())
        outcome = "made"
    except (VersionConflict, OutcomeUnknown) as error:
        outcome = type(error).__name__

    made = "made" if others == 0 else "OutcomeUnknown"
    assert outcome == (made if mine_was_kept or others != 1 else "VersionConflict")
    now = stack.catalogue.get(song.id, deadline=stack.deadline())
    assert (now.level == 3) == (mine_was_kept or others == 0)


def test_a_second_song_with_one_identity(stack: Any) -> None:
    """Artist, title and release date make a song; adding or renaming into a second one is a conflict."""
    stack.catalogue.add(details(), deadline=stack.deadline())
    other = stack.catalogue.add(details("Rêverie"), deadline=stack.deadline())
    with pytest.raises(DuplicateSong):
        stack.catalogue.add(details(), deadline=stack.deadline())
    with pytest.raises(DuplicateSong):
        stack.catalogue.change(other.id, lambda d: replace(d, title="Clair de lune"), deadline=stack.deadline())


def test_remove(stack: Any) -> None:
    """A removed song is gone with its ratings; removing it again says so."""
    song = stack.catalogue.add(details(), deadline=stack.deadline())
    stack.catalogue.remove(song.id, deadline=stack.deadline())
    for absent in (stack.catalogue.get, stack.catalogue.remove, stack.ratings.stats):
        with pytest.raises(SongNotFound):
            absent(song.id, deadline=stack.deadline())


def test_remove_without_an_answer(stack: Any) -> None:
    """A removal that was repeated after an unknown outcome succeeds, though the song is gone by then."""
    song = stack.catalogue.add(details(), deadline=stack.deadline())
    stack.storage.after = [OutcomeUnknown()]
    stack.catalogue.remove(song.id, deadline=stack.deadline())
    with pytest.raises(SongNotFound):
        stack.catalogue.get(song.id, deadline=stack.deadline())


@pytest.mark.parametrize("song_id", ["", "a/b", "é", "x" * 65, "\x00"])
def test_what_is_no_id_is_not_found(stack: Any, song_id: str) -> None:
    """A text that is no id is the id of no song; the storage is not asked."""
    for absent in (stack.catalogue.get, stack.catalogue.remove, stack.ratings.stats):
        with pytest.raises(SongNotFound):
            absent(song_id, deadline=stack.deadline())
    with pytest.raises(SongNotFound):
        stack.ratings.rate(user_id="u", song_id=song_id, value=3, deadline=stack.deadline())
    assert stack.storage.scopes == []


def test_rating_twice_without_a_key(stack: Any) -> None:
    """Without a key every rating counts, also of one user."""
    song = stack.catalogue.add(details(), deadline=stack.deadline())
    stack.ratings.rate(user_id="u", song_id=song.id, value=3, deadline=stack.deadline())
    rated = stack.ratings.rate(user_id="u", song_id=song.id, value=3, deadline=stack.deadline())
    assert (rated.stats.distribution, rated.replayed) == ((0, 0, 2, 0, 0), False)


def test_rating_with_a_key(stack: Any) -> None:
    """With a key a repetition changes nothing, answers with the statistics of now, and says what it is."""
    song = stack.catalogue.add(details(), deadline=stack.deadline())
    give = {"song_id": song.id, "value": 3, "key": "k", "deadline": stack.deadline()}
    assert not stack.ratings.rate(user_id="u", **give).replayed
    assert not stack.ratings.rate(user_id="v", **give).replayed
    again = stack.ratings.rate(user_id="u", **give)
    assert (again.replayed, again.stats.count) == (True, 2)
    with pytest.raises(KeyReused):
        stack.ratings.rate(user_id="u", **(give | {"value": 4}))


def test_a_rating_without_an_answer_counts_once(stack: Any) -> None:
    """A rating that was repeated after an unknown outcome is one rating, and no replay."""
    song = stack.catalogue.add(details(), deadline=stack.deadline())
    stack.storage.after = [OutcomeUnknown()]
    rated = stack.ratings.rate(user_id="u", song_id=song.id, value=5, key="k", deadline=stack.deadline())
    assert (rated.stats.count, rated.replayed) == (1, False)


def test_every_request_needs_one_unit(stack: Any) -> None:
    """Each write is one WRITE_ONE unit, in which the memory storage would refuse a second write.

    After the first, and then at most twice a second, the coherence record is read.
    """
    song = stack.catalogue.add(details(), deadline=stack.deadline())
    stack.ratings.rate(user_id="u", song_id=song.id, value=5, deadline=stack.deadline())
    stack.catalogue.remove(song.id, deadline=stack.deadline())
    assert stack.storage.scopes == [Scope.WRITE_ONE, Scope.READ, *[Scope.WRITE_ONE] * 2]


@pytest.mark.parametrize("text", ["", "\u0301", "\u0300\u036f"])
def test_nothing_to_search_for(text: str) -> None:
    """A message that folds to nothing is refused, under the name of its parameter."""
    with pytest.raises(InvalidInput) as caught:
        folded("/message", text)
    assert caught.value.errors[0].pointer == "/message"


def test_too_much_to_search_for() -> None:
    """A message may grow when it is folded, but not without bound."""
    with pytest.raises(InvalidInput):
        folded("/message", "\ufdfa" * 1000)


def test_import(stack: Any) -> None:
    """New songs are added, changed ones updated, equal ones left alone; running it again changes nothing."""
    importer = Importer(stack.runner, stack.coherence, stack.ids)
    first = importer.apply([details("A"), details("B")], deadline=stack.deadline())
    assert (first.added, first.updated, first.unchanged) == (2, 0, 0)
    second = importer.apply([details("A", level=2), details("B"), details("C")], deadline=stack.deadline())
    assert (second.added, second.updated, second.unchanged) == (1, 1, 1)
    third = importer.apply([details("A", level=2), details("B"), details("C")], deadline=stack.deadline())
    assert (third.added, third.updated, third.unchanged) == (0, 0, 3)


def test_import_after_one_that_was_killed(stack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was killed between storing and telling the caches is made good for by running the import again."""
    importer = Importer(stack.runner, stack.coherence, stack.ids)
    importer.apply([details("A"), details("B")], deadline=stack.deadline())
    with monkeypatch.context() as killed:
        killed.setattr(stack.coherence, "publish_write", lambda _: None)
        importer.apply([details("A", level=2)], deadline=stack.deadline())
    told: list[str] = []
    monkeypatch.setattr(stack.coherence, "publish_write", told.extend)
    counts = importer.apply([details("A", level=2)], deadline=stack.deadline())
    (song, _) = stack.catalogue.page(EVERYTHING, PageNumber(1, 20), deadline=stack.deadline()).songs
    assert counts.unchanged == 1
    assert sorted(told) == sorted([CATALOGUE, song_group(song.id)])


def test_import_of_one_song_twice(stack: Any) -> None:
    """Of two songs with one identity the later one counts, as it would in two imports."""
    importer = Importer(stack.runner, stack.coherence, stack.ids)
    counts = importer.apply([details(level=1), details(level=2)], deadline=stack.deadline())
    page = stack.catalogue.page(EVERYTHING, PageNumber(1, 20), deadline=stack.deadline())
    assert [song.level for song in page.songs] == [2]
    assert (counts.added, counts.updated, counts.unchanged) == (1, 1, 0)


def test_import_of_a_song_that_is_removed_meanwhile(stack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A song that an editor removes between the look and the change is added again, and the import goes on."""
    importer = Importer(stack.runner, stack.coherence, stack.ids)
    importer.apply([details("A"), details("B")], deadline=stack.deadline())
    (song, _) = stack.catalogue.page(EVERYTHING, PageNumber(1, 20), deadline=stack.deadline()).songs
    removed: list[str] = []
    plan = importer._plan

    def plan_and_lose(*arguments: Any) -> Any:
        planned = plan(*arguments)
        if not removed:
            stack.catalogue.remove(song.id, deadline=stack.deadline())
            removed.append(song.id)
        return planned

    monkeypatch.setattr(importer, "_plan", plan_and_lose)
    counts = importer.apply([details("A", level=1), details("B", level=1)], deadline=stack.deadline())
    assert (counts.added, counts.updated, counts.unchanged) == (1, 1, 0)
    page = stack.catalogue.page(EVERYTHING, PageNumber(1, 20), deadline=stack.deadline())
    assert sorted((each.title, each.level) for each in page.songs) == [("A", 1), ("B", 1)]
