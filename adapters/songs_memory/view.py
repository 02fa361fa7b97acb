"""What a repository needs of its unit of work."""

from typing import Protocol

from songs_memory.state import State


class View(Protocol):
    """A unit of work, as its repositories see it."""

    def reading(self) -> State:
        """Return the state as the unit sees it."""
        ...

    def writing(self) -> State:
        """Return the state as the unit sees it, for one write."""
        ...

    def stage(self, state: State) -> None:
        """Make `state` what the unit sees."""
        ...
