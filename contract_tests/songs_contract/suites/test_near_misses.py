"""Texts that are nearly the same are different ones, whatever they name."""

from collections.abc import Callable
from datetime import date
from functools import partial
from itertools import product
from typing import Final

import pytest

from songs.limits import MAX_KEY, MAX_TEXT, is_id, is_idempotency_key, text_problem, username_problem
from songs.model import Rating, Song, SongIdentity, name_key
from songs.ports.batches import BatchingUnit
from songs.ports.coherence import MAX_CACHE_CHARS
from songs.ports.sessions import MAX_HASH_CHARS, Rotation
from songs.ports.storage import UnitOfWork
from songs.query import SongFilter
from songs.text import fold
from songs_contract.harness.driver import StorageUser, add_session, add_user
from songs_contract.harness.near_misses import (
    SEPARATORS,
    alike_at_first,
    family,
    joined_alike,
    near_misses,
    other_later,
)
from songs_contract.law import builds_on, clause
from songs_contract.models.samples import EVERYTHING, LATER, MORE_THAN_THERE_IS, rating, session, song, user
from songs_plugins import Port

PORT = Port.STORAGE

MAX_ID: Final = 64
BASE: Final = "Song-1"
IDS: Final = family(BASE, MAX_ID, is_id)
NO_IDS: Final = [each for each in near_misses(BASE).values() if not is_id(each)]
"""What no record has for its id, and a careless storage takes for `BASE`."""
NEAR: Final = [BASE, *near_misses(BASE, admitted=is_id).values()]


REMOVALS: Final[dict[str, Callable[[str, UnitOfWork], object]]] = {
    "songs.delete": lambda text, unit: unit.songs.delete(text),
    "users.delete": lambda text, unit: unit.users.delete(text),
    "sessions.delete": lambda text, unit: unit.sessions.delete(text),
    "sessions.delete_of_user": lambda text, unit: unit.sessions.delete_of_user(text, limit=9),
    "sessions.rotate": lambda text, unit: _rotate(text, "hash-1", unit) is not Rotation.UNKNOWN,
}
"""What removes or changes a record by a text; each returns something true if it did."""


def visible(text: str) -> bool:
    """Return whether a text is of visible ASCII characters."""
    return text.isascii() and text.isprintable() and " " not in text and bool(text)


def differing(found: dict[str, object], expected: dict[str, object]) -> dict[str, object]:
    """Return those that are not what they should be: to be shown, of many, in a failure."""
    return {key: found.get(key) for key in expected if found.get(key) != expected[key]}


@clause("STO-23", "SNG-2", "RAT-8")
@builds_on("SNG-9")
def test_ids_of_songs(use: StorageUser) -> None:
    """Each is the id of its own song, for reading, walking and deleting; what is no id is not found."""
    use.add_many([song(each, title=f"Title {n}") for n, each in enumerate(IDS)])
    stored = {each: song(each, title=f"Title {n}") for n, each in enumerate(IDS)}

    def look(unit: UnitOfWork) -> None:
        assert differing({each: unit.songs.get(each) for each in IDS}, dict(stored)) == {}
        assert [each.id for each in unit.songs.find(EVERYTHING, limit=MORE_THAN_THERE_IS)] == sorted(IDS)
        for each in NO_IDS:
            assert (unit.songs.get(each), unit.ratings.stats(each), unit.ratings.of_song(each, limit=9)) == (
                None,
                None,
                (),
            ), f"there is something under {each!r}"
        for after in [*NEAR, *NO_IDS]:
            page = unit.songs.find(EVERYTHING, limit=3, after_id=after)
            assert [each.id for each in page] == [each for each in sorted(IDS) if each > after][:3], f"after {after!r}"
        if isinstance(unit, BatchingUnit):
            some = [*NEAR, *NO_IDS]
            assert unit.batches.songs(some) == {each: stored[each] for each in NEAR}

    use.read(look)
    assert [each for each in NO_IDS if use.delete_song(each)] == []
    assert use.delete_song(BASE)
    assert use.find() == sorted({*IDS} - {BASE})


