"""The catalogue over HTTP: lists, walks, searches, averages, and editing."""

from dataclasses import fields
from datetime import date
from typing import Any
from urllib.parse import urlencode

import pytest

from songs.model import Role, Song, SongDetails
from songs_api.http.api.song_models import MEMBERS, song_members
from songs_api.http.kernel.operation import PREFIX

from .conftest import ANY, Build, Service

SONG = {"artist": "Anon.", "title": "Greensleeves", "difficulty": 3.5, "level": 2, "released": "1580-09-03"}
NOT_IDS = ["..%2f", "%2e%2e", "%E5%90%9B", "a" * 1_000, "-5", "0", "1.0", "s%201", "null", "%ff", "a%00", "$ne", "%27"]


def _get(service: Service, headers: dict[str, str], path: str, **query: object) -> Any:
    result = service.client.simulate_get(PREFIX + path, headers=headers, query_string=urlencode(query))
    assert result.status_code == 200, result.text
    return result


def _links(result: Any) -> dict[str, str]:
    links = (link.split("; rel=") for link in result.headers.get("Link", "").split(", ") if link)
    return {rel.strip('"'): target.strip("<>") for target, rel in links}


def test_a_song_is_sent_as_it_was_stored(service: Service, editor: dict[str, str]) -> None:
    """POST answers 201 with the song and where it is; GET, and the list, answer with the same."""
    added = service.client.simulate_post(f"{PREFIX}/songs", headers=editor, json=SONG)

    assert added.status_code == 201
    assert added.json == SONG | {"id": added.json["id"]}
    assert added.headers["Location"] == f"{PREFIX}/songs/{added.json['id']}"
    assert service.client.simulate_get(added.headers["Location"], headers=editor).json == added.json
    assert _get(service, editor, "/songs").json["data"] == [added.json]


@pytest.mark.parametrize(
    ("sent", "received"),
    [("0", "0.0"), ("9", "9.0"), ("13.22", "13.22"), ("0.001", "0.001"), ("99.999", "99.999"), ("1.50e1", "15.0")],
)
def test_a_difficulty_is_exact(service: Service, editor: dict[str, str], sent: str, received: str) -> None:
    """Thousandths survive the way in and out, and every difficulty is written with a fraction."""
    body = '{"artist":"a","title":"t","level":1,"released":"2000-01-01","difficulty":' + sent + "}"
    headers = editor | {"Content-Type": "application/json"}

    result = service.client.simulate_post(f"{PREFIX}/songs", headers=headers, body=body)

    assert f'"difficulty":{received},' in result.text


@pytest.mark.parametrize("released", ["0001-01-01", "9999-12-31", "2000-02-29"])
def test_a_date_keeps_its_form(service: Service, editor: dict[str, str], released: str) -> None:
    """Years have four digits, always."""
    result = service.client.simulate_post(f"{PREFIX}/songs", headers=editor, json=SONG | {"released": released})

    assert result.json["released"] == released


def test_text_is_normalised(service: Service, editor: dict[str, str]) -> None:
    """What is stored, and sent, is NFC, by POST, PUT and PATCH alike."""
    sent = SONG | {"artist": "Beyonce\u0301"}
    results = [service.client.simulate_post(f"{PREFIX}/songs", headers=editor, json=sent)]
    url, any_version = f"{PREFIX}/songs/{results[0].json['id']}", editor | {"If-Match": "*"}
    results += [service.client.simulate_put(url, headers=any_version, json=sent | {"title": "Halo"})]
    results += [service.client.simulate_patch(url, headers=any_version, json={"artist": "Beyonce\u0301", "level": 9})]

    assert [result.json["artist"] for result in results] == 3 * ["Beyoncé"]


def test_every_member_of_a_song_has_a_name_in_json() -> None:
    """Requests, responses and exports have all that a song is, under the names of one table."""
    details = SongDetails(artist="A", title="T", difficulty_milli=1, level=2, released=date(2000, 1, 1))

    assert [member.attribute for member in MEMBERS.values()] == [each.name for each in fields(SongDetails)]
    assert list(song_members(Song(id="s1", details=details))) == ["id", *MEMBERS]


