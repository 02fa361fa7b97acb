"""Decisions that the ports ask of every storage: a repository fetches, decides by one of these, and stores.

    def replace(self, user: User, *, if_version: int) -> None:
        self._unit.writing()
        if replaceable(self.get(user.id), user, if_version=if_version) is not None:
            self._unit.execute("UPDATE users SET ...")

They look at values alone. So what was fetched has to be true until it is stored: in one transaction that other writers
cannot come between, or by a write that compares what it finds with what was fetched, and is tried again.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, TypeVar

from songs.errors import DuplicateSong, KeyReused, SongNotFound, UserExists, UserNotFound, VersionConflict
from songs.model import Rating, Session, Song, User
from songs.ports.sessions import Rotation

Record = TypeVar("Record", Song, User)
Key = TypeVar("Key")

ENDED_WITH_USER: Final = 100
"""How many sessions are removed with their user (USR-6): a write of any number of them would keep others waiting."""


def is_repeat(stored: Record | None, new: Record) -> bool:
    """Return whether `add` has stored `new` before: its id has the same identity or name (SNG-4, USR-3).

    Args:
        stored: The record with the id of `new`; None where it is missing.
        new: The record to add.
    """
    return stored is not None and _identity(stored) == _identity(new)


def is_new(new: Record, *, same_id: Record | None, taken: bool) -> bool:
    """Return whether `add` is to store `new`; it is not where `new` is stored already (SNG-4, USR-3).

    Args:
        new: The record to add.
        same_id: The stored record with its id; None where it is missing.
        taken: Whether a stored record has its identity or name.

    Raises:
        DuplicateSong, UserExists: Another record has its id, or its identity or name.
    """
    if is_repeat(same_id, new):
        return False
    if same_id is not None or taken:
        raise DuplicateSong if isinstance(new, Song) else UserExists
    return True


def _identity(record: Song | User) -> object:
    return record.name_key if isinstance(record, User) else record.identity


def sort_out(
    songs: Iterable[tuple[Song, Key]], *, stored: Mapping[str, Key], taken: Container[Key]
) -> tuple[list[Song], frozenset[str]]:
    """Return the songs that `add_many` is to store, and the ids of those that it refuses (SNG-5).

    The rest is stored already. Each song is decided on as if those before it had been stored.

    Args:
        songs: Each song with its identity, or with what stands for that in the storage.
        stored: The identities of stored songs by id; at least those of the ids in `songs`.
        taken: The identities of stored songs; at least those of the identities in `songs`.
    """
    new: list[Song] = []
    added: dict[str, Key] = {}
    keys: set[Key] = set()
    refused: set[str] = set()
    for song, key in songs:
        same_id = added.get(song.id, stored.get(song.id))
        if same_id is not None:
            if same_id != key:
                refused.add(song.id)
        elif key in keys or key in taken:
            refused.add(song.id)
        else:
            new.append(song)
            added[song.id] = key
            keys.add(key)
    return new, frozenset(refused)


def replaceable(stored: Record | None, new: Record, *, if_version: int) -> Record | None:
    """Return the stored record that `new` is to replace; None where `new` is stored already (SNG-6, SNG-7, USR-5).

    Args:
        stored: The record with the id of `new`; None where it is missing.
        new: The record to store.
        if_version: The version that the stored record has to have.

    Raises:
        SongNotFound, UserNotFound: There is no such record.
        VersionConflict: It has another version.
    """
    if stored is None:
        raise SongNotFound if isinstance(new, Song) else UserNotFound
    if stored == new:
        return None
    check_version(stored.version, if_version)
    return stored


def check_version(version: int, if_version: int | None) -> None:
    """Return if a stored record has the version that is asked for; None asks for any (SNG-8).

    Raises:
        VersionConflict: It has another one.
    """
    if if_version is not None and version != if_version:
        raise VersionConflict


def check_key(rating: Rating, *, song_id: str, value: int) -> None:
    """Return if a stored rating of this song and value, which has the key of `rating`, is a repeat of it (RAT-4).

    Raises:
        KeyReused: It is not: the key was used for something else.
    """
    if (song_id, value) != (rating.song_id, rating.value):
        raise KeyReused


def stored_as(rating: Rating, *, same_id: bool, keyed: Rating | None) -> str | None:
    """Return the id of the stored event that `rating` repeats; None where it is to be stored (RAT-3, RAT-4).

    Args:
        rating: The rating to add, to a song that is there.
        same_id: Whether an event with its id is stored for the song.
        keyed: The stored rating to which its user and key belong, of a song that is still there; None: no rating.

    Raises:
        KeyReused: The key belongs to a rating of another song or value.
    """
    if same_id:
        return rating.id
    if keyed is None:
        return None
    check_key(rating, song_id=keyed.song_id, value=keyed.value)
    return keyed.id


def decide_rotation(
    stored: Session | None, *, presented_hash: str, next_hash: str, at: datetime, grace_s: float
) -> tuple[Rotation, Session | None]:
    """Return what `rotate` returns, and the session to store in place of `stored`, or None (SES-2 to 6).

    With REUSED, `stored` is to be removed. In all other cases of None it stays as it is.

    Args:
        stored: The session that is asked for; None where it is missing.
        presented_hash: The hash of the refresh token that was presented.
        next_hash: The hash of the one that follows it.
        at: The time of the rotation.
        grace_s: For how many seconds the token before the current one may come again.
    """
    if stored is None or stored.expires_at <= at:
        return Rotation.UNKNOWN, None
    if (stored.current_hash, stored.previous_hash) == (next_hash, presented_hash):
        return Rotation.ROTATED, None
    if presented_hash == stored.current_hash:
        return Rotation.ROTATED, replace(stored, current_hash=next_hash, previous_hash=presented_hash, rotated_at=at)
    if presented_hash == stored.previous_hash and abs(at - stored.rotated_at) <= timedelta(seconds=grace_s):
        return Rotation.RETRIED, None
    return Rotation.REUSED, None
