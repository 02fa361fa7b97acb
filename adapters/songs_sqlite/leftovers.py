"""Ratings of songs that are gone, which are removed a batch at a time: deleting a song takes as long as a batch.

A song's ratings stand under its *incarnation*: its id, or, where ratings of an earlier song with that id are not all
removed yet, the id, a slash and a random number. A deletion writes it down in ``deleted_songs`` if it leaves ratings
behind. Nothing reads them any more; a key of theirs is free again for whoever asks for it.
"""

from typing import Final, Protocol

from songs_sqlite.connection import Connection, Parameters, Row

BATCH: Final = 250
"""Ratings that are removed in one transaction: some milliseconds, for which other writers wait."""

REMOVE_SOME: Final = (
    "DELETE FROM ratings WHERE (song_id, id) IN (SELECT song_id, id FROM ratings WHERE song_id = ? LIMIT ?)"
)
NOTE: Final = "INSERT INTO deleted_songs VALUES (?)"
FIND: Final = "SELECT incarnation FROM deleted_songs LIMIT 1"
FORGET: Final = "DELETE FROM deleted_songs WHERE incarnation = ?"


def are_there(connection: Connection) -> bool:
    """Return whether ratings of songs that are gone are left."""
    return bool(connection.rows(FIND))


class Runs(Protocol):
    """What runs statements: a connection, or a unit of work."""

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Return the rows of a statement."""
        ...

    def change(self, sql: str, parameters: Parameters = ()) -> int:
        """Return how many rows a statement changed."""
        ...


def collect(connection: Runs) -> bool:
    """Remove a batch, within a transaction that writes; return whether there was something to remove."""
    found = connection.rows(FIND)
    if not found:
        return False
    if connection.change(REMOVE_SOME, (found[0][0], BATCH)) < BATCH:
        connection.change(FORGET, found[0])
    return True
