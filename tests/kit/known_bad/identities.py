"""Storages that take other data for theirs, or begin new ones."""

from pathlib import Path
from typing import ClassVar

from songs.errors import StorageUnavailable
from songs_sqlite.files import OpenFiles, Shortened
from songs_sqlite.pool import Pool
from songs_sqlite.storage import SqliteStorage

from .maintenance import planted


class _OpensAndPrepares(SqliteStorage):
    def open_existing(self, identity: str | None = None) -> None:
        """Make what is not there."""
        try:
            super().open_existing(identity)
        except StorageUnavailable:
            self.open()
            self.prepare()
            if identity is not None and self.identity() != identity:
                self.close()
                raise


missing_data_are_begun_anew = planted(_OpensAndPrepares)


class _OpenPrepares(SqliteStorage):
    def open(self) -> None:
        """Have everything ready."""
        super().open()
        super().prepare()


opening_begins_data = planted(_OpenPrepares)


class _TakesAny(SqliteStorage):
    def open_existing(self, identity: str | None = None) -> None:
        """Open whatever was prepared."""
        super().open_existing()


any_data_are_taken = planted(_TakesAny)


class _StaysOpen(SqliteStorage):
    def open_existing(self, identity: str | None = None) -> None:
        """Compare when it is too late."""
        super().open_existing()
        if identity is not None and self.identity() != identity:
            raise StorageUnavailable


refused_data_stay_open = planted(_StaysOpen)


class _NameOfThePlace(SqliteStorage):
    def identity(self) -> str:
        """Return what all files have."""
        super().identity()
        return "songs"

    def open_existing(self, identity: str | None = None) -> None:
        """Compare with that."""
        if identity not in {None, "songs"}:
            raise StorageUnavailable
        super().open_existing()


all_data_are_the_same = planted(_NameOfThePlace)


class _LooksOnce(OpenFiles):
    def check(self) -> tuple[bool, Shortened | None]:
        """Believe that what was there is there."""
        return (False, None) if self.are_there else super().check()

    def check_written(self) -> Shortened | None:
        """Believe that what was written will be found."""
        return None


class _TakesItsPlace(OpenFiles):
    def check_database(self) -> Shortened | None:
        """Take whatever has the name now, such as a backup, for the database."""
        if Path(self._path).exists():
            self.adopt()
        return super().check_database()


class _Trusting(SqliteStorage):
    files: ClassVar[type[OpenFiles]] = _LooksOnce

    def _opened(self) -> Pool:
        pool = super()._opened()
        if type(pool.files) is OpenFiles:
            pool.files.__class__ = self.files
        return pool


data_are_never_looked_for_again = planted(_Trusting)


class _TrustingTheName(_Trusting):
    files = _TakesItsPlace


any_file_of_the_name_is_taken = planted(_TrustingTheName)
