"""The domain's values: songs, users, ratings and their statistics.

Every value is frozen and validates itself when it is created, so a value that exists is valid: no storage, service
or test needs to check it again. All errors are reported at once, as `InvalidInput` with a JSON pointer for each member.
"""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from songs.errors import FieldError, InvalidInput
from songs.limits import (
    MAX_KEY,
    MAX_RATING,
    count_problem,
    date_problem,
    difficulty_problem,
    id_problem,
    is_idempotency_key,
    level_problem,
    rating_problem,
    refuse,
    text_problem,
    time_problem,
    username_problem,
)
from songs.rounding import thousandths

_THOUSANDTH: Final = Decimal("0.001")
_FORMER: Final = "Song takes details now: Song(id=..., details=SongDetails(...))"


def whole_milliseconds(moment: datetime) -> datetime:
    """Return `moment` cut down to whole milliseconds, the precision that every storage keeps."""
    return moment - timedelta(microseconds=moment.microsecond % 1000)


def difficulty_milli(value: Decimal | int) -> int:
    """Return a difficulty in thousandths.

    Raises:
        InvalidInput: `value` is not finite, out of 0..100, or has more than 3 decimals.
    """
    amount = Decimal(value)
    if not amount.is_finite() or not 0 <= amount <= 100:  # noqa: PLR2004 - the limit is the documented one
        raise InvalidInput([FieldError("/difficulty", "must be between 0 and 100")])
    # Comparing is exact, where arithmetic on an amount of many digits would round it first.
    if amount.quantize(_THOUSANDTH) != amount:
        raise InvalidInput([FieldError("/difficulty", "must have at most 3 decimals")])
    return int(amount * 1000)


class SongIdentity(NamedTuple):
    """The identity of a song: at most one song is stored for each. Compared exactly."""

    artist: str
    title: str
    released: date


@dataclass(frozen=True, slots=True, kw_only=True)
class SongDetails:
    """The details of a song, which editors can change. Texts are normalised (NFC) where they come in."""

    artist: str
    title: str
    difficulty_milli: int
    level: int
    released: date

    def __post_init__(self) -> None:
        """Check. Nothing is altered: a storage returns what it was given, or fails here.

        Raises:
            InvalidInput: At least one member is wrong; all of them are named.
        """
        refuse(
            ("/artist", text_problem(self.artist)),
            ("/title", text_problem(self.title)),
            ("/difficulty", difficulty_problem(self.difficulty_milli)),
            ("/level", level_problem(self.level)),
            ("/released", date_problem(self.released)),
        )

    @property
    def identity(self) -> SongIdentity:
        """The identity of the song that these details describe."""
        return SongIdentity(self.artist, self.title, self.released)


@dataclass(frozen=True, slots=True, kw_only=True)
class Song:
    """A song of the catalogue. `version` starts at 1 and grows by 1 with every change.

    The members of `details` can be read from the song, too: ``song.artist``.
    """

    id: str
    details: SongDetails
    version: int = 1

    if not TYPE_CHECKING:  # Type checkers see what dataclass makes, and so only the form that stays.

        def __init__(self, *, id, details=None, version=1, **flat) -> None:  # noqa: A002, ANN001, ANN003
            if flat or details is None:
                details = _details_of(flat, details, id, version)
            object.__setattr__(self, "id", id)
            object.__setattr__(self, "details", details)
            object.__setattr__(self, "version", version)
            self.__post_init__()

    def __post_init__(self) -> None:
        """Check.

        Raises:
            InvalidInput: At least one member is wrong; all of them are named.
        """
        refuse(
            ("/id", id_problem(self.id)),
            ("/details", None if isinstance(self.details, SongDetails) else "must be the details of a song"),
            ("/version", count_problem(self.version)),
        )

    @classmethod
    def of(cls, song_id: str, details: SongDetails, *, version: int = 1) -> Self:
        """Return the song `song_id` with these details: a former way to write it, kept for one release."""
        warnings.warn(_FORMER, DeprecationWarning, stacklevel=2)
        return cls(id=song_id, details=details, version=version)

    @property
    def artist(self) -> str:
        """The artist."""
        return self.details.artist

    @property
    def title(self) -> str:
        """The title."""
        return self.details.title

    @property
    def difficulty_milli(self) -> int:
        """The difficulty in thousandths."""
        return self.details.difficulty_milli

    @property
    def level(self) -> int:
        """The level."""
        return self.details.level

    @property
    def released(self) -> date:
        """The release date."""
        return self.details.released

    @property
    def identity(self) -> SongIdentity:
        """The identity of this song."""
        return self.details.identity


def _details_of(flat: dict[str, Any], details: SongDetails | None, song_id: object, version: object) -> SongDetails:
    """Return the details of a song that is made with their members, as it was before; for one release."""
    warnings.warn(_FORMER, DeprecationWarning, stacklevel=3)
    try:
        return SongDetails(**flat) if details is None else replace(details, **flat)
    except InvalidInput as error:
        wrong = [(each.pointer, each.message) for each in error.errors]
        refuse(("/id", id_problem(song_id)), *wrong, ("/version", count_problem(version)))
        raise


