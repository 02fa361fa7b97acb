"""The reference that the state machine compares a storage with, hard texts, and counterexamples."""

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.errors import FlakyFailure

from songs.errors import DuplicateSong, KeyReused, SongNotFound, UserExists, UserNotFound, VersionConflict
from songs.limits import MAX_DIFFICULTY_MILLI, MAX_LEVEL, MAX_TEXT
from songs.model import DifficultyTotals, Rating, RatingStats, Song, User
from songs.query import SongFilter
from songs.text import fold
from songs_contract.models.samples import rating, song, user

HOSTILE = "%_*?.\\/^$|()[]{}+-'\"`;:&#@!~<>=, aAbBzZéÉßẞﬁİıΣσς君日本ガが한국שלמرحบาเป𝄞\u0301\u200d\u200f\ufeff\ufffd"


def texts(max_size: int = 24) -> st.SearchStrategy[str]:
    """Return a strategy of texts that the model admits, dense in what has a special meaning somewhere."""
    characters = st.one_of(
        st.sampled_from(HOSTILE),
        st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029"),
    )
    raw = st.text(characters, min_size=1, max_size=max_size)
    return raw.map(lambda text: unicodedata.normalize("NFC", text)).filter(lambda text: 1 <= len(text) <= MAX_TEXT)


ANY_DETAILS: Final[dict[str, st.SearchStrategy[Any]]] = {
    "artist": texts(),
    "title": texts(),
    "difficulty_milli": st.integers(0, MAX_DIFFICULTY_MILLI),
    "level": st.integers(0, MAX_LEVEL),
    "released": st.dates(),
}
"""Strategies of all that the model admits in each member of a song's details."""


@dataclass
class Reference:
    """Songs, ratings and users, in the obvious way."""

    songs: dict[str, Song] = field(default_factory=dict)
    ratings: dict[str, Rating] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)

    def copy(self) -> "Reference":
        """Return a copy that changes by itself."""
        return Reference(dict(self.songs), dict(self.ratings), dict(self.users))

    def add_song(self, song: Song) -> None:
        """Store a song."""
        stored = self.songs.get(song.id)
        if stored is not None and stored.identity == song.identity:
            return
        if stored is not None or any(s.identity == song.identity for s in self.songs.values()):
            raise DuplicateSong
        self.songs[song.id] = song

    def replace_song(self, song: Song, if_version: int) -> None:
        """Store another version of a song."""
        stored = self.songs.get(song.id)
        if stored is None:
            raise SongNotFound
        if stored == song:
            return
        if stored.version != if_version:
            raise VersionConflict
        if any(s.identity == song.identity and s.id != song.id for s in self.songs.values()):
            raise DuplicateSong
        self.songs[song.id] = song

    def delete_song(self, song_id: str) -> bool:
        """Remove a song with its ratings."""
        self.ratings = {r.id: r for r in self.ratings.values() if r.song_id != song_id}
        return self.songs.pop(song_id, None) is not None

    def add_rating(self, rating: Rating) -> str:
        """Store a rating; return the id of the one that is stored for it."""
        if rating.song_id not in self.songs:
            raise SongNotFound
        if rating.id in self.ratings:
            return rating.id
        for stored in self.ratings.values():
            if rating.key is not None and (stored.user_id, stored.key) == (rating.user_id, rating.key):
                if (stored.song_id, stored.value) != (rating.song_id, rating.value):
                    raise KeyReused
                return stored.id
        self.ratings[rating.id] = rating
        return rating.id

    def add_user(self, user: User) -> None:
        """Store a user."""
        stored = self.users.get(user.id)
        if stored is not None and stored.name_key == user.name_key:
            return
        if stored is not None or any(u.name_key == user.name_key for u in self.users.values()):
            raise UserExists
        self.users[user.id] = user

    def replace_user(self, user: User, if_version: int) -> None:
        """Store another version of a user."""
        stored = self.users.get(user.id)
        if stored is None:
            raise UserNotFound
        if stored != user and stored.version != if_version:
            raise VersionConflict
        self.users[user.id] = user

    def delete_user(self, user_id: str) -> bool:
        """Remove a user."""
        return self.users.pop(user_id, None) is not None

    def find(self, song_filter: SongFilter) -> tuple[Song, ...]:
        """Return the songs that meet a filter, in order."""
        return tuple(song for _, song in sorted(self.songs.items()) if _meets(song, song_filter))

    def stats(self, song_id: str) -> RatingStats | None:
        """Return the statistics of a song."""
        return RatingStats.of(r.value for r in self.events(song_id)) if song_id in self.songs else None

    def events(self, song_id: str) -> tuple[Rating, ...]:
        """Return the events of a song, in order."""
        return tuple(rating for _, rating in sorted(self.ratings.items()) if rating.song_id == song_id)

    def totals(self, level: int | None) -> DifficultyTotals:
        """Return the totals of a level."""
        found = self.find(SongFilter(level=level))
        return DifficultyTotals(len(found), sum(song.difficulty_milli for song in found))


