"""Names of collections and documents, and what repositories need of their unit of work.

``songs``, by the song's id::

    {_id, born, artist, title, milli, level, released, version, identity, artist_key, artist_fold, title_fold, grams,
     n1, n2, n3, n4, n5, moved, high, recent: {<rating id>: {user, value, at, key}, ...}}

`born` is a random name of this incarnation of the song: what a deleted song leaves behind can never belong to the one
that is added under its id later. `identity` and `artist_key` are hashes, because the texts may be too long for an
index. `grams` are all runs of one, two and three characters of both folds. `n1` to `n5` count the ratings of each
value. `recent` holds the newest events, `moved` is how many were moved to ``ratings``, `high` the greatest id of these.

``ratings``, by ``<born>/<rating id>``: the older events, {song, seq, user, value, at, key}, in the order
of their ids; `seq` is what `moved` was when the event was still recent.
``claims``, by the hash of user and idempotency key: {song, born, rating, user, value, at, key}, the whole event.
``users`` and ``sessions``, by id. ``meta``: the coherence record, and the versions of schema and fold with the identity
of the data, a random text.

Times are integers, milliseconds since 1970: they hold every time that the model admits, and come back exactly.

For a sharded cluster: ``ratings`` on {_id: 1} (`born` is random, so songs spread and one song stays together),
``claims`` and ``sessions`` on {_id: "hashed"}. ``songs`` and ``users`` stay unsharded, on the primary shard: MongoDB
keeps `identity` and `name_key` unique across shards only where they are the shard key, and then every access by id, a
rating too, would ask all shards.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol, TypeVar

from pymongo.client_session import ClientSession
from pymongo.cursor import Cursor
from pymongo.database import Database

from songs.errors import SongsError

Document = dict[str, Any]

VERSION: Final = 1

SONGS: Final = "songs"
RATINGS: Final = "ratings"
CLAIMS: Final = "claims"
USERS: Final = "users"
SESSIONS: Final = "sessions"
META: Final = "meta"

COHERENCE: Final = "coherence"
SCHEMA: Final = "schema"
IDENTITY: Final = "identity"
"""The member of the schema's record that distinguishes these data from others."""

UNIQUE: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    (SONGS, "identity"): ("identity",),
    (USERS, "name_key"): ("name_key",),
}
INDEXES: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    (SONGS, "grams"): ("grams", "_id"),
    (SONGS, "artist"): ("artist_key", "_id"),
    (SONGS, "level"): ("level", "_id", "milli"),
    (CLAIMS, "song"): ("born", "song"),
    (SESSIONS, "user"): ("user_id",),
    (SESSIONS, "expiry"): ("expires_at",),
}
SHARDED: Final[dict[str, dict[str, int | str]]] = {
    RATINGS: {"_id": 1},
    CLAIMS: {"_id": "hashed"},
    SESSIONS: {"_id": "hashed"},
}
"""The shard keys that a sharded cluster is to be given."""


T = TypeVar("T")
Commands = Callable[[Database[Document], ClientSession | None], T]
"""Commands on the database; each is given the session."""

Bounded = Callable[[float], AbstractContextManager[None]]
"""Returns what bounds the commands in a block to so many seconds."""

LARGEST_BATCH: Final = 10_000


def in_one_batch(cursor: Cursor[Document], most: int) -> Cursor[Document]:
    """Return a cursor that fetches up to `most` documents in one round trip.

    By default the server's first answer holds 101. More than fits into one answer (16 MiB) takes several still.
    """
    return cursor.batch_size(max(1, min(most + 1, LARGEST_BATCH)))


class Transaction(Protocol):
    """Commands of one unit of work, bounded by its deadline, with errors translated."""

    @property
    def transactional(self) -> bool:
        """Whether the commands are part of a transaction, which the first error of the server ends."""
        ...

    def writing(self) -> object:
        """Begin one write, of any number of commands; raise `ScopeViolation` where the unit may not write."""
        ...

    def read(self, commands: Commands[T]) -> T:
        """Run commands that change nothing; return what they return."""
        ...

    def try_to_read(self, commands: Commands[T]) -> T | None:
        """Run commands whose result only makes others faster, with a part of the time; return it, or None.

        It is None where they fail, take too long, or would be part of a transaction, which a failure of theirs ends.
        """
        ...

    def write(self, commands: Commands[T], *, many: bool = False) -> T:
        """Run commands of a write; return what they return.

        Args:
            commands: What to run.
            many: They change many documents, each by itself: where one is refused, others may be changed.

        Raises:
            Conflict: A unique member is taken (outside of a transaction; within one, that is a `TransientConflict`).
        """
        ...

    def confirm(self) -> None:
        """Return if the data are there still that the storage was opened with: after a write that does not show it.

        A change of a document that is there shows it. An insertion creates whatever is missing, and what removes
        nothing may have looked in a database that was dropped.
        """
        ...

    def given_up(self) -> SongsError:
        """Return the error for a write that others were in the way of too often."""
        ...

    def afterwards(self, tidy: Callable[[], None]) -> None:
        """Have `tidy` run once the unit's writes are kept. It runs outside of the transaction, and may fail."""
        ...
