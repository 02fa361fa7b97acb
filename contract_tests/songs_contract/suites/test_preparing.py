"""A place that was opened, and not prepared yet."""

from songs.errors import StorageUnavailable
from songs.ports.storage import Storage
from songs_contract.harness.driver import StorageUser
from songs_contract.harness.subject import Subject
from songs_contract.law import builds_on, clause
from songs_contract.models.samples import song
from songs_plugins import Port

PORT = Port.STORAGE


@clause("STO-2")
@builds_on("SNG-9")
def test_before_preparing(subject: Subject) -> None:
    """What comes too early works or is refused as an outage, and preparing succeeds all the same."""
    storage: Storage = subject.open()
    use = StorageUser(storage, subject)
    kept = []
    try:
        storage.ping(deadline=subject.deadline())
        assert use.find() == []
        use.add_songs(song())
        kept = ["song-1"]
    except StorageUnavailable:
        pass
    storage.prepare()
    use.add_songs(song("song-2"))
    assert use.find() == [*kept, "song-2"]
