"""The groups of cache entries: what each write makes stale."""

from typing import Final

CATALOGUE: Final = "catalogue"
"""Lists, searches and averages over songs: stale after any change of any song."""


def song_group(song_id: str) -> str:
    """Return the group of one song's own representations."""
    return f"song:{song_id}"


def stats_group(song_id: str) -> str:
    """Return the group of one song's statistics: stale after each of its ratings."""
    return f"stats:{song_id}"