@dataclass(frozen=True, slots=True)
class DifficultyTotals:
    """The number of songs, and the exact sum of their difficulties in thousandths."""

    count: int
    sum_milli: int

    @property
    def average_milli(self) -> int | None:
        """The average difficulty in thousandths, rounded half to even; None where there is no song."""
        return thousandths(self.sum_milli, self.count * 1000) if self.count else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """One rating event: a user gave a song 1 to 5. `key` is the client's idempotency key, if it sent one."""

    id: str
    song_id: str
    user_id: str
    value: int
    rated_at: datetime
    key: str | None = None

    def __post_init__(self) -> None:
        """Check.

        Raises:
            InvalidInput: At least one member is wrong; all of them are named.
        """
        key_ok = self.key is None or (isinstance(self.key, str) and is_idempotency_key(self.key))
        refuse(
            ("/id", id_problem(self.id)),
            ("/song_id", id_problem(self.song_id)),
            ("/user_id", id_problem(self.user_id)),
            ("/rating", rating_problem(self.value)),
            ("/rated_at", time_problem(self.rated_at)),
            ("/key", None if key_ok else f"must be 1 to {MAX_KEY} visible ASCII characters"),
        )


@dataclass(frozen=True, slots=True)
class RatingStats:
    """The statistics of one song's ratings, derived from the number of times each value 1..5 was given."""

    distribution: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)

    @classmethod
    def of(cls, values: Iterable[int]) -> Self:
        """Return the statistics of these rating values."""
        counts = [0] * MAX_RATING
        for value in values:
            counts[value - 1] += 1
        return cls((counts[0], counts[1], counts[2], counts[3], counts[4]))

    def plus(self, value: int) -> Self:
        """Return the statistics after one more rating of `value`."""
        a, b, c, d, e = self.distribution
        return type(self)(
            (a + (value == 1), b + (value == 2), c + (value == 3), d + (value == 4), e + (value == 5))  # noqa: PLR2004
        )

    @property
    def count(self) -> int:
        """The number of ratings."""
        return sum(self.distribution)

    @property
    def average_milli(self) -> int | None:
        """The average rating in thousandths, rounded half to even; None where there is no rating."""
        a, b, c, d, e = self.distribution
        count = a + b + c + d + e
        return thousandths(a + 2 * b + 3 * c + 4 * d + 5 * e, count) if count else None

    @property
    def lowest(self) -> int | None:
        """The lowest value given; None where there is no rating."""
        for value, count in enumerate(self.distribution, start=1):
            if count:
                return value
        return None

    @property
    def highest(self) -> int | None:
        """The highest value given; None where there is no rating."""
        for value in range(MAX_RATING, 0, -1):
            if self.distribution[value - 1]:
                return value
        return None


class Role(StrEnum):
    """The role of a user. Editors can do everything that users can, admins everything that editors can."""

    USER = "user"
    EDITOR = "editor"
    ADMIN = "admin"

    def includes(self, other: "Role") -> bool:
        """Return whether this role may do all that `other` may."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(other)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An account that can sign in.

    `version` counts every change of the record (for compare-and-set); `token_version` counts the changes
    that revoke older access tokens: logout, a new password, a new role, being disabled. The hash is in no repr or log.
    """

    id: str
    name: str
    password_hash: str = field(repr=False)
    role: Role = Role.USER
    disabled: bool = False
    created_at: datetime
    token_version: int = 1
    version: int = 1

    def __post_init__(self) -> None:
        """Check.

        Raises:
            InvalidInput: At least one member is wrong; all of them are named.
        """
        refuse(
            ("/id", id_problem(self.id)),
            ("/username", username_problem(self.name)),
            ("/role", None if isinstance(self.role, Role) else "must be a role"),
            ("/disabled", None if isinstance(self.disabled, bool) else "must be true or false"),
            ("/created_at", time_problem(self.created_at)),
            ("/token_version", count_problem(self.token_version)),
            ("/version", count_problem(self.version)),
        )

    @property
    def name_key(self) -> str:
        """The name as it is compared: names are unique without regard to case."""
        return name_key(self.name)


def name_key(name: str) -> str:
    """Return the form of a user name under which it is unique: ASCII lower case."""
    # A few letters beyond ASCII become ASCII ones in lower case: they are no part of any name, and match none.
    return name.lower() if name.isascii() else name


def check_username(name: str) -> None:
    """Raise `InvalidInput` unless `name` may be a user's name."""
    refuse(("/username", username_problem(name)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One sign-in, kept alive by refresh tokens, one valid at a time. It holds hashes, never the tokens."""

    id: str
    user_id: str
    current_hash: str = field(repr=False)
    previous_hash: str | None = field(default=None, repr=False)
    created_at: datetime
    rotated_at: datetime
    expires_at: datetime

    def __post_init__(self) -> None:
        """Check.

        Raises:
            InvalidInput: At least one member is wrong; all of them are named.
        """
        refuse(
            ("/id", id_problem(self.id)),
            ("/user_id", id_problem(self.user_id)),
            ("/created_at", time_problem(self.created_at)),
            ("/rotated_at", time_problem(self.rotated_at)),
            ("/expires_at", time_problem(self.expires_at)),
        )
