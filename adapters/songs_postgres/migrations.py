"""The tables, and making a database ready: checked, brought up to date, its texts folded again.

- Ids, names and keys are compared as bytes (``COLLATE "C"``), whatever the database's own collation is.
- Texts may be longer than a row of an index. So the identity is kept unique by its SHA-256, and a folded artist is
  found by its hash and then compared.
- ``stats`` is apart from ``songs`` so that a rating rewrites one narrow row, in place, and touches no index. A row of
  it is there exactly as long as its song, by a foreign key.
- Ratings stand under their song's incarnation: its id, or another name where an earlier song with that id has left
  ratings behind (`songs_postgres.ratings`). NULL: the id.
- ``level_totals`` is changed by the statement that changes ``songs``. Each level has up to 16 rows, and a
  connection uses one of them: writers seldom wait for each other, and a total is the sum of 16 rows, or 1616.
- The index of trigrams holds what `songs.text.fold` made. Without ``fastupdate = off`` each search would look through
  whatever was added since the last vacuum.
"""

import logging
from typing import Final, LiteralString

import psycopg
from psycopg import sql

from songs.errors import StorageMismatch, StorageUnavailable
from songs.ports.clock import Clock, Deadline
from songs.text import FOLD_VERSION, fold
from songs_postgres.connection import Connection, Row

MIGRATIONS: Final[tuple[LiteralString, ...]] = (
    """
    CREATE TABLE songs (
        id text COLLATE "C" PRIMARY KEY,
        artist text COLLATE "C" NOT NULL,
        title text COLLATE "C" NOT NULL,
        difficulty_milli integer NOT NULL,
        level smallint NOT NULL,
        released date NOT NULL,
        version bigint NOT NULL,
        identity_key bytea NOT NULL CONSTRAINT songs_by_identity UNIQUE,
        artist_fold text COLLATE "C" NOT NULL,
        title_fold text COLLATE "C" NOT NULL
    );
    CREATE INDEX songs_by_level ON songs (level, id);
    CREATE INDEX songs_by_artist ON songs (hashtextextended(artist_fold, 0), id);
    CREATE INDEX songs_by_trigram ON songs USING gin (
        artist_fold {trigrams}.gin_trgm_ops, title_fold {trigrams}.gin_trgm_ops
    ) WITH (fastupdate = off);
    CREATE TABLE stats (
        song_id text COLLATE "C" PRIMARY KEY REFERENCES songs ON DELETE CASCADE,
        n1 bigint NOT NULL DEFAULT 0,
        n2 bigint NOT NULL DEFAULT 0,
        n3 bigint NOT NULL DEFAULT 0,
        n4 bigint NOT NULL DEFAULT 0,
        n5 bigint NOT NULL DEFAULT 0
    ) WITH (fillfactor = 50);
    CREATE TABLE ratings (
        song_id text COLLATE "C" NOT NULL REFERENCES stats ON DELETE CASCADE,
        id text COLLATE "C" NOT NULL,
        user_id text COLLATE "C" NOT NULL,
        value smallint NOT NULL CHECK (value BETWEEN 1 AND 5),
        rated_at_ms bigint NOT NULL,
        key text COLLATE "C",
        PRIMARY KEY (song_id, id)
    );
    CREATE UNIQUE INDEX ratings_by_key ON ratings (user_id, key) WHERE key IS NOT NULL;
    CREATE TABLE level_totals (
        level smallint NOT NULL,
        slot smallint NOT NULL,
        songs bigint NOT NULL,
        sum_milli bigint NOT NULL,
        PRIMARY KEY (level, slot)
    ) WITH (fillfactor = 50);
    CREATE TABLE users (
        id text COLLATE "C" PRIMARY KEY,
        name text COLLATE "C" NOT NULL,
        name_key text COLLATE "C" NOT NULL UNIQUE,
        password_hash text NOT NULL,
        role text NOT NULL,
        disabled boolean NOT NULL,
        created_at_ms bigint NOT NULL,
        token_version bigint NOT NULL,
        version bigint NOT NULL
    );
    CREATE TABLE sessions (
        id text COLLATE "C" PRIMARY KEY,
        user_id text COLLATE "C" NOT NULL,
        current_hash text NOT NULL,
        previous_hash text,
        created_at_ms bigint NOT NULL,
        rotated_at_ms bigint NOT NULL,
        expires_at_ms bigint NOT NULL
    );
    CREATE INDEX sessions_by_user ON sessions (user_id);
    CREATE INDEX sessions_by_expiry ON sessions (expires_at_ms);
    CREATE TABLE coherence (epoch bigint NOT NULL, cache_on boolean NOT NULL);
    INSERT INTO coherence VALUES (1, true);
    """,
    # A process of an older version that is still running leaves it as it is.
    "ALTER TABLE coherence ADD COLUMN cache text NOT NULL DEFAULT ''",
    "ALTER TABLE schema_version ADD COLUMN identity uuid NOT NULL DEFAULT gen_random_uuid();",
    """
    ALTER TABLE ratings DROP CONSTRAINT ratings_song_id_fkey;
    ALTER TABLE stats ADD COLUMN incarnation text COLLATE "C";
    CREATE TABLE deleted_songs (incarnation text COLLATE "C" PRIMARY KEY);
    """,
)
"""The n-th of these takes a schema from version n to n + 1. One that was released is never changed again."""

