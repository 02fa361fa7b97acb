"""Schemas: made, brought up to date, refused."""

import psycopg
import pytest
from pydantic import SecretStr
from tests.postgres.database_user import User, deadline, folded, song

from songs.errors import StorageMismatch, StorageUnavailable
from songs.ports.coherence import CoherenceRecord
from songs.ports.storage import Scope
from songs.query import SongFilter
from songs.text import FOLD_VERSION
from songs_postgres import PostgresStorage
from songs_postgres.migrations import NEWEST
from songs_postgres.testing import restored
from songs_system.system import SystemClock


def _storage(user: User, **changes: object) -> PostgresStorage:
    return PostgresStorage(user.settings.model_copy(update=changes), SystemClock(), connections=1)


def test_a_newer_schema(user: User) -> None:
    """It is refused, by opening and by preparing, and left as it is."""
    user.sql("UPDATE schema_version SET version = version + 1")
    for refused in (_storage(user).open, user.storage.prepare):
        with pytest.raises(StorageMismatch, match=f"version {NEWEST + 1}"):
            refused()
    user.sql("UPDATE schema_version SET version = version - 1")
    user.storage.prepare()
    user.rate("r1")


def test_a_schema_that_was_not_prepared(user: User) -> None:
    """It can be opened, and is not ready; preparing in another process's place makes it so."""
    storage = _storage(user, schema_name="songs_test_unprepared")
    storage.open()
    with pytest.raises(StorageMismatch, match="songs prepare"):
        storage.ping(deadline=deadline(20))
    try:
        storage.prepare()
        storage.ping(deadline=deadline(20))
    finally:
        storage.close()
        user.sql("DROP SCHEMA IF EXISTS songs_test_unprepared CASCADE")


@pytest.mark.parametrize("whole", [True, False])
def test_a_backup_that_was_restored_in_place(user: User, whole: bool) -> None:
    """Neither a worker that runs takes its tables for those of before, nor one that takes another's place."""
    identity = user.storage.identity()
    worker = _storage(user)
    with restored(user.settings, whole=whole):
        with pytest.raises(StorageUnavailable, match="not those of before; bring"):
            user.storage.ping(deadline=deadline(20))
        with pytest.raises(StorageUnavailable, match="other data than before; bring"):
            worker.open_existing(identity)
        assert user.storage.identity() != identity
    assert user.storage.identity() == identity
    user.rate("r1")


def test_folds_of_another_version(user: User) -> None:
    """Preparing folds the songs anew, so that they are found again; a second time it changes nothing."""
    user.add(*(song(f"s{n:05d}", title=f"Straße {n}") for n in range(10, 1010)))
    user.add(*(song(f"t{n:05d}", title=f"Straße {-n}") for n in range(10, 30)))
    user.sql("UPDATE songs SET title_fold = 'x'")
    user.sql("UPDATE schema_version SET fold = '0/0'")
    user.storage.prepare()
    found = user.run(Scope.READ, lambda unit: unit.songs.count(SongFilter(text=folded("STRASSE"))))
    assert found == 1020
    assert user.sql("SELECT version, fold FROM schema_version") == [(NEWEST, FOLD_VERSION)]


def test_preparing_again_writes_nothing(user: User) -> None:
    """What is up to date is only read."""
    version = "SELECT xmin::text, ctid::text FROM schema_version"
    before = user.sql(version)
    user.storage.prepare()
    assert user.sql(version) == before


def test_a_user_without_rights(user: User) -> None:
    """Where the extension is missing and cannot be created, the message says what an administrator has to run."""
    name = user.settings.schema_name.replace("songs_test", "songs_other")
    url = user.settings.url.get_secret_value()
    if user.sql("SELECT rolsuper FROM pg_roles WHERE rolname = current_user") != [(True,)]:
        pytest.skip("the user of SONGS_TEST_POSTGRES_URL may not create databases and users")
    user.sql(f"CREATE DATABASE {name}")
    user.sql(f"CREATE ROLE {name} LOGIN")
    inside = url.replace("/postgres", f"/{name}")
    try:
        with psycopg.connect(inside, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name} AUTHORIZATION {name}")
        other = _storage(user, url=SecretStr(inside.replace("songs@", f"{name}@")), schema_name=name)
        other.open()
        with pytest.raises(StorageMismatch, match="CREATE EXTENSION pg_trgm"):
            other.prepare()
        with psycopg.connect(inside, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION pg_trgm")
        other.prepare()
        other.ping(deadline=deadline(20))
        other.close()
    finally:
        user.sql(f"DROP DATABASE {name} WITH (FORCE)")
        user.sql(f"DROP ROLE {name}")


def test_a_database_of_another_encoding(user: User) -> None:
    """It is refused, because it cannot hold every title."""
    if user.sql("SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user") != [(True,)]:
        pytest.skip("the user of SONGS_TEST_POSTGRES_URL may not create databases")
    name = user.settings.schema_name.replace("songs_test", "songs_latin")
    user.sql(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        url = user.settings.url.get_secret_value().replace("/postgres", f"/{name}")
        with pytest.raises(StorageMismatch, match="--encoding=UTF8"):
            _storage(user, url=SecretStr(url)).open()
    finally:
        user.sql(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_schema_of_the_version_before(user: User) -> None:
    """The coherence record is kept and names no cache; a process of before, which knows no names, leaves them alone."""
    user.sql("ALTER TABLE coherence DROP COLUMN cache")
    user.sql("ALTER TABLE schema_version DROP COLUMN identity")
    user.sql(
        "ALTER TABLE ratings ADD CONSTRAINT ratings_song_id_fkey "
        "FOREIGN KEY (song_id) REFERENCES stats ON DELETE CASCADE"
    )
    user.sql("ALTER TABLE stats DROP COLUMN incarnation")
    user.sql("DROP TABLE deleted_songs")
    user.sql("UPDATE coherence SET epoch = 7, cache_on = false")
    user.sql("UPDATE schema_version SET version = 1")
    user.storage.close()
    user.storage.open()
    user.storage.prepare()

    def read() -> CoherenceRecord:
        return user.run(Scope.READ, lambda unit: unit.coherence.read())

    assert read() == CoherenceRecord(7, cache_on=False)
    user.run(Scope.WRITE_ONE, lambda unit: unit.coherence.advance(expected_epoch=7, cache_on=False, cache="redis 0 a"))
    user.sql("UPDATE coherence SET epoch = epoch + 1, cache_on = true WHERE epoch = 8")
    assert read() == CoherenceRecord(9, cache_on=True, cache="redis 0 a")
