"""Where cache and limiter are on one server, a request that was made before asks both in one round trip."""

from typing import Any

import pytest

from songs.caching.coherence import REFRESH_S
from songs.errors import CacheUnavailable, LimiterUnavailable
from songs.model import Rating, Role
from songs.ports.cache import Cache, CountAndGet, Hit, Miss
from songs.ports.limiter import RateLimit, RateLimiter, Verdict
from songs.ports.storage import Scope
from songs_api.http.kernel import read_plans

from .conftest import ANY, API, Build, Service, limited

SETTINGS = limited(default=RateLimit(1000, 60))


class OneServer:
    """Cache and limiter in memory as one server has them, which notes what it is asked for and fails when told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.down = False
        self.cache_down = False

    def counting(self, cache: Cache, limiter: RateLimiter) -> CountAndGet:
        """Note what either is asked, and return what asks both."""
        self._get, self._hit = cache.get, limiter.hit
        found: Any = (cache, limiter)
        found[0].get, found[1].hit = self.get, self.hit
        return self.count_and_get

    def get(self, group: str, key: str) -> Hit | Miss:
        """As the cache's."""
        self.asked.append("get")
        if self.down or self.cache_down:
            raise CacheUnavailable
        return self._get(group, key)

    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """As the limiter's."""
        self.asked.append("hit")
        if self.down:
            raise LimiterUnavailable
        return self._hit(bucket, limit)

    def count_and_get(self, bucket: str, limit: RateLimit, group: str, key: str) -> tuple[Verdict, Hit | Miss | None]:
        """Both."""
        self.asked.append("count and get")
        if self.down:
            raise LimiterUnavailable
        return self._hit(bucket, limit), None if self.cache_down else self._get(group, key)


@pytest.fixture
def server() -> OneServer:
    """The one server."""
    return OneServer()


@pytest.fixture
def service(build: Build, server: OneServer) -> Service:
    """A service with its cache and its limiter there."""
    return build(SETTINGS, cached=True, counting=server.counting)


def _gets(service: Service, headers: dict[str, str], *paths: str) -> list[Any]:
    return [service.client.simulate_get(f"{API}{path}", headers=headers) for path in paths]


def test_the_second_time_is_one_round_trip(service: Service, server: OneServer) -> None:
    """Whatever is read through the cache: a song, its statistics, a list, a search, an average."""
    headers, song = service.join("reader"), service.add_song()
    for path in (
        f"/songs/{song}",
        f"/songs/{song}/ratings",
        "/songs?page=1",
        "/songs/search?message=canon",
        "/songs/difficulty/average",
    ):
        server.asked.clear()
        first, second = _gets(service, headers, path, path)

        assert server.asked == ["hit", "get", "count and get"]
        assert second.content == first.content
        assert first.status_code == second.status_code == 200


def test_each_request_counts_once(service: Service) -> None:
    """What is left falls by one with every request, brought along or not."""
    headers, song = service.join("reader"), service.add_song()

    answers = _gets(service, headers, *[f"/songs/{song}"] * 4)

    assert [answer.headers["ratelimit"].split(";")[1] for answer in answers] == ["r=999", "r=998", "r=997", "r=996"]


def test_what_was_written_is_read(service: Service, server: OneServer) -> None:
    """A change between two reads is in the second, which is still one round trip."""
    editor, song = service.join("editor"), service.add_song()
    _gets(service, editor, f"/songs/{song}/ratings", f"/songs/{song}/ratings")
    service.client.simulate_post(f"{API}/songs/ratings", headers=editor, json={"song_id": song, "rating": 2})
    server.asked.clear()

    (after,) = _gets(service, editor, f"/songs/{song}/ratings")

    assert after.json["count"] == 1
    assert server.asked == ["count and get"]


def test_an_entry_of_an_older_epoch_is_not_taken(service: Service, server: OneServer) -> None:
    """What another process wrote without the cache is read, though the entry of before was brought along."""
    headers, song = service.join("reader"), service.add_song()
    _gets(service, headers, f"/songs/{song}/ratings")
    clock = service.services.clock
    rating = Rating(id="elsewhere", song_id=song, user_id="somebody", value=3, rated_at=clock.now())
    with service.services.storage.unit_of_work(Scope.WRITE_MANY, deadline=service.deadline()) as unit:
        unit.ratings.add(rating)
        record = unit.coherence.read()
        unit.coherence.advance(expected_epoch=record.epoch, cache_on=True, cache=record.cache)
    clock.sleep(REFRESH_S)
    server.asked.clear()

    answers = _gets(service, headers, *[f"/songs/{song}/ratings"] * 2)

    assert [answer.json["count"] for answer in answers] == [1, 1]
    assert server.asked == ["count and get", "get", "count and get"]


def test_a_refused_request_gets_nothing(build: Build, server: OneServer) -> None:
    """The limit is kept whatever was brought along."""
    service = build(limited(default=RateLimit(2, 60)), cached=True, counting=server.counting)
    headers, song = service.join("reader"), service.add_song()

    answers = _gets(service, headers, *[f"/songs/{song}"] * 3)

    assert [answer.status_code for answer in answers] == [200, 200, 429]


@pytest.mark.parametrize("name", ["down", "cache_down"])
def test_a_server_that_does_not_answer_stops_nothing(service: Service, server: OneServer, name: str) -> None:
    """Limits are counted here, and reads go to the storage."""
    headers, song = service.join("reader"), service.add_song()
    _gets(service, headers, f"/songs/{song}", f"/songs/{song}")
    setattr(server, name, True)

    answers = _gets(service, headers, f"/songs/{song}", f"/songs/{song}")

    assert [answer.status_code for answer in answers] == [200, 200]
    assert [answer.headers["ratelimit"].split(";")[1] for answer in answers] == ["r=997", "r=996"]


def test_nobody_reads_without_a_token_or_a_right_query(service: Service, server: OneServer) -> None:
    """A request that was answered to somebody is still refused to others, before anything is asked."""
    headers, song = service.join("reader"), service.add_song()
    _gets(service, headers, f"/songs/{song}", f"/songs/{song}")
    server.asked.clear()

    (answer,) = _gets(service, {}, f"/songs/{song}")

    assert answer.status_code == 401
    assert server.asked == []


def test_targets_are_remembered_within_bounds(
    service: Service, server: OneServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that came first is forgotten first, and a long one is not remembered at all."""
    monkeypatch.setattr(read_plans, "MAX_PLANS", 2)
    headers, songs = service.join("reader"), [service.add_song(title=f"Canon {n}") for n in range(3)]
    long = f"/songs/search?message={'canon ' * 40}".replace(" ", "+")
    _gets(service, headers, *[f"/songs/{song}" for song in songs], long)
    server.asked.clear()

    _gets(service, headers, f"/songs/{songs[2]}", f"/songs/{songs[0]}", long)

    assert server.asked == ["count and get", "hit", "get", "hit", "get"]


def test_a_change_is_asked_for_as_before(service: Service, server: OneServer) -> None:
    """What is not a read has nothing to bring along, though a read has the same target."""
    editor, song = service.join("editor", Role.EDITOR), service.add_song()
    _gets(service, editor, f"/songs/{song}", f"/songs/{song}")
    server.asked.clear()

    gone = service.client.simulate_delete(f"{API}/songs/{song}", headers={**editor, **ANY})
    (missing,) = _gets(service, editor, f"/songs/{song}")

    assert (gone.status_code, missing.status_code) == (204, 404)
    assert server.asked == ["hit", "count and get"]
