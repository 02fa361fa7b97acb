"""Ratings and their statistics."""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Annotated, Final

from pydantic import BaseModel, Field

from songs import model
from songs.errors import KeyReused, SongNotFound
from songs.limits import MAX_RATING, MIN_RATING
from songs_api.http.api.song_models import SONG_ID
from songs_api.http.kernel.bodies import Read
from songs_api.http.kernel.operation import Operation, RequestContext, Resource
from songs_api.http.kernel.read_plans import REPRESENTATION_VERSION, Answer, ReadPlan, decimal, encode, tagged
from songs_api.http.kernel.validation import WHOLE, Count, answer_config, request_config
from songs_api.http.services import AppServices

_REPLAYED: Final = {"idempotency-replayed": "true"}

Rating = Annotated[int, Field(ge=MIN_RATING, le=MAX_RATING, description="From 1, the worst, to 5, the best."), WHOLE]
Value = Annotated[int, Field(ge=MIN_RATING, le=MAX_RATING)]


class NewRating(BaseModel):
    """One rating of one song."""

    model_config = request_config({"song_id": SONG_ID, "rating": 4})

    song_id: Annotated[str, Field(description="The id of the song.")]
    rating: Rating


class Distribution(BaseModel):
    """The number of times each rating was given."""

    model_config = answer_config({"1": 0, "2": 0, "3": 0, "4": 1, "5": 2})

    one: Annotated[Count, Field(alias="1", description="The number of ratings of 1.")]
    two: Annotated[Count, Field(alias="2", description="The number of ratings of 2.")]
    three: Annotated[Count, Field(alias="3", description="The number of ratings of 3.")]
    four: Annotated[Count, Field(alias="4", description="The number of ratings of 4.")]
    five: Annotated[Count, Field(alias="5", description="The number of ratings of 5.")]


class RatingStats(BaseModel):
    """Statistics of a song's ratings. Without ratings, `average`, `lowest` and `highest` are null."""

    model_config = answer_config(
        {
            "song_id": SONG_ID,
            "average": 4.667,
            "lowest": 4,
            "highest": 5,
            "count": 3,
            "distribution": {"1": 0, "2": 0, "3": 0, "4": 1, "5": 2},
        }
    )

    song_id: Annotated[str, Field(description="The id of the song.")]
    average: Annotated[
        Annotated[float, Field(ge=MIN_RATING, le=MAX_RATING)] | None,
        Field(description="The exact average, rounded once to 3 decimals."),
    ]
    lowest: Annotated[Value | None, Field(description="The lowest rating.")]
    highest: Annotated[Value | None, Field(description="The highest rating.")]
    count: Annotated[Count, Field(description="The number of ratings.")]
    distribution: Annotated[Distribution, Field(description="The number of times each rating was given.")]


class RatingCollection(Resource):
    """Ratings, of any song."""

    paths = ("/songs/ratings",)

    def __init__(self, services: AppServices) -> None:
        self._ratings = services.ratings

    @Operation(
        operation_id="rate_song",
        tag="ratings",
        summary="Rate a song",
        description="Each request counts as a new rating, unless it repeats an earlier `Idempotency-Key`. In that case "
        "only the first one counts, and the response has `Idempotency-Replayed: true`.",
        request=NewRating,
        idempotent_by_key=True,
        answers={201: RatingStats},
        problems=(SongNotFound, KeyReused),
    )
    def on_post(self, context: RequestContext, *, key: str | None, read: Read[NewRating]) -> Answer:
        """Store one rating and return the statistics, which include it."""
        body = read()
        rated = self._ratings.rate(
            user_id=context.user.user_id, song_id=body.song_id, value=body.rating, key=key, deadline=context.deadline
        )
        return Answer(201, stats_bytes(body.song_id, rated.stats), _REPLAYED if rated.replayed else {})


class SongRatings(Resource):
    """The statistics of one song's ratings."""

    paths = ("/songs/{song_id}/ratings",)

    def __init__(self, services: AppServices) -> None:
        self._queries = services.queries

    @Operation(
        operation_id="get_rating_stats",
        tag="ratings",
        summary="Get the statistics of a song's ratings",
        tagged=True,
        answers={200: RatingStats},
        problems=(SongNotFound,),
    )
    def on_get(self, _: RequestContext, *, song_id: str) -> ReadPlan:
        """Answer with the statistics."""
        return ReadPlan(self._queries.stats(song_id, partial(tagged_stats, song_id)))


RESOURCES: Final = (RatingCollection, SongRatings)


def resources(services: AppServices) -> Sequence[Resource]:
    """Return the resources of ratings."""
    return [resource(services) for resource in RESOURCES]


def tagged_stats(song_id: str, stats: model.RatingStats) -> bytes:
    """Return a song's statistics with their tag."""
    return _tagged_stats(song_id, stats.distribution)


@lru_cache(maxsize=4096)
def _tagged_stats(song_id: str, distribution: tuple[int, int, int, int, int]) -> bytes:
    # The counters are the tag, since everything follows from them, and for the same reason the bytes are remembered.
    counters = ".".join(map(str, distribution))
    return tagged(
        f'"{REPRESENTATION_VERSION}.{song_id}.{counters}"', stats_bytes(song_id, model.RatingStats(distribution))
    )


def stats_bytes(song_id: str, stats: model.RatingStats) -> bytes:
    """Return a song's statistics."""
    one, two, three, four, five = stats.distribution
    return encode(
        {
            "song_id": song_id,
            "average": decimal(stats.average_milli),
            "lowest": stats.lowest,
            "highest": stats.highest,
            "count": stats.count,
            "distribution": {"1": one, "2": two, "3": three, "4": four, "5": five},
        }
    )
