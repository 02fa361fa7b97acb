"""Cache groups that a write makes stale, and the port that makes the write visible to every reader.

Cached queries are kept in groups. A write names the groups that it touched, and is acknowledged once
`Changes.publish_write` has returned.
"""

from collections.abc import Collection
from typing import Final, Protocol

CATALOGUE: Final = "catalogue"
"""Lists, searches and averages over songs: stale after any change of any song."""


def song_group(song_id: str) -> str:
    """Return the group of one song's own representations."""
    return f"song:{song_id}"


def stats_group(song_id: str) -> str:
    """Return the group of one song's statistics: stale after each of its ratings."""
    return f"stats:{song_id}"


class Changes(Protocol):
    """Makes committed writes visible. `songs.caching.coherence.Coherence` is the implementation."""

    def publish_write(self, groups: Collection[str]) -> None:
        """Make a committed write visible to all later reads, in every process; return when it is.

        Raises:
            OutcomeUnknown: The storage does not say whether older reads may still be served somewhere.
        """
        ...
