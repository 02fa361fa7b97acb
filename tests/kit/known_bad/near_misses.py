"""Storages that take texts for one another: trimmed, cut, folded, taken for numbers or patterns, or joined."""

import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime

from songs.errors import UserExists
from songs.model import Rating, Session, Song, SongIdentity, User
from songs.ports.coherence import CoherenceRecord
from songs.ports.ratings import RatingReceipt
from songs.ports.sessions import Rotation
from songs.query import SongFilter
from songs.text import fold
from songs_memory.repositories import MemoryCoherence, MemoryRatings, MemorySessions, MemorySongs, MemoryUsers
from songs_plugins import AdapterSpec

from .planting import memory_of, repositories

MANY = 1_000_000


def until_nul(text: str) -> str:
    """Return what C reads of a text."""
    return text.partition("\0")[0]


def number(text: str) -> str:
    """Return what a column of numbers returns."""
    return str(int(text)) if text.isascii() and text.isdigit() else text


class _ReadsUntilNul(MemorySongs):
    def get(self, song_id: str) -> Song | None:
        """Hand the id to a driver in C."""
        return super().get(until_nul(song_id))


ids_end_at_nul = repositories(songs=_ReadsUntilNul)


class _Trims(MemorySongs):
    def delete(self, song_id: str, *, if_version: int | None = None) -> bool:
        """Compare as a padded column does."""
        return super().delete(song_id.strip(), if_version=if_version)


ids_are_trimmed = repositories(songs=_Trims)


class _Normalises(MemoryUsers):
    def get(self, user_id: str) -> User | None:
        """Compare by compatibility forms."""
        return super().get(unicodedata.normalize("NFKC", user_id))


ids_are_normalised = repositories(users=_Normalises)


def sessions_by(key: Callable[[str], str]) -> AdapterSpec:
    """Return a storage in which sessions are one of which `key` returns the same."""

    class Sessions(MemorySessions):
        def add(self, session: Session) -> None:
            first = memory_of(self._view).setdefault(key(session.id), session.id)
            if first == session.id or self.get(first) is None:
                super().add(session)

    return repositories(sessions=Sessions)


ids_are_numbers = sessions_by(number)
ids_are_cut = sessions_by(lambda text: text[:36])


def names_by(key: Callable[[str], str]) -> AdapterSpec:
    """Return a storage in which names are one of which `key` returns the same."""

    class Users(MemoryUsers):
        def add(self, user: User) -> None:
            others = {key(each.name_key) for each in self.find(limit=MANY) if each.id != user.id}
            if key(user.name_key) in others:
                self._view.writing()
                raise UserExists
            super().add(user)

    return repositories(users=Users)


names_ignore_dots = names_by(lambda text: text.replace(".", ""))
names_are_cut = names_by(lambda text: text[:32])


class _ShortHashes(MemorySessions):
    def rotate(self, session_id: str, *, presented_hash: str, next_hash: str, at: datetime, grace_s: float) -> Rotation:
        """Compare the beginnings of hashes."""
        found = self.get(session_id)
        if found is not None and found.current_hash[:32] == presented_hash[:32]:
            presented_hash = found.current_hash
        return super().rotate(session_id, presented_hash=presented_hash, next_hash=next_hash, at=at, grace_s=grace_s)


hashes_are_cut = repositories(sessions=_ShortHashes)


class _NumericKeys(MemoryRatings):
    def add(self, rating: Rating) -> RatingReceipt:
        """Keep keys in a column that is any type's."""
        return super().add(rating if rating.key is None else replace(rating, key=number(rating.key)))


keys_are_numbers = repositories(ratings=_NumericKeys)


class _JoinedEvents(MemoryRatings):
    def add(self, rating: Rating) -> RatingReceipt:
        """Know events by song and id, one after the other."""
        name = (rating.song_id, rating.id)
        if memory_of(self._view).setdefault("".join(name), name) != name:
            self._view.writing()
            stats = self.stats(rating.song_id)
            assert stats is not None
            return RatingReceipt(stats, rating.id)
        return super().add(rating)


events_run_into_songs = repositories(ratings=_JoinedEvents)


class _EventsOfPrefix(MemoryRatings):
    def of_song(self, song_id: str, *, limit: int, after_id: str | None = None) -> tuple[Rating, ...]:
        """Take every event whose name begins with the song's."""
        songs = self._view.reading().songs.rows
        begun = [each for each in songs if each.startswith(song_id)] if song_id in songs else []
        found = [event for each in begun for event in super(_EventsOfPrefix, self).of_song(each, limit=MANY)]
        later = sorted((each for each in found if each.id > (after_id or "")), key=lambda each: each.id)
        return tuple(later[:limit])


ratings_of_a_prefix = repositories(ratings=_EventsOfPrefix)


class _KeepsPrefix(MemorySessions):
    def delete_of_user(self, user_id: str, *, limit: int, keep_id: str | None = None) -> int:
        """Keep every session whose id begins with the one to keep."""
        state = self._view.writing()
        found = [
            each
            for each in state.sessions.rows.values()
            if each.user_id == user_id and not (keep_id and each.id.startswith(keep_id))
        ][:limit]
        self._view.stage(replace(state, sessions=state.sessions.minus(*found)))
        return len(found)


sessions_are_kept_by_prefix = repositories(sessions=_KeepsPrefix)


class _ShortIndex(MemorySongs):
    def add_many(self, songs: Collection[Song]) -> frozenset[str]:
        """Compare what an index of 255 characters holds."""
        taken: dict[tuple[str, str], str] = {}
        for each in songs:
            taken.setdefault((each.artist[:255], each.title[:255]), each.id)
        new = [each for each in songs if taken[each.artist[:255], each.title[:255]] == each.id]
        return super().add_many(new) | {each.id for each in songs} - {each.id for each in new}


identities_are_cut = repositories(songs=_ShortIndex)


class _Collates(MemorySongs):
    def identify(self, identities: Collection[SongIdentity]) -> Mapping[SongIdentity, Song]:
        """Ignore what a collation ignores."""
        found = dict(super().identify(identities))
        for identity in identities:
            seen = "".join(each for each in identity.title if unicodedata.category(each) != "Cf")
            for same in super().identify([identity._replace(title=seen)]).values():
                found.setdefault(identity, same)
        return found


identities_ignore_what_is_invisible = repositories(songs=_Collates)


class _ShortFolds(MemorySongs):
    def find(
        self, song_filter: SongFilter, *, limit: int, after_id: str | None = None, offset: int = 0
    ) -> tuple[Song, ...]:
        """Search the first 255 characters."""
        found = super().find(song_filter, limit=MANY, after_id=after_id)
        text = song_filter.text
        meeting = [each for each in found if text is None or text in fold(each.title)[:255] + "\0" + fold(each.artist)]
        return tuple(meeting[offset : offset + limit])


folds_are_cut = repositories(songs=_ShortFolds)


class _Strips(MemoryCoherence):
    def advance(self, *, expected_epoch: int, cache_on: bool, cache: str = "") -> CoherenceRecord:
        """Keep the name without the spaces at its end."""
        return super().advance(expected_epoch=expected_epoch, cache_on=cache_on, cache=cache.rstrip())


cache_is_trimmed = repositories(coherence=_Strips)
