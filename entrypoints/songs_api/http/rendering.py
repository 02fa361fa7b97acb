"""From domain values to the bytes that are sent. This is the hot path: plain dicts, no models."""

import hashlib
from functools import lru_cache
from typing import Any, Final

import orjson

from songs.model import DifficultyTotals, RatingStats, Song, User
from songs.query import SongPage
from songs.services.sessions import SignedIn

FORM: Final = "http-2"
"""Names what the renderings look like, in entity tags and as the `form` of the cached reads. Another number with every
change."""

_TAG_DIGITS: Final = 32

encode = orjson.dumps


def _number(milli: int | None) -> float | None:
    # Division is correctly rounded, so the shortest form of the result has the 3 decimals that were meant.
    return None if milli is None else milli / 1000


def _song(song: Song) -> dict[str, Any]:
    return {
        "id": song.id,
        "artist": song.artist,
        "title": song.title,
        "difficulty": song.difficulty_milli / 1000,
        "level": song.level,
        "released": song.released,
    }


def tagged(tag: str, body: bytes) -> bytes:
    """Return a representation as it is kept: a line with its strong entity tag, which is ASCII, and its bytes."""
    return tag.encode("ascii") + b"\n" + body


def song_tag(song: Song) -> str:
    """Return the entity tag of a song: its id and version say which state it is, on every storage."""
    return f'"{FORM}.{song.id}.{song.version}"'


def tagged_song(song: Song) -> bytes:
    """Return a song with its tag."""
    return tagged(song_tag(song), song_bytes(song))


def song_bytes(song: Song) -> bytes:
    """Return a song."""
    return encode(_song(song))


def tagged_page(page: SongPage) -> bytes:
    """Return a page with its tag, and a line for `paging.split`: its number of pages and its next cursor."""
    body = {
        "data": [_song(song) for song in page.songs],
        "pagination": {
            "page": page.page,
            "page_size": page.page_size,
            "total": page.total,
            "total_pages": page.total_pages,
            "next_cursor": page.next_cursor,
        },
    }
    pages = "" if page.total_pages is None else page.total_pages
    return _tagged_by_content(f"{pages} {page.next_cursor or ''}\n".encode("ascii") + encode(body))


def _tagged_by_content(body: bytes) -> bytes:
    return tagged(f'"{FORM}.{hashlib.sha256(body).hexdigest()[:_TAG_DIGITS]}"', body)


def found_bytes(message: str, page: bytes) -> bytes:
    """Return a page of a search: what was searched for, then the members of `page`."""
    return b'{"message":' + encode(message) + b"," + page[1:]


def tagged_stats(song_id: str, stats: RatingStats) -> bytes:
    """Return a song's statistics with their tag."""
    return _tagged_stats(song_id, stats.distribution)


@lru_cache(maxsize=4096)
def _tagged_stats(song_id: str, distribution: tuple[int, int, int, int, int]) -> bytes:
    # The counters are the tag, since everything follows from them, and for the same reason the bytes are remembered.
    counters = ".".join(map(str, distribution))
    return tagged(f'"{FORM}.{song_id}.{counters}"', stats_bytes(song_id, RatingStats(distribution)))


def stats_bytes(song_id: str, stats: RatingStats) -> bytes:
    """Return a song's statistics."""
    one, two, three, four, five = stats.distribution
    return encode(
        {
            "song_id": song_id,
            "average": _number(stats.average_milli),
            "lowest": stats.lowest,
            "highest": stats.highest,
            "count": stats.count,
            "distribution": {"1": one, "2": two, "3": three, "4": four, "5": five},
        }
    )


def tagged_difficulty(level: int | None, totals: DifficultyTotals) -> bytes:
    """Return an average difficulty with its tag."""
    return _tagged_by_content(encode({"average_difficulty": _number(totals.average_milli), "level": level}))


def signed_in_bytes(signed_in: SignedIn) -> bytes:
    """Return the tokens of a session."""
    return encode(
        {
            "access_token": signed_in.access_token,
            "token_type": "bearer",
            "expires_in": signed_in.expires_in_s,
            "refresh_token": signed_in.refresh_token,
        }
    )


def user_fields(user: User) -> dict[str, Any]:
    """Return what an admin may see of a user, and a user of itself."""
    return {
        "id": user.id,
        "username": user.name,
        "role": user.role.value,
        "disabled": user.disabled,
        "created_at": user.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
