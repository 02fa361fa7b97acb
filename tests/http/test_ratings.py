"""Ratings over HTTP."""

from typing import Any

import pytest

from songs_api.http.kernel.operation import PREFIX

from .conftest import Build, Service

URL = f"{PREFIX}/songs/ratings"


def _rate(service: Service, headers: dict[str, str], song_id: str, rating: object, key: str | None = None) -> Any:
    sent = headers if key is None else headers | {"Idempotency-Key": key}
    return service.client.simulate_post(URL, headers=sent, json={"song_id": song_id, "rating": rating})


def test_a_rating_answers_with_the_statistics(service: Service, user: dict[str, str]) -> None:
    """201 with average, bounds, count and distribution; the statistics' own route says the same."""
    song_id = service.add_song()
    for rating in (5, 2):
        _rate(service, user, song_id, rating)

    result = _rate(service, user, song_id, 2)

    assert result.status_code == 201
    assert result.json == {
        "song_id": song_id,
        "average": 3.0,
        "lowest": 2,
        "highest": 5,
        "count": 3,
        "distribution": {"1": 0, "2": 2, "3": 0, "4": 0, "5": 1},
    }
    assert service.client.simulate_get(f"{PREFIX}/songs/{song_id}/ratings", headers=user).json == result.json


def test_averages_are_rounded_once(service: Service, user: dict[str, str]) -> None:
    """17/16 = 1.0625 is 1.062: half to even."""
    song_id = service.add_song()
    for _ in range(15):
        _rate(service, user, song_id, 1)

    assert _rate(service, user, song_id, 2).json["average"] == 1.062


def test_a_song_without_ratings_has_empty_statistics(service: Service, user: dict[str, str]) -> None:
    """Null and 0, not 404."""
    song_id = service.add_song()

    result = service.client.simulate_get(f"{PREFIX}/songs/{song_id}/ratings", headers=user)

    assert result.json == {
        "song_id": song_id,
        "average": None,
        "lowest": None,
        "highest": None,
        "count": 0,
        "distribution": {"1": 0, "2": 0, "3": 0, "4": 0, "5": 0},
    }


def test_without_a_key_each_request_is_a_rating(service: Service, user: dict[str, str]) -> None:
    """One user may rate one song many times."""
    song_id = service.add_song()

    assert [_rate(service, user, song_id, 4).json["count"] for _ in range(3)] == [1, 2, 3]


def test_a_key_rates_once(service: Service, user: dict[str, str]) -> None:
    """A repeat is 201 with the statistics of now, marked as replayed; keys of other users are other keys."""
    song_id = service.add_song()
    other = service.join("olga")
    first = _rate(service, user, song_id, 4, "key-1")
    others = _rate(service, other, song_id, 5, "key-1")

    again = _rate(service, user, song_id, 4, "key-1")

    assert (first.status_code, others.status_code, again.status_code) == (201, 201, 201)
    assert [answer.headers.get("Idempotency-Replayed") for answer in (first, others, again)] == [None, None, "true"]
    assert (again.json["count"], again.json["average"]) == (2, 4.5)


def test_a_key_belongs_to_one_rating(service: Service, user: dict[str, str]) -> None:
    """Another song or value under a used key is 422, and rates nothing."""
    song_id, other = service.add_song(), service.add_song(title="Other")
    _rate(service, user, song_id, 4, "key-1")

    refused = [_rate(service, user, song_id, 5, "key-1"), _rate(service, user, other, 4, "key-1")]

    assert [(answer.status_code, answer.json["code"]) for answer in refused] == [(422, "idempotency_key_reused")] * 2
    assert service.services.ratings.stats(song_id, deadline=service.deadline()).count == 1
    assert service.services.ratings.stats(other, deadline=service.deadline()).count == 0


def test_a_failed_rating_leaves_its_key_free(service: Service, user: dict[str, str]) -> None:
    """Only successes are remembered."""
    assert _rate(service, user, "nothing", 4, "key-1").status_code == 404
    assert _rate(service, user, service.add_song(), 5, "key-1").status_code == 201


@pytest.mark.parametrize("key", ["", " ", "a b", "\xe9", "a" * 256, "tab\tbed"])
def test_a_key_that_is_none_is_malformed(service: Service, user: dict[str, str], key: str) -> None:
    """400 unless 1 to 255 visible ASCII characters, before the body is read."""
    song_id = service.add_song()

    result = _rate(service, user, song_id, "not even a rating", key)

    assert (result.status_code, result.json["code"]) == (400, "malformed")


@pytest.mark.parametrize("key", ["!", "a" * 255, "~", "a,b"])
def test_a_key_may_be_this(service: Service, user: dict[str, str], key: str) -> None:
    """1 to 255 visible ASCII characters."""
    assert _rate(service, user, service.add_song(), 3, key).status_code == 201


@pytest.mark.parametrize("rating", [0, 6, -1, 2.5, "3", True, None, [3], 10**20])
def test_a_rating_is_an_integer_from_1_to_5(service: Service, user: dict[str, str], rating: object) -> None:
    """Everything else is 422 and rates nothing."""
    song_id = service.add_song()

    result = _rate(service, user, song_id, rating)

    assert (result.status_code, result.json["errors"][0]["pointer"]) == (422, "/rating")
    assert service.services.ratings.stats(song_id, deadline=service.deadline()).count == 0


@pytest.mark.parametrize("song_id", ["", "nothing", "..", "君", "a" * 1_000, "\0", '{"$ne":1}'])
def test_rating_what_is_not_there_is_not_found(service: Service, user: dict[str, str], song_id: str) -> None:
    """404 for ids that no song has, and for texts that are not ids."""
    result = _rate(service, user, song_id, 3)

    assert (result.status_code, result.json["code"]) == (404, "song_not_found")


def test_a_rating_shows_in_the_next_cached_read(build: Build) -> None:
    """A read after a rating was answered has that rating in it."""
    service = build(cached=True)
    headers = service.join("walter")
    song_id = service.add_song()
    for count in range(1, 4):
        _rate(service, headers, song_id, 5)

        result = service.client.simulate_get(f"{PREFIX}/songs/{song_id}/ratings", headers=headers)

        assert result.json["count"] == count
