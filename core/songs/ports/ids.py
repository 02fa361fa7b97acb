"""Ids."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class IdGenerator(Protocol):
    """Makes the ids of songs, ratings, users and sessions. Thread-safe.

    IDS-1: An id satisfies `songs.model.is_id`, and is never handed out twice, by this process or by any other.
    IDS-2: Within a process each id is greater than every earlier one, compared as ASCII strings, also when the clock
        stands still or goes back, and whichever thread asks.
    IDS-3: Ids made in different milliseconds by different processes with right clocks are in the order of time.
    IDS-4: A process that was forked off makes ids of its own: parent and child never make the same one.
    """

    def new_id(self) -> str:
        """Return a new id."""
        ...
