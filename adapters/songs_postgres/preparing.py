"""Making a database ready: looked at, brought up to date, folded texts made anew."""

import logging
from typing import Final

import psycopg
from psycopg import sql

from songs.errors import StorageMismatch, StorageUnavailable
from songs.ports.clock import Clock, Deadline
from songs.text import FOLD_VERSION, fold
from songs_postgres.connection import Connection, Row
from songs_postgres.schema import MIGRATIONS, NEWEST, TABLES_FOUND

PATIENCE_S: Final = 8.0
"""How long `open` and `prepare`, which are given no deadline, wait for the server and for locks of others."""
LONGEST_STEP_S: Final = 600.0
"""What bounds a step of `prepare` that works by itself: an index over many songs takes its time."""
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


def look_at(connection: Connection, schema_name: str) -> None:
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
    """Return what tells the data of a prepared schema from others, a restored backup of them included."""
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
    """Return the version of the schema, 0 where there is none, and that of its folded texts."""
    if not _one(connection, _HAS_TABLE, (schema_name,))[0]:
        return 0, ""
    version, folded = _one(connection, _VERSIONS)
    return int(version), str(folded)


def _refuse_newer(version: int, schema_name: str) -> None:
    if version > NEWEST:
        raise StorageMismatch(
            f"The schema {schema_name!r} has version {version}; this program knows versions up to {NEWEST}. "
            "Install a newer songs-postgres, or choose another schema."
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
    """Fold every song anew, for another Python may bring another Unicode."""
    last = ""
    while rows := connection.execute(_FOLDED, (last, REFOLD_BATCH)).fetchall():
        last = rows[-1][0]
        ids, artists, titles = zip(*rows, strict=True)
        connection.deadline = Deadline.after(clock, LONGEST_STEP_S)
        connection.execute(_REFOLD, (list(ids), list(map(fold, artists)), list(map(fold, titles))))
    connection.execute("UPDATE schema_version SET fold = %s", (FOLD_VERSION,))


def _one(connection: Connection, statement: str, parameters: tuple[object, ...] = ()) -> Row:
    return connection.execute(statement, parameters).fetchall()[0]
