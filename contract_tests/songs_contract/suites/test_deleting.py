"""Deleting a song with more ratings than fit into one step."""

from dataclasses import replace
from typing import Final

from songs.model import RatingStats
from songs.ports.maintenance import Maintenance
from songs.ports.storage import Scope, Storage
from songs_contract.harness.driver import StorageUser
from songs_contract.harness.subject import Subject
from songs_contract.law import builds_on, clause
from songs_contract.models.samples import rating, song
from songs_plugins import Port

PORT = Port.STORAGE

MANY_RATINGS: Final = 1200
DELETING_S: Final = 3.0
"""What a request has by default."""


@clause("SNG-14", "RAT-3", "STO-24")
@builds_on("RAT-5")
def test_deleting_a_song_with_many_ratings(use: StorageUser, storage: Storage, subject: Subject) -> None:
    """It is done in the time that a request has; what is left of the ratings is seen nowhere, and keys are free."""
    use.add_songs(song("song-1"), song("song-2"))
    events = [
        rating(f"rating-{n:04d}", user_id=f"user-{n % 7}", value=n % 5 + 1, key=f"key-{n}" if n % 2 else None)
        for n in range(MANY_RATINGS)
    ]
    use.write_each([lambda unit, each=each: unit.ratings.add(each) for each in events])  # type: ignore[misc]
    assert use.events() == tuple(events)
    with storage.unit_of_work(Scope.WRITE_ONE, deadline=subject.deadline(DELETING_S)) as unit:
        assert unit.songs.delete("song-1")
    assert (use.song(), use.stats(), use.events()) == (None, None, ())
    for keyed in (events[1], events[MANY_RATINGS // 2 + 1], events[-1]):
        again = replace(keyed, id=f"again-{keyed.id}", song_id="song-2", value=keyed.value % 5 + 1)
        assert use.rate(again).rating_id == again.id, "the key is taken still"
    assert not isinstance(storage, Maintenance) or list(storage.examine()) == []
    use.add_songs(song("song-1"))
    assert (use.stats(), use.events()) == (RatingStats(), ())
    other = replace(events[3], id="another", value=1)
    assert [use.rate(other).rating_id for _ in range(2)] == ["another"] * 2
    assert use.events() == (other,)
    storage.close()
    later = use.on(subject.storage()) if subject.declares("durable") else use
    if later is not use:
        assert later.events() == (other,)
        assert later.stats("song-2") == RatingStats.of([each.value for each in later.events("song-2")])
        assert later.delete_song("song-1")
        assert later.rate(replace(other, id="once-more", song_id="song-2")).rating_id == "once-more"