NEWEST: Final = len(MIGRATIONS)
"""The version that this program uses."""

TABLES: Final = (
    "songs",
    "stats",
    "ratings",
    "level_totals",
    "users",
    "sessions",
    "coherence",
    "deleted_songs",
    "schema_version",
)
"""All tables."""
_OID: Final[LiteralString] = "coalesce(to_regclass('{}')::oid, 0)"
TABLES_FOUND: Final[LiteralString] = "concat_ws(' ', " + ", ".join(_OID.format(each) for each in TABLES) + ")"
"""An expression for what the tables' names lead to: numbers that no other tables of the database have, 0 for none.

A table that was dropped and restored has another one, though a backup has the identity of what it was made of.
"""

PATIENCE_S: Final = 8.0
"""How long `open` and `prepare`, which are given no deadline, wait for the server and for locks of others."""
LONGEST_STEP_S: Final = 600.0
"""The bound of a step of `prepare` that waits for nobody: an index over many songs takes its time."""
REFOLD_BATCH: Final = 1000
OLDEST_SERVER: Final = 130000
"""PostgreSQL 13, the first in which an ordinary user may create the extension pg_trgm."""
LOCK_KEY: Final = 0x736F6E6773
"""The advisory lock of preparing ("songs" in ASCII). One for all schemas: the extension belongs to the database."""

# Not to_regclass(): within a transaction that has looked for a table before, it may not see one that was made since.
_HAS_TABLE: Final = (
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = %s AND tablename = 'schema_version')"
)
_HAS_SCHEMA: Final = "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = %s)"
_VERSIONS: Final = "SELECT version, fold FROM schema_version"
_EXTENSION: Final = (
    "SELECT nspname FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'pg_trgm'"
)
_FOLDED: Final = "SELECT id, artist, title FROM songs WHERE id > %s ORDER BY id LIMIT %s"
_REFOLD: Final = (
    "UPDATE songs SET artist_fold = new.artist_fold, title_fold = new.title_fold "
    "FROM unnest(%s::text[], %s::text[], %s::text[]) AS new (id, artist_fold, title_fold) WHERE songs.id = new.id "
    "AND (songs.artist_fold, songs.title_fold) IS DISTINCT FROM (new.artist_fold, new.title_fold)"
)

_log: Final = logging.getLogger("songs_postgres")


def check_database(connection: Connection, schema_name: str) -> None:
    """Return if the database can be used, or can be prepared to be used.

    Raises:
        StorageMismatch: It cannot.
    """
    version = connection.info.server_version
    if version < OLDEST_SERVER:
        raise StorageMismatch(f"PostgreSQL {version // 10000} is too old; use {OLDEST_SERVER // 10000} or newer.")
    encoding, synced = _one(connection, "SELECT current_setting('server_encoding'), current_setting('fsync')")
    if encoding != "UTF8":
        raise StorageMismatch(
            f"The database's encoding is {encoding}, which lacks characters of song titles; "
            "create one with `createdb --encoding=UTF8 --template=template0 NAME`."
        )
    if synced != "on":
        _log.warning("the PostgreSQL server runs with fsync=off: a crash of its machine loses acknowledged changes")
    _refuse_newer(_versions(connection, schema_name)[0], schema_name)


def tables_of(connection: Connection, schema_name: str, identity: str | None) -> str:
    """Return what the names of the tables lead to in a schema that this version prepared.

    Raises:
        StorageUnavailable: It was not prepared, or has not the identity that is given.
    """
    if _versions(connection, schema_name)[0] < NEWEST:
        raise StorageUnavailable(f"The schema {schema_name!r} was not prepared for this version; run `songs prepare`.")
    found = identity_of(connection)
    if identity not in {None, found}:
        raise StorageUnavailable(
            f"The schema {schema_name!r} holds other data than before; bring them back, or start the service again."
        )
    return found.partition(" ")[2]