def _meets(song: Song, song_filter: SongFilter) -> bool:
    artist, title = fold(song.artist), fold(song.title)
    return (
        song_filter.level in (None, song.level)
        and song_filter.artist in (None, artist)
        and (song_filter.text is None or song_filter.text in artist or song_filter.text in title)
    )


NOT_EACH_TIME: Final = "It does not happen each time: time, threads or what was called before decide."


def first_seen(error: FlakyFailure) -> Exception:
    """Return what the example raised that hypothesis could not repeat."""
    seen: Exception = error.exceptions[0]
    seen.add_note(NOT_EACH_TIME)
    return seen


class CounterexampleError(AssertionError):
    """A sequence of calls did not mean what it means on plain dictionaries.

    Attributes:
        clauses: The clauses of the call that showed it, and of the last write before.
    """

    def __init__(self, program: str, clauses: list[str]) -> None:
        super().__init__(program)
        self.clauses = clauses


class Program:
    """Keeps the calls of one example. Hypothesis ends with the shortest example that fails."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin anew, with an empty storage."""
        self._writes: list[str] = []
        self._last_write: list[str] = []
        self._read = ""
        self._read_clause: list[str] = []
        self._reads = False

    @contextmanager
    def step(self, clause_ids: str, name: str, *arguments: object, **options: object) -> Iterator[None]:
        """Note one call, which is made within the block, and the clauses that it is about, with spaces between."""
        if self._reads:
            # Reads are many, and only the one that fails is told: it is written down when it is known to.
            try:
                yield
            except Exception:
                self._read, self._read_clause = _call(name, arguments, options), clause_ids.split()
                raise
            return
        self._writes.append(_call(name, arguments, options))
        self._last_write = clause_ids.split()
        yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Within the block calls are reads, in one unit of their own."""
        self._reads = True
        try:
            yield
        finally:
            self._reads = False

    @contextmanager
    def told(self) -> Iterator[None]:
        """Tell the program when the block, which runs the examples, fails.

        Raises:
            CounterexampleError: It failed.
        """
        try:
            yield
        except Exception as error:
            if not self._writes and not self._read:
                raise
            lines = [f"unit.{line}    # in a unit of its own" if "unit." not in line else line for line in self._writes]
            lines += [f"unit.{self._read}    # in a READ unit"] if self._read else []
            seen = first_seen(error) if isinstance(error, FlakyFailure) else error
            told = f"{seen}" if isinstance(seen, AssertionError) else f"{type(seen).__name__}: {seen}"
            clauses = list(dict.fromkeys(self._read_clause + self._last_write))
            counterexample = CounterexampleError(
                "\n".join([*told.splitlines(), "", "the shortest program:", *lines]), clauses
            )
            if seen is not error:
                counterexample.add_note(NOT_EACH_TIME)
            raise counterexample from error


def _call(name: str, arguments: tuple[object, ...], options: dict[str, object]) -> str:
    told = [_told(each) for each in arguments] + [f"{key}={_told(value)}" for key, value in options.items()]
    return f"{name}({', '.join(told)})"


def _told(value: object) -> str:
    """Return a value as a test of the kit would write it: what is as in the sample is left out."""
    sample: Any
    match value:
        case list():
            return f"[{', '.join(map(_told, value))}]"
        case Song():
            sample, name = song(value.id), "song"
        case Rating():
            sample, name = rating(value.id), "rating"
        case User():
            sample, name = user(value.id, name="name"), "user"
        case _ if is_dataclass(value):
            shown = [
                f"{each.name}={getattr(value, each.name)!r}"
                for each in fields(value)
                if getattr(value, each.name) is not None
            ]
            return f"{type(value).__name__}({', '.join(shown)})"
        case _:
            return repr(value)
    usual = _members(sample)
    changed = [f"{key}={member!r}" for key, member in _members(value).items() if member != usual[key]]
    return f"{name}({', '.join([repr(value.id), *changed])})"


def _members(value: Any) -> dict[str, Any]:  # noqa: ANN401 - any record
    """Return the members of a record; those of a song's details as if they were its own, as samples take them."""
    members = {each.name: getattr(value, each.name) for each in fields(value)}
    details = members.pop("details", None)
    return members if details is None else _members(details) | members
