"""Importing songs in bulk: new songs are added, existing ones are updated or left alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from songs.application.changes import CATALOGUE, Changes, song_group
from songs.application.runner import UnitRunner
from songs.errors import SongNotFound, VersionConflict
from songs.model import Song, SongDetails, SongIdentity
from songs.ports.clock import Deadline
from songs.ports.ids import IdGenerator

BATCH: Final = 500


@dataclass(slots=True)
class ImportCounts:
    """The results of an import: how many songs were added, updated and unchanged."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0


@dataclass(slots=True)
class _Plan:
    """The writes of one pass over a batch, by identity."""

    new: dict[SongIdentity, Song] = field(default_factory=dict)
    changed: dict[SongIdentity, Song] = field(default_factory=dict)
    unchanged: list[str] = field(default_factory=list)
    """Their ids."""


class Importer:
    """Imports songs. Artist, title and release date identify a song; difficulty and level may have changed.

    Each song is written atomically, but a batch is not. Running an interrupted import again completes it, and leaves
    songs that are up to date alone.
    """

    def __init__(self, runner: UnitRunner, changes: Changes, ids: IdGenerator) -> None:
        self._runner = runner
        self._changes = changes
        self._ids = ids

    def apply(self, batch: Sequence[SongDetails], *, deadline: Deadline) -> ImportCounts:
        """Write up to `BATCH` songs and return what became of them. Of two with one identity the later one counts.

        Raises:
            Unavailable: The storage did not answer in time; part of the batch may be written.
        """
        counts = ImportCounts()
        touched = {CATALOGUE}
        rest = list(batch)
        try:
            while rest:
                wanted: dict[SongIdentity, SongDetails] = {}
                repeated = [d for d in rest if wanted.setdefault(d.identity, d) is not d]
                while wanted:
                    plan = self._plan(wanted, deadline)
                    counts.unchanged += len(plan.unchanged)
                    # Their writer, perhaps a killed import, may not have invalidated the caches.
                    touched.update(map(song_group, plan.unchanged))
                    wanted = self._write(plan, wanted, counts, touched, deadline)
                rest = repeated
        finally:
            self._changes.publish_write(touched)
        return counts

    def _plan(self, wanted: dict[SongIdentity, SongDetails], deadline: Deadline) -> _Plan:
        stored = self._runner.read(lambda unit: unit.songs.identify(wanted), deadline=deadline)
        plan = _Plan()
        for identity, details in wanted.items():
            song = stored.get(identity)
            if song is None:
                plan.new[identity] = Song(id=self._ids.new_id(), details=details)
            elif song.details == details:
                plan.unchanged.append(song.id)
            else:
                plan.changed[identity] = Song(id=song.id, details=details, version=song.version + 1)
        return plan

    def _write(
        self,
        plan: _Plan,
        wanted: dict[SongIdentity, SongDetails],
        counts: ImportCounts,
        touched: set[str],
        deadline: Deadline,
    ) -> dict[SongIdentity, SongDetails]:
        """Write the plan; return what other writers came before us with, to be planned again."""
        again: dict[SongIdentity, SongDetails] = {}
        new = list(plan.new.values())
        if new:
            refused = self._runner.write(lambda unit: unit.songs.add_many(new), deadline=deadline)
            counts.added += len(new) - len(refused)
            again.update({song.identity: wanted[song.identity] for song in new if song.id in refused})
        for identity, song in plan.changed.items():
            touched.add(song_group(song.id))
            try:
                self._replace(song, deadline)
            except (VersionConflict, SongNotFound):
                again[identity] = wanted[identity]
            else:
                counts.updated += 1
        if again:
            deadline.check()
        return again

    def _replace(self, song: Song, deadline: Deadline) -> None:
        self._runner.write(lambda unit: unit.songs.replace(song, if_version=song.version - 1), deadline=deadline)
