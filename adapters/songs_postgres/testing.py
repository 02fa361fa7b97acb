"""For the contract kit and for tests: a PostgreSQL server of one's own, and data that are taken away."""

import atexit
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from songs_postgres.migrations import TABLES
from songs_postgres.storage import PostgresSettings

FOLDERS: Final = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "usr/local/pgsql/bin", "opt/homebrew/bin")
PATIENCE_S: Final = 60.0
# The server ends with its maker, however that ends: the shell's standard input is a pipe that only the maker holds.
# SIGQUIT is sent again and again because the server ignores it until it has set itself up.
KEEPER: Final = """
    exec 3<&0
    "$@" 3<&- & server=$!
    echo $server
    (cat <&3 >/dev/null; while kill -QUIT $server 2>/dev/null; do sleep 0.1; done) &
    exec 3<&-
    wait $server
"""


class EphemeralServerError(Exception):
    """There is no server to be had; the message says why and what to do."""


def programs() -> Path:
    """Return the folder of the newest PostgreSQL server's programs on this machine.

    Raises:
        EphemeralServerError: PostgreSQL is not installed.
    """
    on_path = shutil.which("initdb")
    found = [Path(on_path)] if on_path else [path for each in FOLDERS for path in Path("/").glob(f"{each}/initdb")]
    found = [path.parent for path in found if path.with_name("postgres").exists()]
    if not found:
        raise EphemeralServerError(
            "there is no PostgreSQL to test with: set SONGS_TEST_POSTGRES_URL, or install Debian's package postgresql"
        )
    return max(found, key=lambda path: [int(digits) for digits in re.findall(r"\d+", str(path))])


class EphemeralServer:
    """A server that only this machine's users reach, by a socket in a folder of its own.

    It does not wait for the disk: of its data nothing is wanted once the machine has crashed.
    """

    def __init__(self) -> None:
        self._programs = programs()
        # A path of a socket may have some hundred characters: a test's own folder is often too deep.
        self.folder: Final = Path(tempfile.mkdtemp(prefix="songs-postgres-"))
        self.url: Final = f"postgresql://songs@/postgres?host={self.folder}"
        self.pid = 0
        self._keeper: subprocess.Popen[bytes] | None = None
        self._initialise()

    def start(self) -> None:
        """Start it, and return when it answers; with the data that it had when it was stopped.

        Raises:
            EphemeralServerError: It ended at once, or does not answer.
        """
        options = ["-k", str(self.folder), "-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB"]
        server = [str(self._programs / "postgres"), "-D", str(self.folder / "data"), *options]
        with (self.folder / "log").open("ab") as log:
            self._keeper = subprocess.Popen(  # noqa: S603 - the server, with our own arguments
                ["/bin/sh", "-c", KEEPER, "sh", *server],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                **_as_somebody(),
            )
        self.pid = int(self._keeper.stdout.readline()) if self._keeper.stdout else 0
        give_up_at_s = time.monotonic() + PATIENCE_S
        while not self._answers():
            if time.monotonic() > give_up_at_s or self._keeper.poll() is not None:
                self.stop()
                last = (self.folder / "log").read_text(errors="replace").splitlines()[-1:]
                raise EphemeralServerError(f"postgres did not start: {' '.join(last)}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it as a crash would: it recovers at its next start."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.communicate(timeout=PATIENCE_S)

    def remove(self) -> None:
        """End it, and remove its data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _initialise(self) -> None:
        if os.geteuid() == 0:
            shutil.chown(self.folder, **{name: _as_somebody()[name] for name in ("user", "group")})
        options = ["--auth=trust", "--username=songs", "--encoding=UTF8", "--locale=C", "--no-sync"]
        command = [str(self._programs / "initdb"), "-D", str(self.folder / "data"), *options]
        result = subprocess.run(  # noqa: S603 - as above
            command, capture_output=True, text=True, check=False, cwd=self.folder, **_as_somebody()
        )
        if result.returncode != 0:
            self.remove()
            raise EphemeralServerError(f"initdb failed: {result.stderr.strip()}")

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True


def _as_somebody() -> Mapping[str, Any]:
    """Return options that start a process as an ordinary user: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    names = [name for name in ("postgres", "nobody") if name in {each.pw_name for each in pwd.getpwall()}]
    user = pwd.getpwnam(names[0])
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@cache
def shared_ephemeral_server() -> EphemeralServer:
    """Return the server of this process, started when it is first asked for.

    Raises:
        EphemeralServerError: PostgreSQL is not installed, or does not start.
    """
    server = EphemeralServer()
    atexit.register(server.remove)
    server.start()
    return server


@contextmanager
def renamed(settings: PostgresSettings) -> Iterator[None]:
    """Let the schema have another name for the length of the block."""
    names = [sql.Identifier(settings.schema_name), sql.Identifier(f"{settings.schema_name}_aside")]
    with psycopg.connect(settings.url.get_secret_value(), autocommit=True) as connection:
        rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
        connection.execute(rename.format(*names))
        try:
            yield
        finally:
            connection.execute(rename.format(*reversed(names)))


@contextmanager
def restored(settings: PostgresSettings, *, whole: bool) -> Iterator[None]:
    """Have a copy in the place of the tables, as a backup that is restored; of the users alone, or of all of them."""
    names = TABLES if whole else ("users",)
    here, aside = sql.Identifier(settings.schema_name), sql.Identifier(f"{settings.schema_name}_aside")
    with psycopg.connect(settings.url.get_secret_value(), autocommit=True) as connection:

        def each(statement: LiteralString) -> None:
            for name in map(sql.Identifier, names):
                connection.execute(sql.SQL(statement).format(name=name, here=here, aside=aside))

        connection.execute(sql.SQL("CREATE SCHEMA {}").format(aside))
        each("ALTER TABLE {here}.{name} SET SCHEMA {aside}")
        each("CREATE TABLE {here}.{name} (LIKE {aside}.{name} INCLUDING ALL)")
        each("INSERT INTO {here}.{name} SELECT * FROM {aside}.{name}")
        try:
            yield
        finally:
            each("DROP TABLE {here}.{name}")
            each("ALTER TABLE {aside}.{name} SET SCHEMA {here}")
            connection.execute(sql.SQL("DROP SCHEMA {}").format(aside))


LOSSES: Final[Mapping[str, Callable[[PostgresSettings], AbstractContextManager[None]]]] = {
    "the schema": renamed,
    "the tables, for a backup": partial(restored, whole=True),
    "a table, for a backup": partial(restored, whole=False),
}
