"""A service with our routes as FastAPI's documentation writes one: response models, OAuth2 bearer, PyJWT, in memory."""

from datetime import date
from typing import Annotated, Any

import jwt
from comparisons.songs_in_memory import ALGORITHM, SECRET, load, statistics
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query
from fastapi.security import OAuth2PasswordBearer
from pydantic import BaseModel, Field

songs, counters = load()
ordered = list(songs.values())
oauth2 = OAuth2PasswordBearer(tokenUrl="/api/v1/auth/login")


class Song(BaseModel):
    """A song."""

    id: str
    artist: str
    title: str
    difficulty: float
    level: int
    released: date


class Page(BaseModel):
    """A part of a list."""

    data: list[Song]
    pagination: dict[str, int]


class NewRating(BaseModel):
    """A rating."""

    song_id: str
    rating: Annotated[int, Field(ge=1, le=5)]


class Stats(BaseModel):
    """A song's ratings."""

    song_id: str
    average: float | None
    lowest: int | None
    highest: int | None
    count: int
    distribution: dict[str, int]


def current_user(token: Annotated[str, Depends(oauth2)]) -> str:
    """Return who is asking."""
    try:
        return str(jwt.decode(token, SECRET, algorithms=[ALGORITHM])["sub"])
    except jwt.InvalidTokenError as error:
        raise HTTPException(401, "Could not validate credentials", {"WWW-Authenticate": "Bearer"}) from error


router = APIRouter(prefix="/api/v1", dependencies=[Depends(current_user)])
PageNumber = Annotated[int, Query(ge=1)]
PageSize = Annotated[int, Query(ge=1, le=100)]


def _page(found: list[dict[str, Any]], page: int, page_size: int) -> dict[str, Any]:
    start = (page - 1) * page_size
    pagination = {"page": page, "page_size": page_size, "total": len(found)}
    return {"data": found[start : start + page_size], "pagination": pagination}


@router.get("/songs")
async def list_songs(page: PageNumber = 1, page_size: PageSize = 20) -> Page:
    """Return a page of songs."""
    return _page(ordered, page, page_size)  # type: ignore[return-value]  # FastAPI validates what is returned


@router.get("/songs/search")
async def search(message: str, page: PageNumber = 1, page_size: PageSize = 20) -> Page:
    """Return the songs that contain a text."""
    wanted = message.lower()
    found = [song for song in ordered if wanted in song["artist"].lower() or wanted in song["title"].lower()]
    return _page(found, page, page_size)  # type: ignore[return-value]  # the same


@router.post("/songs/ratings", status_code=201)
async def rate(rating: NewRating) -> Stats:
    """Store a rating."""
    if rating.song_id not in songs:
        raise HTTPException(404, "No such song")
    counters[rating.song_id][rating.rating - 1] += 1
    return statistics(rating.song_id, counters[rating.song_id])  # type: ignore[return-value]  # the same


@router.get("/songs/{song_id}")
async def get_song(song_id: str) -> Song:
    """Return a song."""
    if song_id not in songs:
        raise HTTPException(404, "No such song")
    return songs[song_id]  # type: ignore[return-value]  # the same


@router.get("/songs/{song_id}/ratings")
async def stats(song_id: str) -> Stats:
    """Return a song's statistics."""
    if song_id not in songs:
        raise HTTPException(404, "No such song")
    return statistics(song_id, counters[song_id])  # type: ignore[return-value]  # the same


app = FastAPI()
app.include_router(router)
