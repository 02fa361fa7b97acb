"""Everything that is stored, as one value."""

from dataclasses import dataclass, field
from typing import Final, Self

from songs.ports.coherence import CoherenceRecord
from songs_memory.account_tables import SessionTable, UserTable
from songs_memory.rating_table import RatingTable
from songs_memory.song_table import SongTable

_NEVER_ADVANCED: Final = CoherenceRecord(epoch=1, cache_on=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One state of the storage. Immutable: a write makes another one, which shares what did not change."""

    songs: SongTable
    ratings: RatingTable = field(default_factory=RatingTable)
    users: UserTable = field(default_factory=UserTable)
    sessions: SessionTable = field(default_factory=SessionTable)
    coherence: CoherenceRecord = _NEVER_ADVANCED

    def rated(self, ratings: RatingTable) -> Self:
        """Return the state with other ratings: what `dataclasses.replace` does, in a third of the time."""
        return type(self)(
            songs=self.songs, ratings=ratings, users=self.users, sessions=self.sessions, coherence=self.coherence
        )
