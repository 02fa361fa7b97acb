"""Ids."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class IdGenerator(Protocol):
    """Makes the ids of songs, ratings, users and sessions. Thread-safe.

    IDS-1: An id satisfies `songs.model.is_id`, and is never handed out twice: by any generator,
        in this process or in any other, of the same moment or begun again.
    IDS-2: Within a process each id of one generator is greater than every earlier one, compared as ASCII strings, also
        when the clock stands still, however many ids are made meanwhile, or goes back, or was set right by decades,
        and whichever thread asks. No id waits for the clock.
    IDS-3: Ids made in different milliseconds by different processes with right clocks are in the order of time, in the
        years 2020 to 2199.
    IDS-4: A process that was forked off makes ids of its own: parent and child never make the same one, and no child
        waits for a thread that only its parent has.
    """

    def new_id(self) -> str:
        """Return a new id."""
        ...
