"""Looking for what does not agree in a file, and mending it, in transactions that are short but for an index.

What is compared is read in one statement, so that writers in between make nothing look wrong; what is mended is read
and written in one transaction that holds the write lock, so that no write comes between.
"""
# ruff: noqa: S608 - statements are put together from constants of this module; values are bound

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, suppress
from functools import cache
from itertools import chain
from typing import Final

from songs.errors import StorageDamaged, StorageUnavailable
from songs.ports.clock import Clock, Deadline
from songs.ports.maintenance import Finding
from songs.ports.storage import Scope
from songs.text import FOLD_VERSION, fold
from songs_sqlite.connection import Row
from songs_sqlite.migrations import MIGRATIONS
from songs_sqlite.pool import Pool, collect_orphans
from songs_sqlite.songs import LONGEST, TRIGRAM
from songs_sqlite.unit import Unit

Definition = tuple[str, str, str]
"""The kind, name and defining statement of a table, index or trigger."""

BATCH: Final = 500
"""Songs that are looked at, or ratings that are removed, in one transaction."""
PATIENCE_S: Final = 60.0
"""How long one transaction may wait for its turn and take."""
WHOLE_FILE_S: Final = 3600.0
"""How long reading the whole file may take, which keeps nobody waiting."""

SCHEMA: Final = "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL"
SEARCH_INDEX: Final = "songs_search"
SOUND: Final = [("ok",)]
BEYOND_ALL_IDS: Final = "\x7f"
STATS: Final = """
    WITH page AS (
        SELECT one.id, CASE WHEN stats.song_id IS NOT NULL THEN coalesce(stats.incarnation, one.id) ELSE coalesce((
            SELECT max(song_id) FROM ratings WHERE ratings.song_id > one.id || '/' AND ratings.song_id < one.id || '0'
            AND NOT EXISTS (SELECT 1 FROM deleted_songs WHERE incarnation = ratings.song_id)
        ), one.id) END AS incarnation
        FROM (SELECT id FROM songs WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3) AS one
        LEFT JOIN stats ON stats.song_id = one.id
    )
    SELECT page.id, page.incarnation, stats.n1, stats.n2, stats.n3, stats.n4, stats.n5,
        count(*) FILTER (WHERE value = 1), count(*) FILTER (WHERE value = 2), count(*) FILTER (WHERE value = 3),
        count(*) FILTER (WHERE value = 4), count(*) FILTER (WHERE value = 5)
    FROM page LEFT JOIN stats ON stats.song_id = page.id LEFT JOIN ratings ON ratings.song_id = page.incarnation
    GROUP BY page.id ORDER BY page.id
"""
RECOUNT: Final = """
    INSERT INTO stats (song_id, incarnation, n1, n2, n3, n4, n5) VALUES (?1, nullif(?2, ?1), ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (song_id)
    DO UPDATE SET n1 = excluded.n1, n2 = excluded.n2, n3 = excluded.n3, n4 = excluded.n4, n5 = excluded.n5
"""
RATINGS_OF_NOTHING: Final = (
    "FROM ratings WHERE NOT EXISTS "
    "(SELECT 1 FROM songs WHERE songs.id = substr(ratings.song_id, 1, instr(ratings.song_id || '/', '/') - 1)) "
    "AND NOT EXISTS (SELECT 1 FROM deleted_songs WHERE incarnation = ratings.song_id) "
    # Whatever the incarnation of a song is called, the ports show its ratings.
    "AND ratings.song_id NOT IN "
    "(SELECT incarnation FROM stats JOIN songs ON songs.id = stats.song_id WHERE incarnation IS NOT NULL)"
)
REMOVE_RATINGS: Final = f"DELETE FROM ratings WHERE (song_id, id) IN (SELECT song_id, id {RATINGS_OF_NOTHING} LIMIT ?)"
STATS_OF_NOTHING: Final = "FROM stats WHERE NOT EXISTS (SELECT 1 FROM songs WHERE songs.id = stats.song_id)"
REMOVE_STATS: Final = f"DELETE FROM stats WHERE song_id IN (SELECT song_id {STATS_OF_NOTHING} LIMIT ?)"
TOTALS: Final = """
    SELECT level, sum(kept), sum(kept_milli), sum(found), sum(found_milli) FROM (
        SELECT level, count AS kept, sum_milli AS kept_milli, 0 AS found, 0 AS found_milli FROM level_totals
        UNION ALL SELECT level, 0, 0, count(*), sum(difficulty_milli) FROM songs GROUP BY level
    ) GROUP BY level HAVING sum(kept) <> sum(found) OR sum(kept_milli) <> sum(found_milli)
"""
ADD_UP: Final = (
    "DELETE FROM level_totals",
    "INSERT INTO level_totals SELECT level, count(*), sum(difficulty_milli) FROM songs GROUP BY level",
)
SONGS: Final = "SELECT num, id, artist, title, artist_fold, title_fold FROM songs WHERE num > ? ORDER BY num LIMIT ?"
INDEXED: Final = "SELECT 1 FROM songs_search WHERE songs_search MATCH ? AND rowid = ?"
BUILD_SEARCH: Final = "INSERT INTO songs_search (songs_search) VALUES ('rebuild')"
REFOLD: Final = "UPDATE songs SET artist_fold = ?, title_fold = ? WHERE num = ?"
STORED_FOLDS: Final = "SELECT value FROM meta WHERE name = 'fold_version'"
NOTE_FOLDS: Final = "INSERT OR REPLACE INTO meta VALUES ('fold_version', ?)"


