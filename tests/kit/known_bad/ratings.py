"""Storages whose ratings are wrong."""

import time
from dataclasses import replace

from songs.errors import KeyReused
from songs.model import Rating, RatingStats
from songs.ports.ratings import RatingReceipt
from songs_memory.repositories import MemoryRatings
from songs_memory.tables import Events
from songs_memory.unit import MemoryUnit

from .planting import memory_of, repositories, unit


class _Upserts(MemoryRatings):
    def add(self, rating: Rating) -> RatingReceipt:
        """Create what the song lacks, the song's statistics too."""
        state = self._view.writing()
        table = state.ratings.plus(rating)
        self._view.stage(replace(state, ratings=table))
        return RatingReceipt(table.get(rating.song_id).stats, rating.id)


class _UpsertsUnlessStored(_Upserts):
    def add(self, rating: Rating) -> RatingReceipt:
        """Look for the rating and its key, never for the song."""
        state = self._view.reading()
        return MemoryRatings.add(self, rating) if rating.song_id in state.songs.rows else super().add(rating)


rating_needs_no_song = repositories(ratings=_UpsertsUnlessStored)


class _CountsAgain(_Upserts):
    def add(self, rating: Rating) -> RatingReceipt:
        """Count an event that is stored already once more."""
        stored = self._view.reading().ratings.get(rating.song_id).has(rating.id)
        return super().add(rating) if stored else MemoryRatings.add(self, rating)


retry_counts_twice = repositories(ratings=_CountsAgain)


class _RemembersFailures(MemoryRatings):
    def add(self, rating: Rating) -> RatingReceipt:
        """Note the key before it is known whether the rating can be stored."""
        noted = memory_of(self._view).setdefault((rating.user_id, rating.key or rating.id), rating)
        if (noted.song_id, noted.value) != (rating.song_id, rating.value):
            raise KeyReused
        return super().add(rating)


failed_rating_keeps_its_key = repositories(ratings=_RemembersFailures)


class _OneUser(MemoryRatings):
    def add(self, rating: Rating) -> RatingReceipt:
        """Look for the key alone, whoever sent it."""
        known = memory_of(self._view).setdefault(rating.key or rating.id, rating)
        if known.user_id != rating.user_id:
            return RatingReceipt(self.stats(rating.song_id) or RatingStats(), known.id)
        return super().add(rating)


key_is_shared_by_users = repositories(ratings=_OneUser)


class _LowerCaseKeys(MemoryRatings):
    def add(self, rating: Rating) -> RatingReceipt:
        """Compare keys without regard to case."""
        return super().add(replace(rating, key=rating.key and rating.key.lower()))


keys_have_no_case = repositories(ratings=_LowerCaseKeys)


class _KeysStay(MemoryRatings):
    def add(self, rating: Rating) -> RatingReceipt:
        """Know keys for ever, also those of ratings whose song is gone."""
        known, place = memory_of(self._view), (rating.user_id, rating.key)
        earlier = known.get(place)
        if earlier is not None and earlier.song_id not in self._view.reading().songs.rows:
            raise KeyReused
        receipt = super().add(rating)
        if rating.key is not None:
            known[place] = rating
        return receipt


key_outlives_its_song = repositories(ratings=_KeysStay)


class _AnyValue(MemoryRatings):
    def add(self, rating: Rating) -> RatingReceipt:
        """Take another rating under a used key for a repetition."""
        earlier = self._view.reading().ratings.keyed(rating)
        return super().add(rating if earlier is None else replace(rating, id=earlier.id, song_id=earlier.song_id))


used_key_takes_any_rating = repositories(ratings=_AnyValue)


class _Unasked(MemoryRatings):
    def add(self, rating: Rating) -> RatingReceipt:
        """Store every rating, whatever its key."""
        receipt = super().add(replace(rating, key=None))
        state = self._view.reading()
        table = state.ratings.of_song
        ratings = table[rating.song_id]
        events = Events()
        for number, one in enumerate(ratings.events()):
            events.add(rating if one.id == rating.id else one, number)
        kept = table.set(rating.song_id, replace(ratings, shared=events))
        self._view.stage(replace(state, ratings=replace(state.ratings, of_song=kept)))
        return receipt


key_is_ignored = repositories(ratings=_Unasked)


class _CachesStats(MemoryRatings):
    def stats(self, song_id: str) -> RatingStats | None:
        """Answer with the statistics as they were when first asked for."""
        found = super().stats(song_id)
        return found and memory_of(self._view).setdefault(song_id, found)


statistics_lag_behind = repositories(ratings=_CachesStats)


class _EarlyReceipt(MemoryRatings):
    def add(self, rating: Rating) -> RatingReceipt:
        """Answer with the statistics before the rating."""
        stats = self.stats(rating.song_id) or RatingStats()
        return replace(super().add(rating), stats=stats)


receipt_lacks_the_rating = repositories(ratings=_EarlyReceipt)


class _Torn(MemoryUnit):
    @property
    def ratings(self) -> "_TornRatings":
        """The ratings."""
        return _TornRatings(self)


class _TornRatings(MemoryRatings):
    def stats(self, song_id: str) -> RatingStats | None:
        """Return counters of another moment than the events."""
        if isinstance(self._view, MemoryUnit):
            time.sleep(0.0005)
            return self._view._source.current().ratings.get(song_id).stats
        return None


statistics_are_torn = unit(_Torn)


class _NoneForNone(MemoryRatings):
    def stats(self, song_id: str) -> RatingStats | None:
        """Answer for a song that is not there as for one without ratings."""
        return super().stats(song_id) or RatingStats()


statistics_of_no_song = repositories(ratings=_NoneForNone)


class _WithoutKey(MemoryRatings):
    def of_song(self, song_id: str, *, limit: int, after_id: str | None = None) -> tuple[Rating, ...]:
        """Lose a member."""
        return tuple(replace(r, key=None) for r in super().of_song(song_id, limit=limit, after_id=after_id))


event_loses_its_key = repositories(ratings=_WithoutKey)


class _LocalTime(MemoryRatings):
    def of_song(self, song_id: str, *, limit: int, after_id: str | None = None) -> tuple[Rating, ...]:
        """Lose the time zone, as a driver does that returns naive times."""
        found = super().of_song(song_id, limit=limit, after_id=after_id)
        for number, event in enumerate(copies := [replace(each) for each in found]):
            object.__setattr__(copies[number], "rated_at", event.rated_at.replace(tzinfo=None))
        return tuple(copies)


event_loses_its_time_zone = repositories(ratings=_LocalTime)


class _WholeSeconds(MemoryRatings):
    def of_song(self, song_id: str, *, limit: int, after_id: str | None = None) -> tuple[Rating, ...]:
        """Lose milliseconds."""
        found = super().of_song(song_id, limit=limit, after_id=after_id)
        return tuple(replace(each, rated_at=each.rated_at.replace(microsecond=0)) for each in found)


event_loses_its_milliseconds = repositories(ratings=_WholeSeconds)


class _OneMore(MemoryRatings):
    def of_song(self, song_id: str, *, limit: int, after_id: str | None = None) -> tuple[Rating, ...]:
        """Return one more than was asked for."""
        return super().of_song(song_id, limit=limit + 1, after_id=after_id)


events_beyond_the_limit = repositories(ratings=_OneMore)
