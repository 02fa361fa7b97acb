"""Every state that a catalogue went through, and what each read may show of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

from tests.outages.service import Answer

EVERYTHING = "page_size=100"
WORD = "polka"
"""What every title contains."""
NOT_RATED = (0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Song:
    """What changes of a song."""

    level: int
    difficulty_milli: int
    ratings: tuple[int, ...] = NOT_RATED


State = Mapping[str, Song]
"""The songs by their titles."""


class History:
    """The states of a catalogue with one writer.

    Attributes:
        states: One after each write, the first being empty; the last may be that of a write not acknowledged yet.
        acknowledged: Which of them was acknowledged last.
        ids: The id of every song that there ever was, by its title.
    """

    def __init__(self) -> None:
        self.states: list[State] = [{}]
        self.acknowledged = 0
        self.ids: dict[str, str] = {}

    @property
    def state(self) -> State:
        """The newest."""
        return self.states[-1]

    def begin(self, changes: Mapping[str, Song | None]) -> None:
        """Note what a write will do before it is sent: songs that are put, or removed."""
        after = {**self.state, **changes}
        self.states.append({title: song for title, song in after.items() if song is not None})

    def end(self) -> None:
        """Note that it was acknowledged."""
        self.acknowledged = len(self.states) - 1

    def refuse(self) -> None:
        """Note that it was refused and changed nothing, so that its state never was."""
        self.states[-1] = self.states[-2]
        self.end()


class Read(Protocol):
    """A read, and what is looked at of its answer."""

    @property
    def path(self) -> str:
        """What to ask for."""
        ...

    def expected(self, state: State) -> object:
        """Return what it shows of a state."""
        ...

    def seen(self, answer: Answer) -> object:
        """Return what it showed."""
        ...


@dataclass(frozen=True, slots=True)
class ReadSong:
    """A song by its id."""

    title: str
    song_id: str

    @property
    def path(self) -> str:
        """What to ask for."""
        return f"/songs/{self.song_id}"

    def expected(self, state: State) -> object:
        """Return its level and difficulty; None where there is no such song."""
        song = state.get(self.title)
        return song and (song.level, song.difficulty_milli / 1000)

    def seen(self, answer: Answer) -> object:
        """Return what it showed."""
        return None if answer.status == 404 else (answer.body["level"], answer.body["difficulty"])


@dataclass(frozen=True, slots=True)
class ReadStats:
    """A song's statistics."""

    title: str
    song_id: str

    @property
    def path(self) -> str:
        """What to ask for."""
        return f"/songs/{self.song_id}/ratings"

    def expected(self, state: State) -> object:
        """Return its distribution; None where there is no such song."""
        song = state.get(self.title)
        return song and song.ratings

    def seen(self, answer: Answer) -> object:
        """Return what it showed."""
        return None if answer.status == 404 else tuple(answer.body["distribution"].values())


@dataclass(frozen=True, slots=True)
class ReadPage:
    """All songs of some kind, in one page."""

    path: str
    meets: Callable[[str, Song], bool] = lambda _title, _song: True

    def expected(self, state: State) -> object:
        """Return the songs."""
        found = ((title, song) for title, song in state.items() if self.meets(title, song))
        return sorted((title, song.level, song.difficulty_milli / 1000) for title, song in found)

    def seen(self, answer: Answer) -> object:
        """Return what it showed; its total as well, where there is one and it differs."""
        songs: list[Any] = sorted((song["title"], song["level"], song["difficulty"]) for song in answer.body["data"])
        total = answer.body["pagination"]["total"]
        return songs if total in {None, len(songs)} else [*songs, total]


@dataclass(frozen=True, slots=True)
class ReadAverage:
    """The average difficulty."""

    path: str = "/songs/difficulty/average"
    level: int | None = None

    def expected(self, state: State) -> object:
        """Return the average; None where there are no songs."""
        found = [song.difficulty_milli for song in state.values() if self.level in {None, song.level}]
        return round(Fraction(sum(found), 1000 * len(found)), 3) if found else None

    def seen(self, answer: Answer) -> object:
        """Return what it showed."""
        average = answer.body["average_difficulty"]
        return None if average is None else Fraction(str(average))


def reads_of_all(level: int, part: str) -> list[Read]:
    """Return reads of more than one song: of all, of a level, and of those whose title contains a part."""
    return [
        ReadPage(f"/songs?{EVERYTHING}"),
        ReadPage(f"/songs?cursor=&{EVERYTHING}"),
        ReadPage(f"/songs?level={level}&{EVERYTHING}", lambda _, song: song.level == level),
        ReadPage(f"/songs/search?message={WORD}&{EVERYTHING}"),
        ReadPage(f"/songs/search?message={part}&{EVERYTHING}", lambda title, _: part in title),
        ReadAverage(),
        ReadAverage(f"/songs/difficulty/average?level={level}", level),
    ]
