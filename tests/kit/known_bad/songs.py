"""Storages whose songs are wrong."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from songs.errors import DuplicateSong, VersionConflict
from songs.model import DifficultyTotals, Song, SongIdentity
from songs.query import SongFilter
from songs.text import fold
from songs_memory.repositories import MemorySongs

from .planting import memory_of, repositories

EVERYTHING = SongFilter()


class _Truncates(MemorySongs):
    def get(self, song_id: str) -> Song | None:
        """Keep the difficulty as a binary fraction."""
        found = super().get(song_id)
        if found is None:
            return None
        milli = int(found.difficulty_milli / 1000 * 1000)
        return replace(found, details=replace(found.details, difficulty_milli=milli))


difficulty_is_a_float = repositories(songs=_Truncates)


class _FloatSum(MemorySongs):
    def difficulty_totals(self, level: int | None = None) -> DifficultyTotals:
        """Add up binary fractions, and cut off."""
        songs = self.find(SongFilter(level=level), limit=100_000)
        return DifficultyTotals(len(songs), int(sum(song.difficulty_milli / 1000 for song in songs) * 1000))


difficulties_are_added_as_floats = repositories(songs=_FloatSum)


class _WithoutVersion(MemorySongs):
    def get(self, song_id: str) -> Song | None:
        """Lose a member."""
        found = super().get(song_id)
        return found and replace(found, version=1)


song_loses_its_version = repositories(songs=_WithoutVersion)


class _ObjectsToIds(MemorySongs):
    def get(self, song_id: str) -> Song | None:
        """Object to what cannot be an id."""
        if not song_id.isidentifier() and "-" not in song_id:
            raise ValueError(song_id)
        return super().get(song_id)


strange_id_is_an_error = repositories(songs=_ObjectsToIds)


class _FoldsIdentity(MemorySongs):
    def add(self, song: Song) -> None:
        """Compare artists without regard to case."""
        found = self.find(SongFilter(artist=fold(song.artist)), limit=1000)
        if any(each.title == song.title and each.released == song.released for each in found):
            self._view.writing()
            raise DuplicateSong
        super().add(song)


identity_has_no_case = repositories(songs=_FoldsIdentity)


class _AddsOnce(MemorySongs):
    def add(self, song: Song) -> None:
        """Refuse a repetition."""
        if self.get(song.id) is not None:
            raise DuplicateSong
        super().add(song)


adding_cannot_be_repeated = repositories(songs=_AddsOnce)


class _StopsAtTheFirst(MemorySongs):
    def add_many(self, songs: Sequence[Song]) -> frozenset[str]:
        """Stop at the first duplicate, as an ordered bulk write does."""
        stored = [n for n, each in enumerate(songs) if each.identity in self.identify([each.identity])]
        return super().add_many(songs[: stored[0] + 1] if stored else songs)


batch_stops_at_a_duplicate = repositories(songs=_StopsAtTheFirst)


class _AnyVersion(MemorySongs):
    def replace(self, song: Song, *, if_version: int) -> None:
        """Replace whatever is stored."""
        stored = self.get(song.id)
        super().replace(song, if_version=if_version if stored is None else stored.version)


version_is_not_compared = repositories(songs=_AnyVersion)


class _ReplacesOnce(MemorySongs):
    def replace(self, song: Song, *, if_version: int) -> None:
        """Refuse a repetition."""
        if self.get(song.id) == song:
            raise VersionConflict
        super().replace(song, if_version=if_version)


replacing_cannot_be_repeated = repositories(songs=_ReplacesOnce)


class _RatingsStay(MemorySongs):
    def delete(self, song_id: str, *, if_version: int | None = None) -> bool:
        """Leave the song's ratings behind."""
        ratings = self._view.reading().ratings
        found = super().delete(song_id, if_version=if_version)
        self._view.stage(replace(self._view.reading(), ratings=ratings))
        return found


ratings_outlive_their_song = repositories(songs=_RatingsStay)


class _DeletesAnyVersion(MemorySongs):
    def delete(self, song_id: str, *, if_version: int | None = None) -> bool:
        """Delete whatever is stored."""
        return super().delete(song_id)


deletes_any_version = repositories(songs=_DeletesAnyVersion)


class _Finds(MemorySongs):
    """A storage whose `find` is a scan, in an order and with a test that are right until a defect changes them."""

    order: Callable[[Song], Any] = staticmethod(lambda song: song.id)

    def found(self, song_filter: SongFilter) -> list[Song]:
        """Return all that meet a filter."""
        return [song for song in super().find(EVERYTHING, limit=100_000) if self.meets(song_filter, song)]

    def meets(self, song_filter: SongFilter, song: Song) -> bool:
        """Return whether a song meets a filter."""
        return (
            (song_filter.level is None or song.level == song_filter.level)
            and (song_filter.artist is None or fold(song.artist) == song_filter.artist)
            and (song_filter.text is None or self.matches(song_filter.text, song))
        )

    def matches(self, text: str, song: Song) -> bool:
        """Return whether a text is contained in artist or title."""
        return text in fold(song.artist) or text in fold(song.title)

    def find(
        self, song_filter: SongFilter, *, limit: int, after_id: str | None = None, offset: int = 0
    ) -> tuple[Song, ...]:
        """Return the songs that meet the filter."""
        songs = sorted(self.found(song_filter), key=self.order)
        return tuple(song for song in songs if after_id is None or song.id > after_id)[offset : offset + limit]