def test_a_second_song_of_the_same_identity_is_a_conflict(service: Service, editor: dict[str, str]) -> None:
    """409 by POST, PUT and PATCH alike."""
    first = service.client.simulate_post(f"{PREFIX}/songs", headers=editor, json=SONG)
    other = service.client.simulate_post(f"{PREFIX}/songs", headers=editor, json=SONG | {"title": "Other"})
    url = f"{PREFIX}/songs/{other.json['id']}"
    answers = [
        service.client.simulate_post(f"{PREFIX}/songs", headers=editor, json=SONG | {"level": 3}),
        service.client.simulate_put(url, headers=editor | ANY, json=SONG),
        service.client.simulate_patch(url, headers=editor | ANY, json={"title": SONG["title"]}),
    ]

    assert [(answer.status_code, answer.json["code"]) for answer in answers] == [(409, "song_exists")] * 3
    assert first.status_code == 201


def test_put_replaces_and_patch_merges(service: Service, editor: dict[str, str]) -> None:
    """PUT needs every member; PATCH changes those that are sent."""
    song_id = service.add_song()
    url = f"{PREFIX}/songs/{song_id}"

    put = service.client.simulate_put(url, headers=editor | ANY, json=SONG)
    patched = service.client.simulate_patch(
        url, headers=editor | ANY, json={"difficulty": 4.125, "released": "1581-01-01"}
    )

    assert (put.status_code, put.json) == (200, SONG | {"id": song_id})
    assert (patched.status_code, patched.json) == (
        200,
        SONG | {"id": song_id, "difficulty": 4.125, "released": "1581-01-01"},
    )
    assert _get(service, editor, f"/songs/{song_id}").json == patched.json


def test_a_deleted_song_is_gone(service: Service, editor: dict[str, str]) -> None:
    """204 without a body, then 404 everywhere."""
    url = f"{PREFIX}/songs/{service.add_song()}"

    deleted = service.client.simulate_delete(url, headers=editor | ANY)

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert service.client.simulate_delete(url, headers=editor | ANY).status_code == 404
    assert service.client.simulate_get(url, headers=editor).status_code == 404
    assert service.client.simulate_get(f"{url}/ratings", headers=editor).status_code == 404


@pytest.mark.parametrize("song_id", NOT_IDS)
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_what_is_not_an_id_is_not_found(service: Service, editor: dict[str, str], method: str, song_id: str) -> None:
    """Any text may be asked for; what no song has is 404."""
    body = SONG if method in {"PUT", "PATCH"} else None
    headers = editor if method == "GET" else editor | ANY

    result = service.client.simulate_request(method, f"{PREFIX}/songs/{song_id}", headers=headers, json=body)

    assert result.status_code == 404
    assert result.headers["Content-Type"] == "application/problem+json"


@pytest.fixture
def seven(service: Service) -> list[str]:
    """The ids of seven songs, of levels 0 to 2, by two artists."""
    artists = ["Béla Bartók", "Clara Schumann"]
    return [
        service.add_song(artist=artists[n % 2], title=f"Song {n}", level=n % 3, released=date(1900 + n, 1, 1))
        for n in range(7)
    ]


def test_pages_are_parts_of_the_list(service: Service, user: dict[str, str], seven: list[str]) -> None:
    """Pages are ordered by id, know their totals, and link to each other; beyond the end they are empty."""
    pages = [_get(service, user, "/songs", page=n, page_size=3) for n in (1, 2, 3, 4, 9)]

    assert [[song["id"] for song in page.json["data"]] for page in pages] == [seven[:3], seven[3:6], seven[6:], [], []]
    assert {key: pages[1].json["pagination"][key] for key in ("page", "page_size", "total", "total_pages")} == {
        "page": 2,
        "page_size": 3,
        "total": 7,
        "total_pages": 3,
    }
    assert [set(_links(page)) for page in pages] == [
        {"first", "next", "last"},
        {"first", "prev", "next", "last"},
        {"first", "prev", "last"},
        {"first", "prev", "last"},
        {"first", "prev", "last"},
    ]
    assert _links(pages[4])["prev"] == "?page_size=3&page=3"


def test_links_lead_to_what_they_say(service: Service, user: dict[str, str], seven: list[str]) -> None:
    """A relative link keeps the filter and the page size, and can be followed as it is."""
    page = _get(service, user, "/songs", page=2, page_size=1, artist="BELA BARTOK")
    followed = {
        rel: service.client.simulate_get(f"{PREFIX}/songs{target}", headers=user)
        for rel, target in _links(page).items()
    }

    assert {rel: result.json["data"][0]["id"] for rel, result in followed.items()} == {
        "first": seven[0],
        "prev": seven[0],
        "next": seven[4],
        "last": seven[6],
    }


def test_an_empty_list_has_no_pages(service: Service, user: dict[str, str]) -> None:
    """No songs: 0 pages, no last page, nothing to walk."""
    result = _get(service, user, "/songs")

    assert result.json == {
        "data": [],
        "pagination": {"page": 1, "page_size": 20, "total": 0, "total_pages": 0, "next_cursor": None},
    }
    assert set(_links(result)) == {"first"}


