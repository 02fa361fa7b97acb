"""Conditional requests: what a client has is not sent again, and no change overwrites one that was not seen."""

import threading
from pathlib import Path
from typing import Any

import pytest

from songs.model import Role, Song
from songs.ports.storage import Scope
from songs_api.http.app import OPERATIONS
from songs_api.http.kernel.operation import PREFIX
from songs_api.http.kernel.read_plans import required_if_match
from songs_api.http.kernel.validation import Malformed, PreconditionRequired
from songs_plugins import AdapterContext, Port
from songs_sqlite import plugin as sqlite
from songs_system.system import SystemClock, TimeOrderedIds

from .conftest import ANY, DETAILS, Build, Service, adapter

SONG = {"artist": "Anon.", "title": "Greensleeves", "difficulty": 3.5, "level": 2, "released": "1580-09-03"}
READS = ["/songs", "/songs?cursor=", "/songs/search?message=canon", "/songs/difficulty/average?level=6"]
OF_A_SONG = ["/songs/{}", "/songs/{}/ratings"]
TAGGED = {route.path.format(song_id="{}") for route in OPERATIONS if route.tagged and route.method == "GET"}


def _url(path: str, song_id: str) -> str:
    return PREFIX + path.format(song_id)


def _read(service: Service, url: str, headers: dict[str, str], method: str = "GET", **more: str) -> Any:
    path, _, query = url.partition("?")
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return service.client.simulate_request(method, path, query_string=query, headers=headers | named)


def _sqlite(folder: Path) -> Any:
    context = AdapterContext(clock=SystemClock(), ids=TimeOrderedIds(SystemClock()))
    storage = adapter(sqlite, Port.STORAGE, context, path=folder / "songs.db")
    storage.open()
    storage.prepare()
    storage.close()
    return storage


def _change(service: Service, method: str, song_id: str, headers: dict[str, str]) -> Any:
    body = None if method == "DELETE" else SONG
    return service.client.simulate_request(method, f"{PREFIX}/songs/{song_id}", headers=headers, json=body)


def test_every_tagged_read_is_tested_here() -> None:
    """The table of routes and the lists of this module agree."""
    assert {path.partition("?")[0] for path in READS + OF_A_SONG} == TAGGED


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", READS + OF_A_SONG)
def test_who_has_a_representation_is_told_so(build: Build, path: str, method: str, *, cached: bool) -> None:
    """304 without a body, with the tag and how to keep it, for the tag in every form; 200 for any other."""
    service = build(cached=cached)
    headers = service.join("ursula")
    url = _url(path, service.add_song())
    first = _read(service, url, headers, method)
    tag = first.headers["ETag"]

    assert (first.status_code, first.headers["Cache-Control"]) == (200, "private, no-cache")
    for known in (tag, f"W/{tag}", f'"x", {tag}', f'W/"a,b" ,,{tag},', "*"):
        result = _read(service, url, headers, method, If_None_Match=known)

        assert (result.status_code, result.content) == (304, b"")
        assert (result.headers["ETag"], result.headers["Cache-Control"]) == (tag, "private, no-cache")
        assert "Content-Type" not in result.headers
        assert "Link" not in result.headers
    for other in ('"x"', tag.strip('"'), tag[:-1], "", f"{tag} {tag}", '"', f"x{tag}", "W/*"):
        result = _read(service, url, headers, method, If_None_Match=other)

        assert (result.status_code, result.content) == (200, first.content)


def test_a_tag_is_believed_from_nobody_without_a_token(service: Service, user: dict[str, str]) -> None:
    """Whether something changed is not told to strangers."""
    url = _url("/songs/{}", service.add_song())
    tag = _read(service, url, user).headers["ETag"]

    assert _read(service, url, {}, If_None_Match=tag).status_code == 401
    assert _read(service, url, {}, If_None_Match="*").status_code == 401


def test_what_is_not_there_is_not_found_whatever_is_known(service: Service, user: dict[str, str]) -> None:
    """A condition comes after the answer without one: 404."""
    for path in OF_A_SONG:
        assert _read(service, _url(path, "none"), user, If_None_Match="*").status_code == 404
        assert _read(service, _url(path, "none"), user, If_Match='"x"').status_code == 404


@pytest.mark.parametrize("path", READS + OF_A_SONG)
def test_a_read_takes_if_match_too(service: Service, user: dict[str, str], path: str) -> None:
    """412 unless it is what the client names, strongly compared; 400 where it names nothing."""
    url = _url(path, service.add_song())
    tag = _read(service, url, user).headers["ETag"]

    statuses = [_read(service, url, user, If_Match=wanted).status_code for wanted in (tag, "*", f"W/{tag}", '"x"', "x")]

    assert statuses == [200, 200, 412, 412, 400]
    assert _read(service, url, user, If_Match=tag, If_None_Match=tag).status_code == 304


