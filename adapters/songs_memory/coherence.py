"""The coherence repository."""

from dataclasses import replace

from songs.ports.coherence import CoherenceRecord
from songs_memory.view import View


class MemoryCoherence:
    """The coherence record, within one unit of work."""

    __slots__ = ("_view",)

    def __init__(self, view: View) -> None:
        self._view = view

    def read(self) -> CoherenceRecord:
        return self._view.reading().coherence

    def advance(self, *, expected_epoch: int, cache_on: bool, cache: str = "") -> CoherenceRecord:
        state = self._view.writing()
        if state.coherence.epoch != expected_epoch:
            return state.coherence
        record = CoherenceRecord(expected_epoch + 1, cache_on, cache)
        self._view.stage(replace(state, coherence=record))
        return record
