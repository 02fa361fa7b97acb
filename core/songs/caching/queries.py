"""Cached queries. The cache holds complete representations, so that a hit costs no encoding."""

import json
from collections.abc import Callable
from typing import NamedTuple

from songs.application.catalogue import Catalogue
from songs.application.changes import CATALOGUE, song_group, stats_group
from songs.application.ratings import Ratings
from songs.caching.coherence import Coherence
from songs.caching.coherence_view import Prefetched
from songs.model import DifficultyTotals, RatingStats, Song
from songs.ports.cache import CountAndGet
from songs.ports.clock import Deadline
from songs.query import PageNumber, SongFilter, SongPage, Walk


class CachedQuery(NamedTuple):
    """A reusable, thread-safe cached query.

    Attributes:
        coherence: Reads through the cache.
        group: The cache group of the entry.
        key: The key of the entry in its group.
        load: Loads and renders the entry when the cache does not hold it.
    """

    coherence: Coherence
    group: str
    key: str
    load: Callable[[Deadline], bytes]

    def __call__(self, deadline: Deadline, prefetched: Prefetched | None = None) -> bytes:
        """Return the current result, rendered. `prefetched` may have asked the cache already.

        Raises:
            SongsError: What the service behind it raises.
        """
        return self.coherence.fetch(
            self.group, self.key, lambda: self.load(deadline), deadline=deadline, prefetched=prefetched
        )


class CatalogueQueries:
    """Cached queries of the catalogue and of the ratings, rendered to bytes.

    Each method takes `render`, which encodes the service's result as bytes.

    Args:
        catalogue: Reads songs.
        ratings: Reads statistics.
        coherence: Reads through the cache.
        form: The name and version of the representation: entries of another form are not found.
    """

    def __init__(self, catalogue: Catalogue, ratings: Ratings, coherence: Coherence, *, form: str) -> None:
        self._catalogue = catalogue
        self._ratings = ratings
        self._coherence = coherence
        self._form = form

    def song(self, song_id: str, render: Callable[[Song], bytes]) -> CachedQuery:
        """Return the cached query of a song."""
        get = self._catalogue.get
        return self._read(song_group(song_id), self._form, lambda deadline: render(get(song_id, deadline=deadline)))

    def page(
        self, kind: str, song_filter: SongFilter, which: PageNumber | Walk, render: Callable[[SongPage], bytes]
    ) -> CachedQuery:
        """Return the cached query of a page of songs. `kind` names the rendering of the page."""
        page = self._catalogue.page
        return self._read(
            CATALOGUE,
            f"{self._form} {kind} {_named(song_filter, which)}",
            lambda deadline: render(page(song_filter, which, deadline=deadline)),
        )

    def difficulty(self, level: int | None, render: Callable[[DifficultyTotals], bytes]) -> CachedQuery:
        """Return the cached query of the average difficulty of a level or of all songs."""
        difficulty = self._catalogue.difficulty
        return self._read(
            CATALOGUE,
            json.dumps([self._form, "difficulty", level]),
            lambda deadline: render(difficulty(level, deadline=deadline)),
        )

    def stats(self, song_id: str, render: Callable[[RatingStats], bytes]) -> CachedQuery:
        """Return the cached query of a song's statistics."""
        stats = self._ratings.stats
        return self._read(stats_group(song_id), self._form, lambda deadline: render(stats(song_id, deadline=deadline)))

    def _read(self, group: str, key: str, load: Callable[[Deadline], bytes]) -> CachedQuery:
        return CachedQuery(self._coherence, group, key, load)


def _named(song_filter: SongFilter, which: PageNumber | Walk) -> str:
    """Return a name for a part of the songs, in which texts are quoted, so that no two parts have one name."""
    part = f"page {which.number}" if isinstance(which, PageNumber) else f"after {which.cursor!r}"
    return f"{song_filter.canonical()} {which.size} {part}"


class Prefetcher:
    """Prefetches cache entries for requests whose read is known in advance. Thread-safe.

    Args:
        count_and_get: Asks the counting cache.
        coherence: Knows the names of entries.
    """

    def __init__(self, count_and_get: CountAndGet, coherence: Coherence) -> None:
        self._count_and_get = count_and_get
        self._coherence = coherence

    def begin(self, read: CachedQuery) -> Prefetched | None:
        """Return the prefetch, or None if the cache is off."""
        entry = self._coherence.entry(read.key)
        return None if entry is None else Prefetched(self._count_and_get, read.group, entry)