@clause("STO-23", "RAT-9", "SNG-8")
def test_ids_of_rated_songs(use: StorageUser) -> None:
    """The ratings of a song are its own, and go with it alone, whatever songs are called nearly the same."""
    use.add_many([song(each) for each in NEAR])
    events = {each: rating(f"rating-{n:02d}", song_id=each, key=f"key-{n}") for n, each in enumerate(NEAR)}
    use.write_each([partial(_rate, event) for event in events.values()])
    assert use.read(lambda unit: {each: unit.ratings.of_song(each, limit=9) for each in NEAR}) == {
        each: (event,) for each, event in events.items()
    }
    use.delete_song(BASE)
    left = use.read(lambda unit: {each: unit.ratings.of_song(each, limit=9) for each in NEAR})
    assert left == {each: (event,) if each != BASE else () for each, event in events.items()}


@clause("STO-23", "SNG-3", "SNG-13")
@builds_on("SNG-9", "SNG-11")
def test_identities(use: StorageUser) -> None:
    """Artists and titles that are nearly the same, or the same for long, make songs of their own, found as such."""

    def admitted(text: str) -> bool:
        return text_problem(text) is None

    texts = [
        *family("Beyonc\u00e9 1", MAX_TEXT, admitted),
        *alike_at_first(MAX_TEXT, "\u00e9"),
        *alike_at_first(MAX_TEXT, "\U00020bb7"),
    ]
    joined = [two for each in SEPARATORS for pair in joined_alike(each) for two in pair if all(map(admitted, two))]
    pairs = dict.fromkeys([*(("Trad.", each) for each in texts), *((each, "Title") for each in texts), *joined])
    stored = [song(f"song-{n:04d}", artist=artist, title=title) for n, (artist, title) in enumerate(pairs)]
    folds = {each.id: (fold(each.artist), fold(each.title)) for each in stored}
    assert use.add_many(stored) == frozenset()
    alone = [song(f"alone-{n:03d}", title=each, released=date.max) for n, each in enumerate(texts)]
    use.write_each([partial(_add_song, each) for each in alone])
    folds |= {each.id: (fold(each.artist), fold(each.title)) for each in alone}
    stored += alone

    wanted = {each.identity: each for each in stored}
    found = use.read(lambda unit: unit.songs.identify(wanted))
    assert {each.id for each in found.values()} == {each.id for each in stored}
    assert found == wanted
    long = alike_at_first(MAX_TEXT)[-8:]
    for text in filter(None, map(fold, [*texts[:24], *long])):
        expected = sorted(each for each in folds if folds[each][0] == text)
        assert use.find(SongFilter(artist=text)) == expected, text[:70]
    for text in map(fold, [*texts[:8], *long, "\u00e9" * 300, "\U00020bb7" * 1023]):
        expected = sorted(each for each, (artist, title) in folds.items() if text in artist or text in title)
        assert use.find(SongFilter(text=text)) == expected, text[:70]


@clause("STO-23", "USR-2", "USR-4")
def test_ids_and_names_of_users(use: StorageUser) -> None:
    """Each name but for its case is a user's own, and so is each id; what is neither is not found."""
    base = "Ada.Ks+x@1_b-c"

    def admitted(text: str) -> bool:
        return username_problem(text) is None

    by_key = {name_key(each): each for each in reversed(family(base, 50, admitted))}
    size = max(len(by_key), len(IDS))
    names = [*by_key.values(), *(f"name-{n}" for n in range(size - len(by_key)))]
    ids = [*IDS, *(f"id-{n}" for n in range(size - len(IDS)))]
    stored = {each: user(each, name=name) for each, name in zip(ids, names, strict=True)}
    use.write_each([partial(add_user, each) for each in stored.values()])
    named = {each.name.swapcase(): each for each in stored.values()}
    strange = [each for each in near_misses(base).values() if name_key(each) not in by_key]

    def look(unit: UnitOfWork) -> None:
        assert differing({each: unit.users.get(each) for each in stored}, dict(stored)) == {}
        assert differing({each: unit.users.by_name(each) for each in named}, dict(named)) == {}
        assert {each: unit.users.by_name(each) for each in strange} == dict.fromkeys(strange)
        assert {each: unit.users.get(each) for each in NO_IDS} == dict.fromkeys(NO_IDS)
        for after in [*NEAR, *NO_IDS]:
            page = [each.id for each in unit.users.find(limit=3, after_id=after)]
            assert page == [each for each in sorted(stored) if each > after][:3], f"after {after!r}"
        if isinstance(unit, BatchingUnit):
            some = [*list(named)[:40], *strange]
            assert unit.batches.users_named(some) == {each: named[each] for each in some if each in named}
            assert unit.batches.users([*NEAR, *NO_IDS]) == {each: stored[each] for each in NEAR}

    use.read(look)
    assert [each for each in NO_IDS if use.delete_user(each)] == []


