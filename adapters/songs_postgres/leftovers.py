"""Ratings of songs that are gone, which are removed a batch at a time: deleting a song takes as long as a batch.

A deletion writes down in ``deleted_songs`` under which incarnation it leaves ratings behind. Nothing reads them any
more, and a key of theirs is free again for whoever asks for it.
"""

from typing import Final, LiteralString

import psycopg

from songs_postgres.connection import Connection

BATCH: Final = 1000
"""Ratings that are removed at once."""

REMOVE_SOME: Final[LiteralString] = (
    "WITH removed AS (DELETE FROM ratings WHERE (song_id, id) IN "
    "(SELECT song_id, id FROM ratings WHERE song_id = %s LIMIT %s) RETURNING 1) SELECT count(*) FROM removed"
)
NOTE: Final[LiteralString] = "INSERT INTO deleted_songs VALUES (%s)"
ARE_THERE: Final[LiteralString] = "SELECT EXISTS (SELECT FROM deleted_songs)"
# One statement, and so one transaction. Of several processes each takes another song.
COLLECT: Final[LiteralString] = (
    "WITH song AS (SELECT incarnation FROM deleted_songs LIMIT 1 FOR UPDATE SKIP LOCKED), "
    "removed AS (DELETE FROM ratings WHERE (song_id, id) IN (SELECT ratings.song_id, ratings.id FROM ratings "
    "JOIN song ON ratings.song_id = song.incarnation LIMIT %(batch)s) RETURNING 1), "
    "forgotten AS (DELETE FROM deleted_songs USING song WHERE deleted_songs.incarnation = song.incarnation "
    "AND (SELECT count(*) FROM removed) < %(batch)s) SELECT count(*) FROM song"
)


def are_there(connection: Connection) -> bool:
    """Return whether ratings of songs that are gone are left."""
    (found,) = connection.execute(ARE_THERE).fetchone() or (False,)
    return bool(found)


def collect(connection: Connection) -> bool:
    """Remove a batch, outside of any transaction; return whether to go on. Nothing depends on it: it never raises."""
    try:
        (found,) = connection.execute(COLLECT, {"batch": BATCH}).fetchone() or (0,)
    except psycopg.Error:
        return False
    return bool(found)
