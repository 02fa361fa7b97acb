"""The coherence record."""

from typing import TYPE_CHECKING

from songs.ports.coherence import CoherenceRecord
from songs_jsonfile.changes import Put

if TYPE_CHECKING:
    from songs_jsonfile.unit import Unit


class JsonFileCoherence:
    """The coherence record, in one unit of work."""

    def __init__(self, unit: "Unit") -> None:
        self._unit = unit

    def read(self) -> CoherenceRecord:
        with self._unit.read() as state:
            return state.coherence

    def advance(self, *, expected_epoch: int, cache_on: bool, cache: str = "") -> CoherenceRecord:
        with self._unit.write() as state:
            if state.coherence.epoch == expected_epoch:
                self._unit.record(Put((CoherenceRecord(expected_epoch + 1, cache_on, cache),)))
            return state.coherence