@clause("STO-23", "SES-7", "USR-6")
def test_ids_of_sessions_and_their_users(use: StorageUser) -> None:
    """Each is the id of its own session, of its own user; none goes with one that is called nearly the same."""
    use.write_each([partial(add_user, user(BASE, name="one")), partial(add_user, user("other"))])
    of_one = [session(each, user_id=BASE) for each in IDS]
    of_others = [session(f"{each}x"[-MAX_ID:], user_id=each) for each in NEAR[1:]]
    use.write_each([partial(add_session, each) for each in (*of_one, *of_others)])
    wanted = {each.id: each for each in (*of_one, *of_others)}
    assert differing(use.read(lambda unit: {each: unit.sessions.get(each) for each in wanted}), dict(wanted)) == {}
    assert use.read(lambda unit: [each for each in NO_IDS if unit.sessions.get(each) is not None]) == []
    for each in NO_IDS:
        use.write(lambda unit, each=each: unit.sessions.delete(each))  # type: ignore[misc]
        assert use.write(lambda unit, each=each: unit.sessions.delete_of_user(each, limit=9)) == 0  # type: ignore[misc]
    use.write(lambda unit: unit.sessions.delete(NEAR[1]))
    keep = BASE
    assert use.write(lambda unit: unit.sessions.delete_of_user(BASE, limit=999, keep_id=keep)) == len(of_one) - 2
    left = {each.id for each in of_others} | {keep}
    assert {each for each in wanted if use.session(each) is not None} == left
    assert use.delete_user(BASE)
    assert {each for each in wanted if use.session(each) is not None} == left - {keep}


@clause("STO-23", "SES-1", "SES-4")
def test_hashes_of_tokens(use: StorageUser) -> None:
    """A hash that is nearly the current or the previous one is neither."""
    base = "Aa0+/=.$" * 5
    hashes = [each for each in family(base, MAX_HASH_CHARS, visible) if len(each) <= MAX_HASH_CHARS]
    stored = [session(f"session-{n}", current_hash=each) for n, each in enumerate(hashes)]
    use.write_each([partial(add_session, each) for each in stored])
    assert use.read(lambda unit: [unit.sessions.get(each.id) for each in stored]) == stored
    wrong = list(near_misses(base).values())
    current = [session(f"current-{n}", current_hash=base) for n in range(len(wrong))]
    previous = [session(f"previous-{n}", current_hash="new", previous_hash=base) for n in range(len(wrong))]
    use.write_each([partial(add_session, each) for each in (*current, *previous)])
    shown = [*zip(current, wrong, strict=True), *zip(previous, wrong, strict=True)]
    rotations = use.write_each([partial(_rotate, each.id, presented) for each, presented in shown])
    taken = [presented for (_, presented), rotation in zip(shown, rotations, strict=True) if rotation.name != "REUSED"]
    assert taken == []


