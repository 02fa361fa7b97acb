"""The samples, of which the suites make songs."""

from dataclasses import asdict, fields

from songs.model import SongDetails
from songs_contract.models.samples import DETAILS, OTHER_DETAILS
from songs_contract.models.state_model import ANY_DETAILS


def test_every_member_of_a_song_is_tried() -> None:
    """There is a strategy of each, and another value to change it to: a storage that loses one is caught."""
    assert [*ANY_DETAILS] == [each.name for each in fields(SongDetails)]
    assert asdict(DETAILS).items().isdisjoint(asdict(OTHER_DETAILS).items())