def versions(pool: Pool, clock: Clock) -> dict[str, str]:
    """Return the versions of the schema, the folds and SQLite."""
    with Unit(pool, Scope.READ, Deadline.after(clock, PATIENCE_S)) as unit:
        ((schema,),), stored = unit.rows("PRAGMA user_version"), unit.rows(STORED_FOLDS)
    return {"schema": str(schema), "folds": _version(stored), "SQLite": sqlite3.sqlite_version}


class Examination:
    """One look at everything, from the ground up: what comes later relies on what came before."""

    def __init__(self, pool: Pool, clock: Clock, *, repair: bool) -> None:
        self._pool = pool
        self._clock = clock
        self._repair = repair

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong, mended where that is wanted and possible."""
        tables_lack = False
        for finding, is_table in self._schema():
            tables_lack |= is_table
            yield finding
        if tables_lack:
            return
        yield from self._file()
        yield from self._stats()
        yield from self._orphans()
        yield from self._totals()
        yield from self._search_index()
        yield from self._folds()

    def _schema(self) -> Iterator[tuple[Finding, bool]]:
        """Yield what is missing or defined otherwise, and whether it is a table, which cannot be mended."""
        found = {name: (kind, name, sql) for kind, name, sql in self._read(SCHEMA)}
        for wanted in _expected_schema():
            kind, name, _ = wanted
            there = found.get(name)
            if kind == "table" and there is None:
                yield Finding(what=f"the table {name} is missing: stop the service and restore a backup"), True
            elif kind != "table" and there != wanted:
                what = f"the {kind} {name} is {'missing' if there is None else 'defined otherwise'}"
                mended = self._repair and self._define(wanted, there)
                yield Finding(what=what, remedy="create it again", mended=mended), False

    def _define(self, wanted: Definition, there: Definition | None) -> bool:
        kind, name, sql = wanted
        # A unique index cannot be made while a value is there twice; the finding stays then.
        with suppress(StorageUnavailable), self._writing() as unit:
            if there is not None:
                unit.change(f"DROP {kind} {name}")
            unit.change(sql)
            return True
        return False

    def _file(self) -> Iterator[Finding]:
        """Compare pages, rows and indexes; an index that does not agree with its table is rebuilt."""
        lines = self._read("PRAGMA integrity_check", patience_s=WHOLE_FILE_S)
        if lines == SOUND:
            return
        if self._repair:
            with suppress(StorageUnavailable), self._writing() as unit:
                unit.change("REINDEX")
                if any(SEARCH_INDEX in line for (line,) in lines):
                    unit.change(BUILD_SEARCH)
        left = self._read("PRAGMA integrity_check", patience_s=WHOLE_FILE_S) if self._repair else lines
        for (line,) in lines:
            stays = self._repair and (line,) in left
            if " index " in line and not stays:
                yield Finding(what=f"the file: {line}", remedy="rebuild its indexes", mended=self._repair)
            else:
                yield Finding(what=f"the file: {line}: stop the service and restore a backup")

    def _stats(self) -> Iterator[Finding]:
        last = ""
        while rows := self._read(STATS, last, BEYOND_ALL_IDS, BATCH):
            after, last = last, rows[-1][0]
            wrong = [row for row in rows if row[2:7] != row[7:]]
            if wrong and self._repair:
                with self._writing() as unit:
                    # Others may have rated since: what is stored now was counted under the lock.
                    now = unit.rows(STATS, (after, last, -1))
                    unit.change_each(RECOUNT, [(*row[:2], *row[7:]) for row in now if row[2:7] != row[7:]])
            for song_id, _, *counts in wrong:
                kept, found = counts[:5], counts[5:]
                say = "are missing" if None in kept else f"are {_shown(kept)}"
                yield Finding(
                    what=f"the statistics of the song {song_id} {say}, where its ratings make {_shown(found)}",
                    remedy="recount them",
                    mended=self._repair,
                )

    def _orphans(self) -> Iterator[Finding]:
        """Ratings and statistics of songs that are gone, but for what is being removed anyway."""
        while self._repair and self._collect():
            pass
        for kind, condition, remove in (
            ("ratings", RATINGS_OF_NOTHING, REMOVE_RATINGS),
            ("statistics", STATS_OF_NOTHING, REMOVE_STATS),
        ):
            ((count,),) = self._read(f"SELECT count(*) {condition}")
            if not count:
                continue
            if self._repair:
                self._remove(remove)
            yield Finding(what=f"{count} {kind} of songs that are gone", remedy="remove them", mended=self._repair)

    def _collect(self) -> bool:
        with self._writing() as unit:
            return collect_orphans(unit)

    def _remove(self, statement: str) -> None:
        while True:
            with self._writing() as unit:
                if not unit.change(statement, (BATCH,)):
                    return

    def _totals(self) -> Iterator[Finding]:
        wrong = self._read(TOTALS)
        if wrong and self._repair:
            with self._writing() as unit:
                for statement in ADD_UP:
                    unit.change(statement)
        for level, kept, kept_milli, found, found_milli in wrong:
            yield Finding(
                what=f"the totals of level {level} are {kept} songs and {kept_milli} thousandths of difficulty, "
                f"where its songs make {found} and {found_milli}",
                remedy="add them up again",
                mended=self._repair,
            )

    def _search_index(self) -> Iterator[Finding]:
        try:
            lacking = self._not_indexed()
        except StorageDamaged:
            what = "the search index is damaged"
        else:
            if not lacking:
                return
            what = f"the search index lacks {len(lacking)} songs, the song {lacking[0]} first"
        if self._repair and not self._rebuilt():
            yield Finding(what=f"{what} and cannot be rebuilt: stop the service and restore a backup")
        else:
            yield Finding(what=what, remedy="rebuild it", mended=self._repair)

    def _not_indexed(self) -> list[str]:
        """Return the ids of the songs that searches miss; raise `StorageDamaged` where the index cannot be read."""
        lacking: list[str] = []
        last = 0
        while True:
            with self._reading() as unit:
                rows = unit.rows(SONGS, (last, BATCH))
                lacking += [row[1] for row in rows if not _is_indexed(unit, row)]
            if not rows:
                return lacking
            last = rows[-1][0]

    def _rebuilt(self) -> bool:
        # It is not where the tables that FTS5 keeps it in, or the songs, are damaged.
        with suppress(StorageDamaged), self._writing() as unit:
            unit.change(BUILD_SEARCH)
            return True
        return False

    def _folds(self) -> Iterator[Finding]:
        """Compare the folds; the version is noted when all are known to be of this one."""
        wrong = 0
        last = 0
        while rows := self._read(SONGS, last, BATCH):
            outdated = sum(not _folded(row) for row in rows)
            if outdated and self._repair:
                with self._writing() as unit:
                    now = [row for row in unit.rows(SONGS, (last, BATCH)) if not _folded(row)]
                    unit.change_each(REFOLD, [(fold(row[2]), fold(row[3]), row[0]) for row in now])
            wrong += outdated
            last = rows[-1][0]
        stored = self._read(STORED_FOLDS)
        if not wrong and stored == [(FOLD_VERSION,)]:
            return
        if self._repair:
            with self._writing() as unit:
                unit.change(NOTE_FOLDS, (FOLD_VERSION,))
        yield Finding(
            what=f"{wrong} songs are not folded as version {FOLD_VERSION} folds them, and the data say that version "
            f"{_version(stored)} did: searches may miss them",
            remedy="fold them again",
            mended=self._repair,
        )

    def _read(self, sql: str, *parameters: object, patience_s: float = PATIENCE_S) -> list[Row]:
        with Unit(self._pool, Scope.READ, Deadline.after(self._clock, patience_s)) as unit:
            return unit.rows(sql, parameters)

    def _reading(self) -> AbstractContextManager[Unit]:
        return Unit(self._pool, Scope.READ, Deadline.after(self._clock, PATIENCE_S))

    def _writing(self) -> AbstractContextManager[Unit]:
        return Unit(self._pool, Scope.WRITE_MANY, Deadline.after(self._clock, PATIENCE_S))


@cache
def _expected_schema() -> tuple[Definition, ...]:
    """Return what `prepare` makes, but for the tables that a search index has inside."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for statement in chain.from_iterable(MIGRATIONS):
            connection.execute(statement)
        return tuple(row for row in connection.execute(SCHEMA) if not row[1].startswith(f"{SEARCH_INDEX}_"))


def _is_indexed(unit: Unit, row: Row) -> bool:
    num, _, _, _, *folds = row
    return all(
        unit.rows(INDEXED, (f"{column} : {_phrase(each)}", num))
        for column, each in zip(("artist_fold", "title_fold"), folds, strict=True)
        if len(each) >= TRIGRAM
    )


def _phrase(text: str) -> str:
    doubled = text[:LONGEST].replace('"', '""')
    return f'"{doubled}"'


def _folded(row: Row) -> bool:
    _, _, artist, title, *folds = row
    return folds == [fold(artist), fold(title)]


def _version(stored: list[Row]) -> str:
    return str(stored[0][0]) if stored else "none"


def _shown(counts: list[int]) -> str:
    return "/".join(map(str, counts))