@pytest.mark.parametrize("cached", [False, True])
def test_a_walk_finds_every_song_once(build: Build, *, cached: bool) -> None:
    """From an empty cursor, each next_cursor (and next link) goes on where the last part ended, without totals."""
    service = build(cached=cached)
    headers = service.join("walter")
    ids = [service.add_song(title=f"Song {n}") for n in range(5)]
    found: list[str] = []
    query = "?cursor=&page_size=2"
    while query:
        result = service.client.simulate_get(f"{PREFIX}/songs{query}", headers=headers)
        found += [song["id"] for song in result.json["data"]]
        pagination = result.json["pagination"]
        query = _links(result).get("next", "")

        assert (pagination["page"], pagination["total"], pagination["total_pages"]) == (None, None, None)
        assert (pagination["next_cursor"] is None) == (not query)

    assert found == ids


def test_a_page_goes_on_as_a_walk(service: Service, user: dict[str, str], seven: list[str]) -> None:
    """A page's next_cursor begins where the page ends."""
    cursor = _get(service, user, "/songs", page_size=4).json["pagination"]["next_cursor"]

    rest = _get(service, user, "/songs", cursor=cursor)

    assert [song["id"] for song in rest.json["data"]] == seven[4:]


@pytest.mark.parametrize("cursor", ["x", "\N{SNOWMAN}", "a" * 5_000, "AAAA" * 10, "../..", "null"])
def test_a_foreign_cursor_is_refused(service: Service, user: dict[str, str], cursor: str) -> None:
    """400: cursors are signed."""
    query = urlencode({"cursor": cursor})

    result = service.client.simulate_get(f"{PREFIX}/songs", headers=user, query_string=query)

    assert (result.status_code, result.json["code"]) == (400, "bad_cursor")


def test_a_cursor_belongs_to_its_filter(service: Service, user: dict[str, str], seven: list[str]) -> None:
    """A cursor of one list is refused by another."""
    cursor = _get(service, user, "/songs", page_size=1).json["pagination"]["next_cursor"]

    for path, query in (("/songs", {"level": 1}), ("/songs/search", {"message": "song"})):
        result = service.client.simulate_get(
            PREFIX + path, headers=user, query_string=urlencode({**query, "cursor": cursor})
        )

        assert (result.status_code, result.json["code"]) == (400, "bad_cursor")


def test_pages_end_where_counting_would_be_dear(service: Service, user: dict[str, str]) -> None:
    """The page that reaches beyond 100,000 songs is 422 use_cursor, the one before is not."""
    last = service.client.simulate_get(f"{PREFIX}/songs", headers=user, query_string="page=1000&page_size=100")
    beyond = service.client.simulate_get(f"{PREFIX}/songs", headers=user, query_string="page=1001&page_size=100")

    assert (last.status_code, beyond.status_code, beyond.json["code"]) == (200, 422, "use_cursor")


def test_lists_are_filtered(service: Service, user: dict[str, str], seven: list[str]) -> None:
    """By artist without regard to case and accents, as a whole; by level; by both."""

    def ids(**query: object) -> list[str]:
        return [song["id"] for song in _get(service, user, "/songs", **query).json["data"]]

    assert ids(artist="bela BARTÓK") == seven[0::2]
    assert ids(artist="bela") == []
    assert ids(level=0) == [seven[0], seven[3], seven[6]]
    assert ids(level=0, artist="Clara Schumann") == [seven[3]]
    assert ids(level=99) == []


@pytest.mark.parametrize(
    ("message", "titles"),
    [
        ("beyonce", ["Halo"]),
        ("BEYONCÉ", ["Halo"]),
        ("STRASSE", ["Straße 85%"]),
        ("85%", ["Straße 85%"]),
        ("%", ["Straße 85%"]),
        ("_", ["a_b"]),
        (".*", []),
        ("君", ["君が代"]),
        ("が", ["君が代"]),
        ("か", []),
        (" ", ["Straße 85%"]),
        ("\\", ["/\\"]),
        ('"', []),
        ("l", ["Halo"]),
    ],
)
def test_a_search_finds_what_contains_the_message(
    service: Service, user: dict[str, str], message: str, titles: list[str]
) -> None:
    """Case, accents and compatibility forms do not matter, wildcards are characters, the message is repeated."""
    for artist, title in (("Beyoncé", "Halo"), ("x", "Straße 85%"), ("x", "a_b"), ("x", "君が代"), ("x", "/\\")):
        service.add_song(artist=artist, title=title)

    result = _get(service, user, "/songs/search", message=message)

    assert result.json["message"] == message
    assert [song["title"] for song in result.json["data"]] == titles
    assert result.json["pagination"]["total"] == len(titles)