@pytest.mark.parametrize("cached", [False, True])
def test_a_change_changes_the_tags_of_all_that_shows_it(build: Build, *, cached: bool) -> None:
    """After an edit every read of the catalogue has another tag, and after a rating the statistics have."""
    service = build(cached=cached)
    editor = service.join("edward", Role.EDITOR)
    song_id = service.add_song()
    urls = [_url(path, song_id) for path in READS + OF_A_SONG]
    before = [_read(service, url, editor).headers["ETag"] for url in urls]

    service.client.simulate_patch(urls[-2], headers=editor | ANY, json={"difficulty": 1.5})
    edited = [_read(service, url, editor, If_None_Match=tag).status_code for url, tag in zip(urls, before, strict=True)]
    service.client.simulate_post(f"{PREFIX}/songs/ratings", headers=editor, json={"song_id": song_id, "rating": 2})

    assert edited == [200] * 5 + [304]
    assert _read(service, urls[-1], editor, If_None_Match=before[-1]).status_code == 200


def test_a_tag_is_the_same_on_every_storage_and_with_a_cache(build: Build, tmp_path: Path) -> None:
    """What a client knows from one process holds for another, whatever it reads from."""
    found = []
    for storage, cached in (("memory", False), ("memory", True), ("sqlite", False)):
        replaced = {"storage": _sqlite(tmp_path)} if storage == "sqlite" else {}
        service = build(cached=cached, replaced=replaced)
        headers = service.join("ursula")
        with service.services.storage.unit_of_work(Scope.WRITE_ONE, deadline=service.deadline()) as unit:
            unit.songs.add(Song(id="s1", details=DETAILS))
        rated = {"song_id": "s1", "rating": 4}
        assert service.client.simulate_post(f"{PREFIX}/songs/ratings", headers=headers, json=rated).status_code == 201
        urls = [_url(path, "s1") for path in READS + OF_A_SONG]
        answers = [[_read(service, url, headers).headers["ETag"] for url in urls] for _ in ("cold", "warm")]
        assert answers[0] == answers[1]
        found.append(answers[0])

    assert found[0] == found[1] == found[2]


def test_every_answer_with_a_song_has_the_tag_of_that_song(service: Service, editor: dict[str, str]) -> None:
    """POST, PUT and PATCH answer with the tag that a GET gives, so that a client can go on from there."""
    added = service.client.simulate_post(f"{PREFIX}/songs", headers=editor, json=SONG)
    url = added.headers["Location"]
    tags = [added.headers["ETag"]]
    assert added.headers["Content-Location"] == url
    for method, body in (("PUT", SONG | {"level": 3}), ("PATCH", {"level": 4}), ("PATCH", {})):
        assert _read(service, url, editor).headers["ETag"] == tags[-1]
        result = service.client.simulate_request(method, url, headers=editor | {"If-Match": tags[-1]}, json=body)

        assert (result.status_code, result.headers["Content-Location"]) == (200, url)
        tags.append(result.headers["ETag"])

    assert _read(service, url, editor).headers["ETag"] == tags[-1]
    assert (len(set(tags)), tags[2]) == (3, tags[3])


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_a_change_needs_a_condition(service: Service, editor: dict[str, str], method: str) -> None:
    """428 without If-Match, before the body is looked at, and nothing happens."""
    song_id = service.add_song()

    result = service.client.simulate_request(method, f"{PREFIX}/songs/{song_id}", headers=editor, body=b"{")

    assert (result.status_code, result.json["code"]) == (428, "precondition_required")
    assert service.services.catalogue.get(song_id, deadline=service.deadline()).version == 1


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_a_change_of_what_was_changed_meanwhile_is_refused(
    service: Service, editor: dict[str, str], method: str
) -> None:
    """412 for an older tag, a weak one, one of another song, one of nothing; the song stays as it is."""
    song_id, other_id = service.add_song(), service.add_song(title="Other")
    url, other = f"{PREFIX}/songs/{song_id}", f"{PREFIX}/songs/{other_id}"
    old = _read(service, url, editor).headers["ETag"]
    now = service.client.simulate_patch(url, headers=editor | {"If-Match": old}, json={"level": 9}).headers["ETag"]
    others = service.client.simulate_patch(other, headers=editor | ANY, json={"level": 9}).headers["ETag"]

    for tag in (
        old,
        f"W/{now}",
        others,
        f'{old}, W/{now}, "x"',
        '""',
        now.replace(".2", ".02"),
        now.replace(".2", ".3"),
    ):
        result = _change(service, method, song_id, editor | {"If-Match": tag})

        assert (result.status_code, result.json["code"]) == (412, "version_conflict"), tag
        assert _read(service, url, editor).headers["ETag"] == now


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "form", ["{}", "*", " * ", '"x", {}', '{},W/"y"', '"a,b" , {} ,,', "{0}, {0}", '"other", {0}, {1}']
)
def test_a_change_of_what_was_seen_is_made(service: Service, editor: dict[str, str], method: str, form: str) -> None:
    """The tag alone, in a list, or whichever is there."""
    song_id = service.add_song()
    tag = _read(service, f"{PREFIX}/songs/{song_id}", editor).headers["ETag"]
    later = tag.replace(".1", ".7")

    result = _change(service, method, song_id, editor | {"If-Match": form.format(tag, later)})

    assert result.status_code == (204 if method == "DELETE" else 200)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "header", ["", "x", '"', '"x', "W/", "*, *", '"a" "b"', "**", '*,"a"', 'w/"a"', "'a'", '"a";"b"']
)
def test_a_condition_that_cannot_be_read_is_malformed(
    service: Service, editor: dict[str, str], method: str, header: str
) -> None:
    """400, never a guess."""
    song_id = service.add_song()

    result = _change(service, method, song_id, editor | {"If-Match": header})

    assert (result.status_code, result.json["code"]) == (400, "malformed")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("header", ["*", '"http-2.none.1"', '"x", "y"', 'W/"x"'])
