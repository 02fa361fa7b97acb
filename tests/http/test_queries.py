"""Query strings: what is read, and what is refused."""

import pytest

from songs_api.http.api.song_models import SongListQuery
from songs_api.http.kernel.operation import PREFIX
from songs_api.http.kernel.query_strings import read_query

from .conftest import Service

MALFORMED = {
    "not UTF-8": "artist=%ff",
    "cut off UTF-8": "artist=%e5%90",
    "an overlong form": "artist=%c0%af",
    "an encoded surrogate": "artist=%ed%a0%80",
    "NUL": "artist=a%00b",
    "NUL in a name": "%00=1",
    "a broken escape": "artist=%zz",
    "a cut off escape": "artist=100%",
    "a parameter twice": "page=1&page=1",
    "a parameter twice, once escaped": "page=1&p%61ge=2",
}
INVALID = {
    "an unknown parameter": "order=title",
    "an unknown parameter without a value": "debug",
    "another case": "Page=1",
    "an operator": "level[$gt]=1",
    "a page of nothing": "page=",
    "page 0": "page=0",
    "a negative page": "page=-1",
    "a signed page": "page=%2B1",
    "a plus as a blank": "page=+1",
    "a fraction": "page=1.0",
    "an exponent": "page=1e1",
    "a leading zero": "page=01",
    "underscores": "page=1_0",
    "digits of another script": "page=%EF%BC%91",
    "a long page": "page=9999999999",
    "a very long page": "page=" + "9" * 3_000,
    "hexadecimal": "page=0x1",
    "no items": "page_size=0",
    "too many items": "page_size=101",
    "a level too high": "level=101",
    "a negative level": "level=-1",
    "a level of words": "level=one",
    "no level": "level=",
    "page and cursor": "page=1&cursor=",
    "an artist of nothing": "artist=",
    "an artist of marks alone": "artist=%CC%81",
    "an artist too long": "artist=" + "a" * 4_097,
}


@pytest.mark.parametrize("query_string", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_query_that_cannot_be_read_is_malformed(service: Service, user: dict[str, str], query_string: str) -> None:
    """400: nothing is replaced or guessed."""
    result = service.client.simulate_get(f"{PREFIX}/songs", headers=user, query_string=query_string)

    assert (result.status_code, result.json["code"]) == (400, "malformed")


@pytest.mark.parametrize("query_string", INVALID.values(), ids=INVALID.keys())
def test_a_parameter_out_of_its_limits_is_unprocessable(
    service: Service, user: dict[str, str], query_string: str
) -> None:
    """422 with the parameter's name, for unknown ones too."""
    result = service.client.simulate_get(f"{PREFIX}/songs", headers=user, query_string=query_string)

    assert (result.status_code, result.json["code"]) == (422, "invalid")
    assert all(set(fault) == {"pointer", "message"} for fault in result.json["errors"])


@pytest.mark.parametrize("path", ["/songs/s1", "/songs/s1/ratings", "/health", "/health/ready"])
def test_where_no_parameter_is_declared_each_is_unknown(service: Service, user: dict[str, str], path: str) -> None:
    """A misspelt or misplaced parameter never passes unnoticed."""
    result = service.client.simulate_get(PREFIX + path, headers=user, query_string="page=1")

    assert (result.status_code, result.json["errors"]) == (
        422,
        [{"pointer": "/page", "message": "is not known here"}],
    )


def test_a_query_is_decoded_once() -> None:
    """Plus is a blank, escapes are UTF-8, and what they decode to is not decoded again; empty parts are ignored."""
    query = read_query("artist=a+b%2Bc%20%E5%90%9B%2525&&level=0&", SongListQuery)

    assert (query.artist, query.level, query.page, query.page_size) == ("a b+c 君%25", 0, 1, 20)
