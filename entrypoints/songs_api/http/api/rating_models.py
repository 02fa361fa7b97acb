"""Request and response models of ratings."""

from typing import Annotated

from pydantic import BaseModel, Field

from songs.limits import MAX_RATING, MIN_RATING
from songs_api.http.api.song_models import SONG_ID
from songs_api.http.kernel.validation import WHOLE, Count, answer_config, request_config

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
