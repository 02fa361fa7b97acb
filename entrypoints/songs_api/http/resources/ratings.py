"""Ratings and their statistics."""

from functools import partial

from songs.limits import MAX_KEY, is_idempotency_key
from songs.services.ratings import Ratings
from songs.services.reads import CachedReads
from songs_api.http.failures import Malformed
from songs_api.http.reading import Read
from songs_api.http.readings import send
from songs_api.http.rendering import stats_bytes, tagged_stats
from songs_api.http.request import ApiRequest
from songs_api.http.response import ApiResponse
from songs_api.http.routes import IDEMPOTENCY_KEY
from songs_api.http.schemas import NewRating


class RatingCollection:
    """POST /songs/ratings."""

    def __init__(self, ratings: Ratings) -> None:
        self._ratings = ratings

    def on_post(self, req: ApiRequest, resp: ApiResponse, *, read: Read[NewRating]) -> None:
        """Store one rating and answer with the statistics, which include it."""
        key = _key(req)
        body = read()
        rated = self._ratings.rate(
            user_id=req.user.user_id, song_id=body.song_id, value=body.rating, key=key, deadline=req.deadline
        )
        resp.status = 201
        if rated.replayed:
            resp.set_header("Idempotency-Replayed", "true")
        resp.data = stats_bytes(body.song_id, rated.stats)


class SongRatings:
    """GET /songs/{song_id}/ratings."""

    def __init__(self, reads: CachedReads) -> None:
        self._reads = reads

    def on_get(self, req: ApiRequest, resp: ApiResponse, *, song_id: str) -> None:
        """Answer with the statistics."""
        send(req, resp, self._reads.stats(song_id, partial(tagged_stats, song_id)))


def _key(req: ApiRequest) -> str | None:
    key: str | None = req.env.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None and not is_idempotency_key(key):
        raise Malformed(f"{IDEMPOTENCY_KEY} must be 1 to {MAX_KEY} visible ASCII characters.")
    return key