def test_searches_have_pages_and_links(service: Service, user: dict[str, str], seven: list[str]) -> None:
    """Links of a search carry its message, as it was sent."""
    result = _get(service, user, "/songs/search", message="SONG", page_size=3)
    followed = service.client.simulate_get(f"{PREFIX}/songs/search{_links(result)['next']}", headers=user)

    assert _links(result)["next"] == "?page_size=3&message=SONG&page=2"
    assert [song["id"] for song in followed.json["data"]] == seven[3:6]
    assert followed.json["message"] == "SONG"


@pytest.mark.parametrize("query", ["", "message=", "message=%CC%81", "message=" + "a" * 4_097, "message=a&level=1"])
def test_a_search_for_nothing_is_unprocessable(service: Service, user: dict[str, str], query: str) -> None:
    """Without a message, with one that cannot match anything, or with a parameter of another route: 422."""
    result = service.client.simulate_get(f"{PREFIX}/songs/search", headers=user, query_string=query)

    assert (result.status_code, result.json["code"]) == (422, "invalid")


def test_equal_searches_in_other_words_share_no_message(build: Build) -> None:
    """Two spellings of one search are one cache entry, and each is answered with its own message."""
    service = build(cached=True)
    headers = service.join("walter")
    service.add_song()

    for message in ("canon", "CANON", "Cánon"):
        result = _get(service, headers, "/songs/search", message=message)

        assert (result.json["message"], result.json["pagination"]["total"]) == (message, 1)


def test_the_average_is_exact(service: Service, user: dict[str, str]) -> None:
    """Half to even in thousandths, over a level or over all; null where there is no song."""
    for n, (milli, level) in enumerate([(1000, 1), (1001, 1), (7, 2)]):
        service.add_song(title=f"Song {n}", difficulty_milli=milli, level=level)

    answers = [
        _get(service, user, "/songs/difficulty/average", **query).json for query in ({}, {"level": 1}, {"level": 9})
    ]

    assert answers == [
        {"average_difficulty": 0.669, "level": None},
        {"average_difficulty": 1.0, "level": 1},
        {"average_difficulty": None, "level": 9},
    ]


@pytest.mark.parametrize("level", [-999_999_999, -1, 101, 999, 999_999_999])
def test_a_level_that_no_song_can_have_has_no_average(build: Build, level: int) -> None:
    """200 and null, as for a level without songs; nothing is kept of it, and it can be asked for again."""
    service = build(cached=True)
    headers = service.join("walter")
    service.add_song()
    first, again = (_get(service, headers, "/songs/difficulty/average", level=level) for _ in range(2))
    known = service.client.simulate_get(
        f"{PREFIX}/songs/difficulty/average?level={level}", headers=headers | {"If-None-Match": first.headers["ETag"]}
    )

    assert (first.status_code, first.json) == (200, {"average_difficulty": None, "level": level})
    assert (again.status_code, again.json, known.status_code) == (200, first.json, 304)


@pytest.mark.parametrize("level", ["one", "", "1.5", "--1", "-0", "01", "9999999999"])
def test_a_level_for_an_average_is_an_integer(service: Service, user: dict[str, str], level: str) -> None:
    """422 for what is none, or has more than 9 digits."""
    result = service.client.simulate_get(
        f"{PREFIX}/songs/difficulty/average", headers=user, query_string=f"level={level}"
    )

    assert result.status_code == 422


def test_a_change_shows_in_every_cached_read(build: Build) -> None:
    """After an edit was answered, no list, search, song or average is an old one."""
    service = build(cached=True)
    headers = service.join("walter", Role.EDITOR)
    song_id = service.add_song()
    paths = ["/songs", "/songs/search?message=canon", f"/songs/{song_id}", "/songs/difficulty/average"]
    before = [service.client.simulate_get(PREFIX + path, headers=headers).text for path in paths]

    changed = service.client.simulate_patch(
        f"{PREFIX}/songs/{song_id}", headers=headers | ANY, json={"difficulty": 1.5}
    )
    after = [service.client.simulate_get(PREFIX + path, headers=headers).text for path in paths]

    assert changed.status_code == 200
    assert ["7.25" in text for text in before] == [True] * 4
    assert ["1.5" in text and "7.25" not in text for text in after] == [True] * 4
