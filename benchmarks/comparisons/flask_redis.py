"""A service with our routes as the documentation of Flask and Flask-Caching writes one: PyJWT, and reads in Redis."""

import os
from collections.abc import Callable
from functools import wraps
from typing import Any

import jwt
from comparisons.songs_in_memory import ALGORITHM, SECRET, load, statistics
from flask import Blueprint, Flask, abort, jsonify, request
from flask_caching import Cache

songs, counters = load()
ordered = list(songs.values())
cache = Cache(config={"CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": os.environ["BENCHMARK_REDIS"]})
api = Blueprint("api", __name__, url_prefix="/api/v1")
View = Callable[..., Any]


def signed_in(view: View) -> View:
    """Let only those in who have a token."""

    @wraps(view)
    def checked(**arguments: Any) -> Any:  # noqa: ANN401 - a view's
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            jwt.decode(token, SECRET, algorithms=[ALGORITHM])
        except jwt.InvalidTokenError:
            abort(401)
        return view(**arguments) if scheme == "Bearer" else abort(401)

    return checked


def _page(found: list[dict[str, Any]]) -> dict[str, Any]:
    page, page_size = int(request.args.get("page", 1)), int(request.args.get("page_size", 20))
    start = (page - 1) * page_size
    pagination = {"page": page, "page_size": page_size, "total": len(found)}
    return {"data": found[start : start + page_size], "pagination": pagination}


@api.get("/songs")
@signed_in
@cache.cached(query_string=True)
def list_songs() -> Any:  # noqa: ANN401 - a view's
    """Return a page of songs."""
    return _page(ordered)


@api.get("/songs/search")
@signed_in
@cache.cached(query_string=True)
def search() -> Any:  # noqa: ANN401 - a view's
    """Return the songs that contain a text."""
    wanted = request.args["message"].lower()
    return _page([song for song in ordered if wanted in song["artist"].lower() or wanted in song["title"].lower()])


@api.post("/songs/ratings")
@signed_in
def rate() -> Any:  # noqa: ANN401 - a view's
    """Store a rating."""
    body = request.get_json()
    song_id, value = body["song_id"], body["rating"]
    if song_id not in songs:
        abort(404)
    if value not in range(1, 6):
        abort(422)
    counters[song_id][value - 1] += 1
    cache.delete(f"view//api/v1/songs/{song_id}/ratings")
    return jsonify(statistics(song_id, counters[song_id])), 201


@api.get("/songs/<song_id>")
@signed_in
@cache.cached()
def get_song(song_id: str) -> Any:  # noqa: ANN401 - a view's
    """Return a song."""
    return songs.get(song_id) or abort(404)


@api.get("/songs/<song_id>/ratings")
@signed_in
@cache.cached()
def stats(song_id: str) -> Any:  # noqa: ANN401 - a view's
    """Return a song's statistics."""
    return statistics(song_id, counters[song_id]) if song_id in songs else abort(404)


app = Flask(__name__)
cache.init_app(app)
app.register_blueprint(api)
