"""The requests of each operation, and what their answers must be: nothing is timed that answers wrongly."""

import http.client
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from load import Request
from subjects import PREFIX

from songs.text import fold

VARIANTS: Final = 500
MESSAGES: Final = 200
MOST_MATCHES_PER_MILLE: Final = 1


class WrongAnswerError(Exception):
    """A service did not answer as it must."""


def selective_messages(catalogue: Path, *, count: int = MESSAGES, seed: int = 7) -> list[str]:
    """Return texts to search for, of 4 letters or more, whose rarest trigram is in at most 0.1 % of the songs."""
    with catalogue.open(encoding="utf-8") as file:
        songs = [json.loads(line) for line in file]
    folds = [(fold(song["artist"]), fold(song["title"])) for song in songs]
    frequency = Counter(trigram for both in folds for trigram in trigrams(both[0]) | trigrams(both[1]))
    most = max(1, len(songs) * MOST_MATCHES_PER_MILLE // 1000)
    chance = random.Random(seed)
    messages: list[str] = []
    while len(messages) < count:
        # Of titles in plain ASCII, which the services that only ignore case find too.
        title = str(chance.choice(songs)["title"])
        words = [word for word in fold(title).split() if word.isalpha()] if title.isascii() else []
        word = chance.choice(words)[:8] if words else ""
        if len(word) > 3 and min(frequency[one] for one in trigrams(word)) <= most:  # noqa: PLR2004
            messages.append(word)
    return messages


def requests(operation: str, ids: Sequence[str], messages: Sequence[str], *, seed: int) -> list[Request]:
    """Return the requests of an operation, in an order of chance."""
    chance = random.Random(seed)
    songs = [chance.choice(ids) for _ in range(VARIANTS)] if ids else []
    paths = {
        "hello": ["/hello"],
        "stats": [f"{PREFIX}/songs/{one}/ratings" for one in songs],
        "get": [f"{PREFIX}/songs/{one}" for one in songs],
        "list": [f"{PREFIX}/songs"],
        "page": [f"{PREFIX}/songs?page={chance.randrange(1, 40)}&page_size=20" for _ in songs],
        "search": [f"{PREFIX}/songs/search?message={quote(one)}" for one in messages],
    }
    if operation != "rate":
        return [Request("GET", path) for path in paths[operation]]
    bodies = (json.dumps({"song_id": one, "rating": chance.randrange(1, 6)}) for one in songs)
    return [Request("POST", f"{PREFIX}/songs/ratings", body) for body in bodies]


def check(operation: str, asked: Sequence[Request], *, port: int, token: str) -> None:
    """Ask some of the requests and raise `WrongAnswerError` where an answer is not right."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        if operation != "hello":
            status, _ = _ask(connection, asked[0], "")
            _demand(status == http.client.UNAUTHORIZED, f"{operation} without a token: {status}")
        for request in asked[:20]:
            status, answer = _ask(connection, request, token)
            wanted = http.client.CREATED if operation == "rate" else http.client.OK
            _demand(status == wanted, f"{request}: {status} {answer!r}")
            if operation == "rate":
                _demand(answer["count"] > 0, f"{request} was not counted: {answer}")
                before = answer["count"]
                _, answer = _ask(connection, request, token)
                _demand(answer["count"] == before + 1, f"{request} was not counted: {answer}")
            _demand(_is_right(operation, request, answer), f"{request}: {answer!r}")
    finally:
        connection.close()


def _is_right(operation: str, request: Request, answer: dict[str, Any]) -> bool:
    match operation:
        case "stats":
            counted: bool = answer["count"] == sum(answer["distribution"].values())
            return counted and answer["song_id"] in request.path
        case "get":
            return bool(answer["title"]) and request.path.endswith(str(answer["id"]))
        case "list" | "page":
            ids = [song["id"] for song in answer["data"]]
            return len(ids) == 20 and ids == sorted(ids)  # noqa: PLR2004 - the page's size
        case "search":
            message = request.path.rpartition("=")[2]
            return bool(answer["data"]) and all(
                message in fold(song["artist"]) or message in fold(song["title"]) for song in answer["data"]
            )
    return bool(answer)


def _ask(connection: http.client.HTTPConnection, request: Request, token: str) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if request.body:
        headers["Content-Type"] = "application/json"
    connection.request(request.method, request.path, request.body or None, headers)
    response = connection.getresponse()
    text = response.read()
    try:
        return response.status, json.loads(text)
    except ValueError:
        return response.status, text


def _demand(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - a condition
    if not holds:
        raise WrongAnswerError(otherwise)


def trigrams(folded: str) -> frozenset[str]:
    """Return the distinct runs of three characters of a folded text."""
    return frozenset(folded[start : start + 3] for start in range(len(folded) - 2))
