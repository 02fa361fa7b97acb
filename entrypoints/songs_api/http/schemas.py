"""What clients send and receive, as models: requests are checked with them, and OpenAPI is made of all of them."""

import re
import unicodedata
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from songs.errors import InvalidInput
from songs.limits import MAX_LEVEL, MAX_RATING, MAX_TEXT, MIN_RATING, text_problem
from songs.model import Role, SongDetails, difficulty_milli
from songs.services.password_policy import DEFAULT_MIN_PASSWORD, MAX_PASSWORD
from songs_api.http.validation import STRICT

_FAR: Final = 1_000
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def _title(text: str) -> str:
    # As the domain has it, but before a condition is looked at or a song sought: a wrong body is wrong for any song.
    if problem := text_problem(unicodedata.normalize("NFC", text)):
        raise ValueError(problem)
    return text


def _released(text: Any) -> Any:  # noqa: ANN401 - whatever a caller sent
    if not isinstance(text, str) or not _DATE.fullmatch(text):
        raise ValueError("must be a date: YYYY-MM-DD")
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError("must be a date that exists: YYYY-MM-DD") from error


def _milli(number: Any) -> Any:  # noqa: ANN401 - whatever a caller sent
    if isinstance(number, bool) or not isinstance(number, int | Decimal):
        raise ValueError("must be a number")  # noqa: TRY004 - pydantic turns only ValueError into a fault
    try:
        return difficulty_milli(number)
    except InvalidInput as error:
        raise ValueError(error.errors[0].message) from error


def _whole(number: Any) -> Any:  # noqa: ANN401 - whatever a caller sent
    """Return a number such as 3.0 or 1e1 as the integer that it is; anything else unchanged."""
    # Compared first: an integer of 1e999999 would have a million digits.
    if isinstance(number, Decimal) and -_FAR <= number <= _FAR and number == number.to_integral_value():
        return int(number)
    return number


WHOLE: Final = BeforeValidator(_whole)
# What the domain refuses, for the document: control characters, line and paragraph separators.
Title = Annotated[
    str,
    Field(
        description="1 to 1024 characters after NFC, without control characters.",
        min_length=1,
        max_length=MAX_TEXT,
        json_schema_extra={"pattern": r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]+$"},
    ),
    AfterValidator(_title),
]
Level = Annotated[int, Field(ge=0, le=MAX_LEVEL, description="From 0 to 100."), WHOLE]
Rating = Annotated[int, Field(ge=MIN_RATING, le=MAX_RATING, description="From 1, the worst, to 5."), WHOLE]
Released = Annotated[
    date,
    BeforeValidator(_released),
    Field(description="When it was published."),
    WithJsonSchema({"type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}),
]
DifficultyMilli = Annotated[
    int,
    BeforeValidator(_milli),
    Field(description="From 0 to 100, with at most 3 decimals."),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 100, "multipleOf": 0.001}),
]
Secret = Annotated[str, Field(repr=False, json_schema_extra={"format": "password"})]
NewSecret = Annotated[
    Secret,
    Field(
        description=f"{DEFAULT_MIN_PASSWORD} to {MAX_PASSWORD} characters, or more at least where the service asks "
        "for it; neither a common one nor the username.",
        json_schema_extra={"format": "password", "minLength": DEFAULT_MIN_PASSWORD},
    ),
]
Difficulty = Annotated[float, Field(ge=0, le=100, description="With at most 3 decimals.")]


class NewSong(BaseModel):
    """All that is said of a song."""

    model_config = ConfigDict(
        **STRICT,
        json_schema_extra={
            "examples": [
                {
                    "artist": "Johann Pachelbel",
                    "title": "Canon in D",
                    "difficulty": 7.25,
                    "level": 6,
                    "released": "1694-01-01",
                }
            ]
        },
    )

    artist: Title
    title: Title
    difficulty: DifficultyMilli
    level: Level
    released: Released

    @property
    def details(self) -> SongDetails:
        """These details, checked by the domain.

        Raises:
            InvalidInput: At least one member is wrong; all of them are named.
        """
        return SongDetails(
            artist=self.artist,
            title=self.title,
            difficulty_milli=self.difficulty,
            level=self.level,
            released=self.released,
        )


