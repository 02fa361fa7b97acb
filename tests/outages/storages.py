"""The storages that a service is run on here. Another one is another row."""

import os
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from tests.postgres.database_user import no_programs

from songs_mongo.testing import EphemeralServer
from songs_postgres.testing import EphemeralServer as PostgresServer

Variables = dict[str, str]
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
JSONFILE = EXAMPLES / "songs_jsonfile"


@dataclass(frozen=True, slots=True)
class Kind:
    """A storage.

    Attributes:
        name: What SONGS_STORAGE selects it by.
        workers: With how many processes a service runs on it.
        variables: Yields the settings of a new one in a folder; what it needs to run ends with the block.
    """

    name: str
    workers: int
    variables: Callable[[Path], AbstractContextManager[Variables]]


@contextmanager
def _sqlite(folder: Path) -> Iterator[Variables]:
    yield {"SONGS_SQLITE_PATH": str(folder / "songs.db")}


@contextmanager
def _jsonfile(folder: Path) -> Iterator[Variables]:
    yield {"SONGS_JSONFILE_PATH": str(folder / "songs.jsonl"), **_installed(JSONFILE, folder)}


@contextmanager
def _mongo(folder: Path) -> Iterator[Variables]:
    server = EphemeralServer(str(folder))
    try:
        yield {"SONGS_MONGO_URL": server.url}
    finally:
        server.stop()


@contextmanager
def _postgres(_folder: Path) -> Iterator[Variables]:
    if reason := no_programs():
        pytest.skip(reason)
    server = PostgresServer()
    try:
        server.start()
        yield {"SONGS_POSTGRES_URL": server.url}
    finally:
        server.remove()


@contextmanager
def _postgres_tables(folder: Path) -> Iterator[Variables]:
    """Only tables and indexes are in the folder: a server without room for its log ends, as PostgreSQL documents."""
    if reason := no_programs():
        pytest.skip(reason)
    server = PostgresServer()
    try:
        server.start()
        tables, owner = folder / "tables", server.folder.stat()
        tables.mkdir()
        os.chown(tables, owner.st_uid, owner.st_gid)
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE TABLESPACE small LOCATION {}").format(str(tables)))
            connection.execute("ALTER DATABASE postgres SET default_tablespace = small")
        yield {"SONGS_POSTGRES_URL": server.url}
    finally:
        server.remove()


def _installed(example: Path, folder: Path) -> Mapping[str, str]:
    """Return what lets a process find the adapters of an example as if it had been installed, editable."""
    project = tomllib.loads((example / "pyproject.toml").read_text())["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    adapters = "".join(f"{name} = {module}\n" for name, module in project["entry-points"]["songs.adapters"].items())
    (info / "entry_points.txt").write_text(f"[songs.adapters]\n{adapters}")
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(example / "src"), *filter(None, sys.path)])}


SQLITE = Kind("sqlite", 2, _sqlite)
MONGO = Kind("mongo", 2, _mongo)
POSTGRESQL = Kind("postgres", 2, _postgres)
JSON_FILE = Kind("jsonfile", 1, _jsonfile)
KINDS = (SQLITE, JSON_FILE, MONGO, POSTGRESQL)
POSTGRESQL_TABLES = Kind("postgres", 2, _postgres_tables)
KINDS_IN_A_FOLDER = (SQLITE, JSON_FILE, POSTGRESQL_TABLES)
"""Those whose data are in the folder that they are given; the stand-in for MongoDB is no witness of a full disk."""
