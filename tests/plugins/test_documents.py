"""Records as JSON objects."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from songs.model import Role
from songs.ports.coherence import CoherenceRecord
from songs_contract.models import samples
from songs_plugins.documents import Record, document, record_of
from songs_plugins.values import UNREADABLE

EARLY = datetime(1, 1, 1, 0, 0, 0, 1000, tzinfo=UTC)
RECORDS = [
    samples.song(artist="\u200fשלום", released=date(1, 1, 1), version=2),
    samples.rating(key="k", rated_at=EARLY),
    samples.rating(),
    replace(samples.user(), password_hash="\ud800\n\u2028", role=Role.ADMIN, disabled=True),
    replace(samples.session(), previous_hash="h", rotated_at=EARLY),
    CoherenceRecord(2, cache_on=False, cache="redis x"),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda each: type(each).__name__)
def test_a_record_comes_back(record: Record) -> None:
    """Equal, through a line of JSON in ASCII."""
    line = json.dumps(document(record))

    assert line.isascii()
    assert record_of(type(record), json.loads(line)) == record


def test_the_members_of_a_song() -> None:
    """They are flat, so that a later member of the details changes no form."""
    assert document(samples.song("s")).keys() >= {"id", "version", "artist", "released"}


@pytest.mark.parametrize(
    "change", [{"level": 101}, {"released": "2020-02-30"}, {"released": 7}, {"version": "1"}, {"unknown": 1}]
)
def test_what_is_no_record(change: dict[str, Any]) -> None:
    """It raises one of the errors that stand for a damaged record."""
    with pytest.raises(UNREADABLE):
        record_of(type(RECORDS[0]), document(RECORDS[0]) | change)
    lacking = document(RECORDS[0])
    del lacking["id"]
    with pytest.raises(UNREADABLE):
        record_of(type(RECORDS[0]), lacking)