@clause("STO-23", "RAT-5", "RAT-9")
def test_keys_and_ids_of_ratings(use: StorageUser) -> None:
    """Each id, each user and each key makes a rating of its own, however much they resemble each other when joined."""
    songs = ["a1", "a", "a-", "A", "a_"]
    use.add_many([song(each) for each in songs])
    keys = family("Key.1", MAX_KEY, is_idempotency_key)
    events = [rating(each, song_id="a", key=key) for each, key in zip(IDS, keys, strict=False)]
    events += [rating(f"more-{n:03d}", song_id="a", key=key) for n, key in enumerate(keys[len(IDS) :])]
    joined = [two for each in SEPARATORS for pair in joined_alike(each) for two in pair]
    pairs = dict.fromkeys(
        two for two in [*joined, *product(NEAR, ["Key.1", "1"])] if is_id(two[0]) and is_idempotency_key(two[1])
    )
    events += [rating(f"pair-{n:03d}", song_id="a", user_id=owner, key=key) for n, (owner, key) in enumerate(pairs)]
    events += [
        rating("2", song_id="a1"),
        rating("12", song_id="a"),
        rating("x", song_id="a-"),
        rating("-x", song_id="a"),
    ]
    events = list({each.id: each for each in events}.values())
    receipts = use.write_each([partial(_rate, each) for each in events])
    assert [event for event, stored in zip(events, receipts, strict=True) if stored != event.id] == []
    assert use.events("a") == tuple(sorted((each for each in events if each.song_id == "a"), key=lambda each: each.id))

    def look(unit: UnitOfWork) -> None:
        of_song = sorted(each.id for each in events if each.song_id == "a")
        for after in [*NEAR, *NO_IDS]:
            page = [each.id for each in unit.ratings.of_song("a", limit=3, after_id=after)]
            assert page == [each for each in of_song if each > after][:3], f"after {after!r}"

    use.read(look)
    again = [rating(f"z-again-{n:03d}", song_id="a", key=each.key) for n, each in enumerate(events[: len(keys)])]
    receipts = use.write_each([partial(_rate, each) for each in again])
    assert receipts == [each.id for each in events[: len(keys)]]


@clause("STO-23", "COH-4")
def test_names_of_caches(use: StorageUser) -> None:
    """A name comes back with the spaces around it, and as long as it was."""
    names = family("Redis 0 ", MAX_CACHE_CHARS, lambda text: text.isascii() and text.isprintable())
    records = use.write_each([partial(_advance, epoch, name) for epoch, name in enumerate(names, start=1)])
    assert records == names
    assert use.read(lambda unit: unit.coherence.read()).cache == names[-1]


@clause("STO-23", "SNG-2", "SNG-13", "USR-4", "SES-5")
@builds_on("SNG-9")
@pytest.mark.parametrize("base", ["ask-1x", "ASK-1X"])
def test_what_is_nearly_there(use: StorageUser, base: str) -> None:
    """By a text that is nearly the one of a record nothing is found, changed or removed, whoever could have it."""
    stored = song(base, title=base), user(base, name=base), session(base, user_id=base)
    use.add_songs(stored[0])
    use.add_users(stored[1])
    use.add_sessions(stored[2])
    wrong = list(near_misses(base).values())
    names = [each for each in wrong if name_key(each) != name_key(base)]
    long = song("long", title="\u00e9x" * (MAX_TEXT // 2))
    use.add_songs(long)
    identities = [SongIdentity("Trad.", each, long.released) for each in [*wrong, *other_later(long.title)]]

    def look(unit: UnitOfWork) -> None:
        assert [each for each in wrong if unit.songs.get(each) is not None] == []
        assert [each for each in wrong if unit.ratings.stats(each) is not None] == []
        assert [each for each in wrong if unit.users.get(each) is not None] == []
        assert [each for each in wrong if unit.sessions.get(each) is not None] == []
        assert [each for each in names if unit.users.by_name(each) is not None] == []
        assert unit.songs.identify(identities) == {}

    use.read(look)
    works = {(name, each): partial(remove, each) for name, remove in REMOVALS.items() for each in wrong}
    answers = use.write_each(works.values())
    assert [work for work, answer in zip(works, answers, strict=True) if answer] == []
    assert (use.song(base), use.user(base), use.session(base)) == stored


def _rate(event: Rating, unit: UnitOfWork) -> str:
    return unit.ratings.add(event).rating_id


def _add_song(each: Song, unit: UnitOfWork) -> None:
    unit.songs.add(each)


def _rotate(session_id: str, presented: str, unit: UnitOfWork) -> Rotation:
    return unit.sessions.rotate(session_id, presented_hash=presented, next_hash="next", at=LATER, grace_s=10.0)


def _advance(epoch: int, name: str, unit: UnitOfWork) -> str:
    return unit.coherence.advance(expected_epoch=epoch, cache_on=True, cache=name).cache