scans = repositories(songs=_Finds)
"""Not a defect: what the scans below are but for theirs."""


class _ByTitle(_Finds):
    order = staticmethod(lambda song: song.title)


order_is_not_by_id = repositories(songs=_ByTitle)


class _ByCase(_Finds):
    order = staticmethod(lambda song: song.id.lower())


order_has_no_case = repositories(songs=_ByCase)


class _OneMore(_Finds):
    def find(
        self, song_filter: SongFilter, *, limit: int, after_id: str | None = None, offset: int = 0
    ) -> tuple[Song, ...]:
        """Return one more than was asked for."""
        return super().find(song_filter, limit=limit + 1, after_id=after_id, offset=offset)


limit_is_off_by_one = repositories(songs=_OneMore)


class _Inclusive(_Finds):
    def find(
        self, song_filter: SongFilter, *, limit: int, after_id: str | None = None, offset: int = 0
    ) -> tuple[Song, ...]:
        """Begin with the song after which to begin."""
        songs = [song for song in self.found(song_filter) if after_id is None or song.id >= after_id]
        return tuple(songs[offset : offset + limit])


cursor_is_inclusive = repositories(songs=_Inclusive)


class _ByOffset(_Finds):
    def find(
        self, song_filter: SongFilter, *, limit: int, after_id: str | None = None, offset: int = 0
    ) -> tuple[Song, ...]:
        """Go on from where a page ended when it was read."""
        ends = memory_of(self._view)
        start = offset + ends.get(after_id, 0)
        page = tuple(self.found(song_filter)[start : start + limit])
        if page:
            ends[page[-1].id] = start + len(page)
        return page


walk_goes_by_offset = repositories(songs=_ByOffset)


class _Wildcards(_Finds):
    def matches(self, text: str, song: Song) -> bool:
        """Give % and _ the meaning that they have in SQL."""
        pattern = re.escape(text).replace("%", ".*").replace("_", ".")
        return any(re.search(pattern, fold(each)) for each in (song.artist, song.title))


wildcards_match = repositories(songs=_Wildcards)


class _Patterns(_Finds):
    def matches(self, text: str, song: Song) -> bool:
        """Take the text for a regular expression, where it is one."""
        try:
            return any(re.search(text, fold(each)) for each in (song.artist, song.title))
        except re.error:
            return super().matches(text, song)


text_is_a_regular_expression = repositories(songs=_Patterns)


class _Across(_Finds):
    def matches(self, text: str, song: Song) -> bool:
        """Search artist and title as one text."""
        return text in f"{fold(song.artist)} {fold(song.title)}"


match_reaches_across = repositories(songs=_Across)


class _CaseFolds(_Finds):
    def matches(self, text: str, song: Song) -> bool:
        """Compare without regard to case, but to accents."""
        return text in song.artist.casefold() or text in song.title.casefold()


search_heeds_accents = repositories(songs=_CaseFolds)


class _ThreeAtLeast(_Finds):
    def matches(self, text: str, song: Song) -> bool:
        """Find nothing for texts that have no trigram."""
        return len(text) > 2 and super().matches(text, song)


short_texts_find_nothing = repositories(songs=_ThreeAtLeast)


class _WordsOnly(_Finds):
    def matches(self, text: str, song: Song) -> bool:
        """Match whole words."""
        return all(word in fold(f"{song.artist} {song.title}").split() for word in text.split())


search_matches_words = repositories(songs=_WordsOnly)


class _PartOfArtist(_Finds):
    def meets(self, song_filter: SongFilter, song: Song) -> bool:
        """Take a part of the artist's name for the whole."""
        artist = song_filter.artist
        return super().meets(replace(song_filter, artist=None), song) and (artist or "") in fold(song.artist)


part_of_an_artist_matches = repositories(songs=_PartOfArtist)


class _OldTexts(_Finds):
    def replace(self, song: Song, *, if_version: int) -> None:
        """Leave the index as it was."""
        memory_of(self._view).setdefault(song.id, self.get(song.id))
        super().replace(song, if_version=if_version)

    def matches(self, text: str, song: Song) -> bool:
        """Look into the index."""
        return super().matches(text, memory_of(self._view).get(song.id) or song)


index_keeps_old_texts = repositories(songs=_OldTexts)


class _CountsOnce(MemorySongs):
    def count(self, song_filter: SongFilter) -> int:
        """Count once for each filter."""
        counts = memory_of(self._view)
        return int(counts.setdefault(song_filter, super().count(song_filter)))


count_lags_behind = repositories(songs=_CountsOnce)


class _IdentifiesByTitle(MemorySongs):
    def identify(self, identities: Collection[SongIdentity]) -> Mapping[SongIdentity, Song]:
        """Compare titles without regard to case."""
        songs = self.find(EVERYTHING, limit=100_000)
        by_title = {song.title.lower(): song for song in songs}
        return {each: by_title[each.title.lower()] for each in identities if each.title.lower() in by_title}


identify_has_no_case = repositories(songs=_IdentifiesByTitle)
