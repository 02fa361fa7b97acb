"""Reads through the cache. What is kept is the finished representation, so that a hit costs no encoding."""

import json
from collections.abc import Callable

from songs.deadline import Deadline
from songs.model import DifficultyTotals, RatingStats, Song
from songs.query import PageNumber, SongFilter, SongPage, Walk
from songs.services.catalogue import Catalogue
from songs.services.coherence import Ahead, Coherence
from songs.services.groups import CATALOGUE, song_group, stats_group
from songs.services.ratings import Ratings


class CachedReads:
    """The reads of the catalogue and of the ratings, rendered to bytes and kept in the cache.

    Each method takes `render`, called for what the cache does not hold, and `ahead`, which may have asked the cache; it
    raises what the service behind it raises.

    Args:
        catalogue: Reads songs.
        ratings: Reads statistics.
        coherence: Keeps and forgets.
        form: Names what the renderings look like, with a version: entries of another form are not found.
    """

    def __init__(self, catalogue: Catalogue, ratings: Ratings, coherence: Coherence, *, form: str) -> None:
        self._catalogue = catalogue
        self._ratings = ratings
        self._coherence = coherence
        self._form = form

    def song(
        self, song_id: str, render: Callable[[Song], bytes], *, deadline: Deadline, ahead: Ahead | None = None
    ) -> bytes:
        """Return a song, rendered."""
        return self._coherence.fetch(
            song_group(song_id),
            self._form,
            lambda: render(self._catalogue.get(song_id, deadline=deadline)),
            deadline=deadline,
            ahead=ahead,
        )

    def page(
        self,
        kind: str,
        song_filter: SongFilter,
        which: PageNumber | Walk,
        render: Callable[[SongPage], bytes],
        *,
        deadline: Deadline,
        ahead: Ahead | None = None,
    ) -> bytes:
        """Return a page of songs, rendered. `kind` tells apart renderings of one page."""
        if not self._coherence.active:
            # Spares making the key.
            return render(self._catalogue.page(song_filter, which, deadline=deadline))
        return self._coherence.fetch(
            CATALOGUE,
            f"{self._form} {kind} {_named(song_filter, which)}",
            lambda: render(self._catalogue.page(song_filter, which, deadline=deadline)),
            deadline=deadline,
            ahead=ahead,
        )

    def difficulty(
        self,
        level: int | None,
        render: Callable[[DifficultyTotals], bytes],
        *,
        deadline: Deadline,
        ahead: Ahead | None = None,
    ) -> bytes:
        """Return the average difficulty of a level or of all songs, rendered."""
        return self._coherence.fetch(
            CATALOGUE,
            json.dumps([self._form, "difficulty", level]),
            lambda: render(self._catalogue.difficulty(level, deadline=deadline)),
            deadline=deadline,
            ahead=ahead,
        )

    def stats(
        self, song_id: str, render: Callable[[RatingStats], bytes], *, deadline: Deadline, ahead: Ahead | None = None
    ) -> bytes:
        """Return a song's statistics, rendered."""
        return self._coherence.fetch(
            stats_group(song_id),
            self._form,
            lambda: render(self._ratings.stats(song_id, deadline=deadline)),
            deadline=deadline,
            ahead=ahead,
        )


def _named(song_filter: SongFilter, which: PageNumber | Walk) -> str:
    """Return a name for a part of the songs, in which texts are quoted, so that no two parts have one name."""
    part = f"page {which.number}" if isinstance(which, PageNumber) else f"after {which.cursor!r}"
    return f"{song_filter.text!r} {song_filter.artist!r} {song_filter.level} {which.size} {part}"
