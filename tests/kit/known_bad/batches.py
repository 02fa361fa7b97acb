"""Storages that are asked for many records at once, and answer otherwise than record by record."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import ClassVar

from songs.model import Song, User
from songs.one_by_one import OneByOne
from songs.ports.batches import RatedSong
from songs.query import SongFilter
from songs_memory.unit import MemoryUnit
from songs_plugins import AdapterSpec

from .backends import Backend, faults_of
from .planting import unit


def _planted(kind: type[OneByOne]) -> AdapterSpec:
    return unit(type("Planted", (MemoryUnit,), {"batches": property(kind)}))


class _ByTheirOwnNames(OneByOne):
    def users_named(self, names: Collection[str]) -> Mapping[str, User]:
        """Answer by the names that they have."""
        return {user.name: user for user in super().users_named(names).values()}


users_go_by_their_own_names = _planted(_ByTheirOwnNames)


class _Alternatives(OneByOne):
    def meeting(self, pairs: Collection[tuple[str, SongFilter]]) -> frozenset[tuple[str, SongFilter]]:
        """Ask for the songs that meet any of their filters."""
        met = {song_id for song_id, _ in super().meeting(pairs)}
        return frozenset(pair for pair in pairs if pair[0] in met)


one_filter_is_taken_for_all = _planted(_Alternatives)


class _OneLimit(OneByOne):
    def rated(self, song_ids: Collection[str], *, limit: int) -> Mapping[str, RatedSong]:
        """Let all songs share the limit."""
        left = limit
        found: dict[str, RatedSong] = {}
        for song_id, each in super().rated(song_ids, limit=limit).items():
            found[song_id] = RatedSong(each.stats, each.ratings[:left])
            left -= len(found[song_id].ratings)
        return found


songs_share_the_limit = _planted(_OneLimit)


class _Looping(OneByOne):
    backend: ClassVar[Backend] = Backend()

    def songs(self, song_ids: Collection[str]) -> Mapping[str, Song]:
        """Ask for one after the other."""
        for _ in song_ids:
            self.backend.do(lambda: None)
        return super().songs(song_ids)


batch_is_a_loop = replace(_planted(_Looping), faults=faults_of(_Looping.backend))