def test_what_is_not_there_cannot_be_changed(
    service: Service, editor: dict[str, str], method: str, header: str
) -> None:
    """404 whatever is named."""
    assert _change(service, method, "none", editor | {"If-Match": header}).status_code == 404


def test_an_empty_patch_of_an_older_version_is_refused(service: Service, editor: dict[str, str]) -> None:
    """It would change nothing, and its author believes in what is no longer so."""
    song_id = service.add_song()
    url = f"{PREFIX}/songs/{song_id}"
    old = _read(service, url, editor).headers["ETag"]
    service.client.simulate_patch(url, headers=editor | ANY, json={"level": 9})

    result = service.client.simulate_patch(url, headers=editor | {"If-Match": old}, json={})

    assert result.status_code == 412


def test_of_concurrent_changes_of_one_version_one_is_made(service: Service, editor: dict[str, str]) -> None:
    """Ten clients that saw the same version: one 200, nine 412, and the version grew by one."""
    song_id = service.add_song()
    url = f"{PREFIX}/songs/{song_id}"
    headers = editor | {"If-Match": _read(service, url, editor).headers["ETag"]}
    barrier = threading.Barrier(10)
    statuses: list[int] = []

    def change(level: int) -> None:
        barrier.wait()
        statuses.append(service.client.simulate_patch(url, headers=headers, json={"level": level}).status_code)

    threads = [threading.Thread(target=change, args=(level,)) for level in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [200] + [412] * 9
    assert service.services.catalogue.get(song_id, deadline=service.deadline()).version == 2


@pytest.mark.parametrize("part", ['"', '""', '"",', ",", " ,", 'W/"', "\t", '" ', "W/", '"a"\t,'])
def test_a_long_condition_takes_no_long_time(part: str) -> None:
    """32 KB of what almost is a list are read, or refused, in one pass: this ends."""
    for header in (part * (32_768 // len(part)), part * 8_000 + "x"):
        try:
            required_if_match({"HTTP_IF_MATCH": header}, "s1")
        except (Malformed, PreconditionRequired):
            continue


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_wrong_body_is_told_before_the_condition(service: Service, editor: dict[str, str], method: str) -> None:
    """Text that no song may have is unprocessable as any other fault is, whether or not the song is the one seen."""
    song_id = service.add_song()
    body = {"artist": "a\u009c", "title": "t", "difficulty": 1, "level": 1, "released": "2000-01-01"}
    for target, tag in ((song_id, '"another"'), (song_id, "*"), ("nosuch", "*")):
        result = service.client.simulate_request(
            method, f"{PREFIX}/songs/{target}", json=body, headers={**editor, "If-Match": tag}
        )

        assert (result.status_code, [fault["pointer"] for fault in result.json["errors"]]) == (422, ["/artist"])