class SongChanges(BaseModel):
    """What is to be changed of a song (RFC 7396): members that are absent stay as they are, and none can be null."""

    model_config = ConfigDict(**STRICT, json_schema_extra={"examples": [{"difficulty": 8.5, "level": 7}]})

    # The defaults are never used: only members that were sent are merged. A factory keeps them out of the schema.
    artist: Title = Field(default_factory=str)
    title: Title = Field(default_factory=str)
    difficulty: DifficultyMilli = Field(default_factory=int)
    level: Level = Field(default_factory=int)
    released: Released = Field(default_factory=lambda: date.min)

    def merged(self, details: SongDetails) -> SongDetails:
        """Return `details` with what was sent put in its place.

        Raises:
            InvalidInput: At least one member is wrong; all of them are named.
        """
        sent = self.model_fields_set
        return SongDetails(
            artist=self.artist if "artist" in sent else details.artist,
            title=self.title if "title" in sent else details.title,
            difficulty_milli=self.difficulty if "difficulty" in sent else details.difficulty_milli,
            level=self.level if "level" in sent else details.level,
            released=self.released if "released" in sent else details.released,
        )


class NewRating(BaseModel):
    """One rating of one song."""

    model_config = ConfigDict(
        **STRICT, json_schema_extra={"examples": [{"song_id": "01a2307eeb17982a0b776b083bfe4a86", "rating": 4}]}
    )

    song_id: Annotated[str, Field(description="The id of the song.")]
    rating: Rating


class Registration(BaseModel):
    """The account to make."""

    model_config = ConfigDict(
        **STRICT, json_schema_extra={"examples": [{"username": "ada", "password": "a long pass phrase"}]}
    )

    username: Annotated[
        str,
        Field(
            description="3 to 50 letters, digits or any of . _ @ + -",
            json_schema_extra={"pattern": r"^[0-9A-Za-z._@+-]{3,50}$"},
        ),
    ]
    password: NewSecret


class Credentials(BaseModel):
    """Who signs in."""

    model_config = ConfigDict(
        **STRICT, json_schema_extra={"examples": [{"username": "ada", "password": "a long pass phrase"}]}
    )

    username: Annotated[str, Field(description="The name, in any case.")]
    password: Annotated[Secret, Field(description="The password.")]


class RefreshRequest(BaseModel):
    """A refresh token that was not used yet."""

    model_config = ConfigDict(**STRICT, json_schema_extra={"examples": [{"refresh_token": "session.secret"}]})

    refresh_token: Annotated[Secret, Field(description="As it was answered.")]


class SignOut(BaseModel):
    """The session that is to end."""

    model_config = ConfigDict(**STRICT, json_schema_extra={"examples": [{"refresh_token": "session.secret"}]})

    refresh_token: Annotated[Secret, Field(description="As it was answered.")]
    everywhere: Annotated[bool, Field(description="End all sessions of the user.")] = False


class PasswordChange(BaseModel):
    """The password, and the one that is to take its place."""

    model_config = ConfigDict(
        **STRICT,
        json_schema_extra={"examples": [{"current_password": "a long pass phrase", "new_password": "a longer phrase"}]},
    )

    current_password: Annotated[Secret, Field(description="The password of now.")]
    new_password: NewSecret


class Confirmation(BaseModel):
    """The password, once more."""

    model_config = ConfigDict(**STRICT, json_schema_extra={"examples": [{"password": "a long pass phrase"}]})

    password: Annotated[Secret, Field(description="The password of now.")]


class UserChanges(BaseModel):
    """What is to be changed of a user: members that are absent stay as they are."""

    model_config = ConfigDict(**STRICT, json_schema_extra={"examples": [{"role": "editor"}]})

    role: Annotated[Role, Field(strict=False, description="What the user may do.")] = Field(
        default_factory=lambda: Role.USER
    )
    disabled: Annotated[bool, Field(description="Whether to keep the user out.")] = Field(default_factory=bool)