def identity_of(connection: Connection) -> str:
    """Return a text that no other data have, nor a restored backup of these."""
    identity, tables = _one(connection, f"SELECT identity, {TABLES_FOUND} FROM schema_version")  # noqa: S608 - constants
    return f"{identity} {tables}"


def bring_up_to_date(connection: Connection, schema_name: str, clock: Clock) -> None:
    """Create or change what is missing, in one transaction. A database that is up to date is only read.

    Two processes may do this at once: the second waits for the first and finds nothing left to do.

    Raises:
        StorageMismatch: The schema is newer than this program, or the database lacks pg_trgm.
    """
    if _versions(connection, schema_name) == (NEWEST, FOLD_VERSION):
        return
    with connection.transaction():
        connection.execute("SELECT set_config('lock_timeout', %s, true)", (f"{PATIENCE_S * 1000:.0f}",))
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK_KEY,))
        version, folded = _versions(connection, schema_name)
        _refuse_newer(version, schema_name)
        connection.deadline = Deadline.after(clock, LONGEST_STEP_S)
        if version == 0:
            _create_schema(connection, schema_name)
        if version < NEWEST:
            trigrams = sql.Identifier(_extension(connection))
            for migration in MIGRATIONS[version:]:
                connection.execute(sql.SQL(migration).format(trigrams=trigrams))
            connection.execute("UPDATE schema_version SET version = %s", (NEWEST,))
        if folded != FOLD_VERSION:
            _refold(connection, clock)


def _versions(connection: Connection, schema_name: str) -> tuple[int, str]:
    """Return the version of the schema, 0 where it is missing, and that of its folded texts."""
    if not _one(connection, _HAS_TABLE, (schema_name,))[0]:
        return 0, ""
    version, folded = _one(connection, _VERSIONS)
    return int(version), str(folded)


def _refuse_newer(version: int, schema_name: str) -> None:
    if version > NEWEST:
        raise StorageMismatch(
            f"The schema {schema_name!r} has version {version}; this program knows versions up to {NEWEST}. "
            "Install a newer songs-api, or choose another schema."
        )


def _create_schema(connection: Connection, schema_name: str) -> None:
    """Create the schema where it is missing, which takes a right on the database, and the table of versions."""
    if not _one(connection, _HAS_SCHEMA, (schema_name,))[0]:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema_name)))
    connection.execute("CREATE TABLE schema_version (version integer NOT NULL, fold text NOT NULL)")
    connection.execute("INSERT INTO schema_version VALUES (0, '')")


def _extension(connection: Connection) -> str:
    """Return the schema of the extension pg_trgm, created where it is missing."""
    found = connection.execute(_EXTENSION).fetchone()
    if found is not None:
        return str(found[0])
    try:
        connection.execute("CREATE EXTENSION pg_trgm WITH SCHEMA public")
    except psycopg.Error as error:
        if error.sqlstate is None:
            raise
        raise StorageMismatch(
            "The database lacks the extension pg_trgm, and this user cannot create it "
            f"({error.diag.message_primary}). Install PostgreSQL's contrib modules if they are missing, and have an "
            "administrator run CREATE EXTENSION pg_trgm in this database."
        ) from error
    return "public"


def _refold(connection: Connection, clock: Clock) -> None:
    """Fold every song again, for another Python may bring another Unicode."""
    last = ""
    while rows := connection.execute(_FOLDED, (last, REFOLD_BATCH)).fetchall():
        last = rows[-1][0]
        ids, artists, titles = zip(*rows, strict=True)
        connection.deadline = Deadline.after(clock, LONGEST_STEP_S)
        connection.execute(_REFOLD, (list(ids), list(map(fold, artists)), list(map(fold, titles))))
    connection.execute("UPDATE schema_version SET fold = %s", (FOLD_VERSION,))


def _one(connection: Connection, statement: str, parameters: tuple[object, ...] = ()) -> Row:
    rows = connection.execute(statement, parameters).fetchall()
    if not rows:
        # As while a dump is being restored: of all that is asked here, only the table of versions can be empty.
        raise StorageMismatch("The database lacks the record of its version; restore a backup.")
    return rows[0]
