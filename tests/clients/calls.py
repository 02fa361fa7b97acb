"""Calls the service with a client that openapi-python-client made: `calls.py ADDRESS PASSWORD`.

It is checked by mypy together with that client, and says what came back as JSON.
"""

import datetime as dt
import json
import sys

from songs_api_client import AuthenticatedClient, Client
from songs_api_client.api.accounts import register, sign_in
from songs_api_client.api.ratings import get_rating_stats, rate_song
from songs_api_client.api.service import get_readiness
from songs_api_client.api.songs import add_song, average_difficulty, change_song, get_song, list_songs, remove_song
from songs_api_client.models import (
    Credentials,
    DifficultyAverage,
    NewRating,
    NewSong,
    Problem,
    RatingStats,
    Readiness,
    Registered,
    Registration,
    SignedIn,
    Song,
    SongChanges,
    SongList,
)


def main(address: str, password: str) -> dict[str, object]:
    """Return what came back."""
    anyone = Client(base_url=f"{address}/api/v1")
    ready = get_readiness.sync(client=anyone)
    registered = register.sync(client=anyone, body=Registration(username="grace", password=password))
    refused = register.sync(client=anyone, body=Registration(username="g", password="12345678"))
    signed_in = sign_in.sync(client=anyone, body=Credentials(username="editor", password=password))
    assert isinstance(ready, Readiness)
    assert isinstance(registered, Registered)
    assert isinstance(refused, Problem)
    assert isinstance(refused.errors, list)
    assert isinstance(signed_in, SignedIn)

    editor = AuthenticatedClient(base_url=f"{address}/api/v1", token=signed_in.access_token)
    details = NewSong("Anon.", "Greensleeves", difficulty=3.5, level=2, released=dt.date(1580, 9, 3))
    song = add_song.sync(client=editor, body=details)
    assert isinstance(song, Song)
    changed = change_song.sync(song.id, client=editor, body=SongChanges(level=3), if_match="*")
    rating = NewRating(song_id=song.id, rating=4)
    rate_song.sync(client=editor, body=rating, idempotency_key="key")
    again = rate_song.sync_detailed(client=editor, body=rating, idempotency_key="key")
    stats = get_rating_stats.sync(song.id, client=editor)
    songs = list_songs.sync(client=editor, page_size=5)
    average = average_difficulty.sync(client=editor, level=999)
    removed = remove_song.sync_detailed(song.id, client=editor, if_match="*")
    gone = get_song.sync(song.id, client=editor)
    assert isinstance(changed, Song)
    assert isinstance(stats, RatingStats)
    assert isinstance(songs, SongList)
    assert isinstance(average, DifficultyAverage)
    assert isinstance(gone, Problem)
    return {
        "ready": ready.status,
        "registered": registered.username,
        "refused": sorted(fault.pointer for fault in refused.errors),
        "released": song.released.isoformat(),
        "level": changed.level,
        "replayed": again.headers["Idempotency-Replayed"],
        "ratings": [stats.count, stats.average],
        "songs": len(songs.data),
        "average": average.average_difficulty,
        "removed": removed.status_code.value,
        "gone": gone.code,
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2])))  # noqa: T201 - read by the test
