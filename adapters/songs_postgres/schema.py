"""The tables, and how a database comes to have them.

- Ids, names and keys are compared as bytes (``COLLATE "C"``), whatever the database's own collation is.
- Texts may be longer than a row of an index. So the identity is kept unique by its SHA-256, and a folded artist is
  found by its hash and then compared.
- ``stats`` is apart from ``songs`` so that a rating rewrites one narrow row, in place, and touches no index. A row of
  it is there exactly as long as its song, by a foreign key.
- Ratings stand under their song's incarnation: its id, or another name where an earlier song with that id has left
  ratings behind (`leftovers`). NULL: the id.
- ``level_totals`` is changed by the statement that changes ``songs``. Each level has up to 16 rows, of which a
  connection uses one: writers seldom wait for each other, and a total is the sum of 16 rows, or 1616.
- The index of trigrams holds what `songs.text.fold` made. Without ``fastupdate = off`` each search would look through
  whatever was added since the last vacuum.
"""

from typing import Final, LiteralString

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
