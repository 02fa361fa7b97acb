"""Queries of the catalogue, and their results."""

import json
from dataclasses import dataclass, fields

from songs.model import Song


@dataclass(frozen=True, slots=True, kw_only=True)
class SongFilter:
    """A filter: selects the songs that match every member that is not None. All None selects the whole catalogue.

    `text` and `artist` are folded already (`songs.text.fold`) and never empty. A song matches `text` when it is a
    substring of the fold of its artist or of the fold of its title; `artist` when it equals the fold of its artist;
    `level` when it equals its level. There are no wildcards.
    """

    text: str | None = None
    artist: str | None = None
    level: int | None = None

    @property
    def only_level(self) -> bool:
        """Whether no member but the level is set, so that difficulty totals count the songs."""
        return self == SongFilter(level=self.level)

    def canonical(self) -> str:
        """Return a text that equal filters share, and no others: for keys of caches, and to sign cursors.

        It is JSON with the members that are not None, so a member that a later version adds changes no text of before.
        """
        members = ((member.name, getattr(self, member.name)) for member in fields(self))
        # `default`: a date, as JSON has none.
        return json.dumps({name: value for name, value in members if value is not None}, default=str)


@dataclass(frozen=True, slots=True)
class PageNumber:
    """The `number`-th page (from 1) of `size` items."""

    number: int
    size: int


@dataclass(frozen=True, slots=True)
class Walk:
    """The next `size` items of a walk through all items: from the start, or from the position of `cursor`."""

    cursor: str | None
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SongPage:
    """One page of songs, ordered by id. A walk has neither `page` nor totals; `next_cursor` is None at the end."""

    songs: tuple[Song, ...]
    page_size: int
    next_cursor: str | None
    page: int | None = None
    total: int | None = None

    @property
    def total_pages(self) -> int | None:
        """The number of pages; None in a walk."""
        return None if self.total is None else -(-self.total // self.page_size)
