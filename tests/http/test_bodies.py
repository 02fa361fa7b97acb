"""The bounded reader of bodies: what it refuses, and in which order."""

import gzip
import io
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from tests.clock import ManualClock

from songs.application.access import Principal
from songs.model import Role
from songs.ports.clock import Deadline
from songs_api.http.kernel.bodies import BodyReader
from songs_api.http.kernel.body_slots import BodySlots
from songs_api.http.kernel.operation import CONTEXT_KEY, JSON, PREFIX, ApiRequest, RequestContext
from songs_api.http.kernel.validation import STRICT, Malformed, TooManyBodies
from songs_api.settings.service import HttpSettings, ServiceSettings

from .conftest import ANY, Build, Service, limits

SONG = {"artist": "Anon.", "title": "Greensleeves", "difficulty": 3.5, "level": 2, "released": "1580-09-03"}
WRONG: dict[str, object] = {
    "a list": [],
    "text": "song",
    "null": None,
    "a number": 1.5,
    "nothing in it": {},
    "an unknown member": SONG | {"id": "s1"},
    "a role": SONG | {"role": "admin"},
    "a member of Python": SONG | {"__class__": "x"},
    "a number as text": SONG | {"level": "2"},
    "text as a number": SONG | {"artist": 7},
    "a fraction of a level": SONG | {"level": 2.5},
    "true as a level": SONG | {"level": True},
    "null as a level": SONG | {"level": None},
    "a level too low": SONG | {"level": -1},
    "a level too high": SONG | {"level": 101},
    "a level far too high": SONG | {"level": 10**20},
    "true as a difficulty": SONG | {"difficulty": True},
    "difficulty as text": SONG | {"difficulty": "3.5"},
    "a difficulty below 0": SONG | {"difficulty": -0.001},
    "a difficulty beyond 100": SONG | {"difficulty": 100.001},
    "too many decimals": SONG | {"difficulty": 3.5001},
    "no artist": SONG | {"artist": ""},
    "a long artist": SONG | {"artist": "a" * 1025},
    "a control character": SONG | {"title": "a\nb"},
    "a NUL": SONG | {"title": "a\0b"},
    "a line separator": SONG | {"title": "a\u2028b"},
    "a day that never was": SONG | {"released": "1900-02-29"},
    "the year 0": SONG | {"released": "0000-01-01"},
    "a week date": SONG | {"released": "2020-W01-1"},
    "a date without dashes": SONG | {"released": "20200101"},
    "a time": SONG | {"released": "2020-01-01T00:00:00"},
    "digits of another script": SONG | {"released": "２０２０-01-01"},
    "a date as a number": SONG | {"released": 20200101},
    "an object as an artist": SONG | {"artist": {"$ne": ""}},
}


def _post(service: Service, headers: dict[str, str], body: bytes, content_type: str | None = JSON) -> Any:
    typed = headers if content_type is None else headers | {"Content-Type": content_type}
    return service.client.simulate_post(f"{PREFIX}/songs", headers=typed, body=body)


@pytest.mark.parametrize("value", WRONG.values(), ids=WRONG.keys())
def test_json_of_another_shape_is_unprocessable(service: Service, editor: dict[str, str], value: object) -> None:
    """422 names each wrong member, and nothing is stored."""
    result = _post(service, editor, json.dumps(value).encode())

    assert (result.status_code, result.json["code"]) == (422, "invalid")
    assert result.json["errors"]
    assert service.client.simulate_get(f"{PREFIX}/songs", headers=editor).json["pagination"]["total"] == 0


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("value", WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_added_cannot_be_edited_in(
    service: Service, editor: dict[str, str], value: object, method: str
) -> None:
    """The same values are 422 for PUT and PATCH; only an empty object is a good PATCH, which changes nothing."""
    song_id = service.add_song()
    before = service.services.catalogue.get(song_id, deadline=service.deadline())

    result = service.client.simulate_request(
        method, f"{PREFIX}/songs/{song_id}", headers=editor | ANY | {"Content-Type": JSON}, body=json.dumps(value)
    )

    assert result.status_code == (200 if method == "PATCH" and value == {} else 422)
    assert service.services.catalogue.get(song_id, deadline=service.deadline()) == before


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        *((text, 201) for text in ("2.0", "2e0", "0.2e1", "-0.0", "200E-2", "1e2")),
        *((text, 422) for text in ("2.5", "1e3", "1e99999999", "1e-99999999", "-2.0", "1e-1")),
    ],
)
def test_an_integer_is_a_number_without_a_fraction(
    service: Service, editor: dict[str, str], sent: str, status: int
) -> None:
    """However it is written: JSON has one kind of number, and the document says what JSON Schema calls an integer."""
    body = json.dumps(SONG | {"level": None}).replace("null", sent).encode()

    assert _post(service, editor, body).status_code == status


def test_every_fault_is_named_once_by_its_pointer(service: Service, editor: dict[str, str]) -> None:
    """Pointers are JSON pointers, with escapes, and tell missing, wrong and unknown members apart."""
    result = _post(service, editor, json.dumps({"artist": 1, "a/b~c": 2, "level": 200}).encode())

    assert {fault["pointer"]: fault["message"] for fault in result.json["errors"]} == {
        "/artist": "must be text",
        "/title": "is required",
        "/difficulty": "is required",
        "/level": "must be less than or equal to 100",
        "/released": "is required",
        "/a~1b~0c": "is not known here",
    }


def test_a_body_of_faults_has_a_bounded_answer(service: Service, editor: dict[str, str]) -> None:
    """Thousands of unknown members make an answer of some kilobytes."""
    result = _post(service, editor, json.dumps({f"{n:05}" * 3: 0 for n in range(2_000)}).encode())

    assert result.status_code == 422
    assert len(result.content) < 20_000


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[" * 60_000, b'{"level":NaN}', b'{"level":1,"level":1}', b'"\\ud800"', b"\xff", b"9" * 5_000],
)
def test_what_is_not_json_is_malformed(service: Service, editor: dict[str, str], body: bytes) -> None:
    """400 for what the strict parser refuses; deep nesting and huge numbers included."""
    headers = editor | {"Content-Length": str(len(body))}

    result = _post(service, headers, body)

    assert (result.status_code, result.json["code"]) == (400, "malformed")


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/json; charset=latin-1",
        'application/json; charset="utf-16"',
        "application/json, text/plain",
    ],
)
def test_other_media_types_are_refused(service: Service, editor: dict[str, str], content_type: str | None) -> None:
    """415 unless the body is said to be application/json in UTF-8."""
    result = _post(service, editor, json.dumps(SONG).encode(), content_type)

    assert (result.status_code, result.json["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON", "application/json;charset=utf-8", 'application/json; charset="UTF-8"'],
)
def test_json_is_accepted_in_every_spelling(service: Service, editor: dict[str, str], content_type: str) -> None:
    """Media types and charsets have no case, and UTF-8 may be said."""
    assert _post(service, editor, json.dumps(SONG).encode(), content_type).status_code == 201


def test_compressed_bodies_are_refused(service: Service, editor: dict[str, str]) -> None:
    """No Content-Encoding is undone, so that a small body is a small body."""
    body = gzip.compress(json.dumps(SONG).encode())

    result = _post(service, editor | {"Content-Encoding": "gzip"}, body)

    assert result.status_code == 415


def test_merge_patch_is_accepted_where_it_means_something(service: Service, editor: dict[str, str]) -> None:
    """PATCH takes application/merge-patch+json."""
    song_id = service.add_song()
    headers = editor | ANY | {"Content-Type": "application/merge-patch+json"}

    result = service.client.simulate_patch(f"{PREFIX}/songs/{song_id}", headers=headers, body=b'{"level":9}')

    assert (result.status_code, result.json["level"]) == (200, 9)


def test_a_body_of_the_largest_size_is_read_and_one_byte_more_is_not(build: Build) -> None:
    """max_body_bytes is the largest size that is accepted."""
    body = json.dumps({"username": "walter", "password": "a long pass phrase"}).encode().ljust(1500)
    for limit, status in ((len(body), 201), (len(body) - 1, 413)):
        service = build(ServiceSettings(limits=limits(), http=HttpSettings(max_body_bytes=limit)))

        result = service.client.simulate_post(f"{PREFIX}/auth/register", headers={"Content-Type": JSON}, body=body)

        assert result.status_code == status


class _Body(BaseModel):
    model_config = STRICT

    name: str


class _Stream(io.BytesIO):
    """A body that counts what is read of it."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.asked = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Return at most 7 bytes, as a slow connection would."""
        self.asked += 1
        assert size is not None
        assert size >= 0
        return super().read(min(size, 7))


class _Hanging:
    """A body that does not arrive until it is let go."""

    def __init__(self) -> None:
        self.reading = threading.Event()
        self.released = threading.Event()

    def read(self, size: int) -> bytes:
        """Wait, then end."""
        self.reading.set()
        assert self.released.wait(10)
        return b""


def _request(stream: object, *, user_id: str = "", **headers: str) -> ApiRequest:
    clock = ManualClock()
    env: dict[str, Any] = {
        "wsgi.input": stream,
        "wsgi.errors": None,
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/",
        "CONTENT_TYPE": JSON,
        "REMOTE_ADDR": "192.0.2.1",
        **headers,
    }
    context = env[CONTEXT_KEY] = RequestContext(env, "r1", 0.0, Deadline.after(clock, 3.0))
    if user_id:
        context.principal = Principal(user_id=user_id, name=user_id, role=Role.USER)
    return ApiRequest(env)


BODY = b'{"name":"somebody"}'
LENGTH = str(len(BODY))
REFUSED_UNREAD: dict[str, dict[str, str]] = {
    "no length": {},
    "an empty length": {"CONTENT_LENGTH": ""},
    "a signed length": {"CONTENT_LENGTH": "+19"},
    "a length with underscores": {"CONTENT_LENGTH": "1_9"},
    "digits of another script": {"CONTENT_LENGTH": "１９"},
    "a list of lengths": {"CONTENT_LENGTH": "19, 19"},
    "a negative length": {"CONTENT_LENGTH": "-19"},
    "too large": {"CONTENT_LENGTH": "101"},
    "absurdly large": {"CONTENT_LENGTH": "9" * 5_000},
    "both lengths": {"CONTENT_LENGTH": LENGTH, "HTTP_TRANSFER_ENCODING": "chunked"},
    "another coding": {"HTTP_TRANSFER_ENCODING": "gzip, chunked"},
    "another type": {"CONTENT_LENGTH": LENGTH, "CONTENT_TYPE": "text/plain"},
    "compressed": {"CONTENT_LENGTH": LENGTH, "HTTP_CONTENT_ENCODING": "br"},
}


@pytest.fixture
def reader() -> BodyReader:
    """A reader of at most 100 bytes, for a server of 4 threads: 2 read, 1 waits for as long as it takes."""
    return _reader(request_threads=4, wait_s=1_000.0)


def _reader(**how: Any) -> BodyReader:
    return BodyReader(max_bytes=100, slots=BodySlots(clock=ManualClock(), timeout_s=10.0, **how))


@pytest.mark.parametrize("headers", REFUSED_UNREAD.values(), ids=REFUSED_UNREAD.keys())
def test_whatever_headers_decide_is_decided_before_reading(reader: BodyReader, headers: dict[str, str]) -> None:
    """A refused body has not been touched."""
    stream = _Stream(BODY)

    with pytest.raises(Exception, match=r".") as caught:
        reader.read(_request(stream, **headers), _Body, {JSON})

    assert (type(caught.value).__module__, stream.asked) == ("songs_api.http.kernel.validation", 0)


@pytest.mark.parametrize("headers", [{"CONTENT_LENGTH": LENGTH}, {"HTTP_TRANSFER_ENCODING": "chunked"}])
def test_a_body_that_arrives_in_parts_is_put_together(reader: BodyReader, headers: dict[str, str]) -> None:
    """Short reads are not the end of a body."""
    assert reader.read(_request(_Stream(BODY), **headers), _Body, {JSON}) == _Body(name="somebody")


def test_a_body_shorter_than_announced_is_malformed(reader: BodyReader) -> None:
    """JSON that happens to be whole is refused too: what was sent is not what arrived."""
    with pytest.raises(Malformed, match="shorter"):
        reader.read(_request(_Stream(BODY), CONTENT_LENGTH="20"), _Body, {JSON})


def test_a_body_in_chunks_is_bounded(reader: BodyReader) -> None:
    """At most one byte more than is accepted is read of a body without a length."""
    stream = _Stream(b'"' + b"a" * 10_000)

    with pytest.raises(Exception, match="may have at most 100 bytes"):
        reader.read(_request(stream, HTTP_TRANSFER_ENCODING="chunked"), _Body, {JSON})

    assert stream.tell() == 101


def test_a_broken_body_is_malformed_whatever_the_server_raises(reader: BodyReader) -> None:
    """Servers have exceptions of their own for broken chunks and lost clients; each is 400."""

    class Broken:
        def read(self, size: int) -> bytes:
            raise RuntimeError("invalid chunk size")

    with pytest.raises(Malformed, match="received"):
        reader.read(_request(Broken(), HTTP_TRANSFER_ENCODING="chunked"), _Body, {JSON})


def _in_threads(count: int, call: Callable[[], object]) -> list[threading.Thread]:
    threads = [threading.Thread(target=call) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def test_waiting_for_a_turn_ends() -> None:
    """Whoever waited for as long as is allowed is refused, unread."""
    reader = _reader(request_threads=2, wait_s=0.0)
    slow, untouched = _Hanging(), _Stream(BODY)

    def read_slowly() -> None:
        with pytest.raises(Malformed):
            reader.read(_request(slow, HTTP_TRANSFER_ENCODING="chunked"), _Body, {JSON})

    threads = _in_threads(1, read_slowly)
    assert slow.reading.wait(10)

    with pytest.raises(TooManyBodies):
        reader.read(_request(untouched, CONTENT_LENGTH=LENGTH), _Body, {JSON})

    assert untouched.asked == 0
    slow.released.set()
    threads[0].join(10)


def test_slow_bodies_take_half_of_the_threads_and_no_more(reader: BodyReader) -> None:
    """With 2 bodies hanging and 1 waiting the next is refused at once, unread; afterwards all is as before."""
    streams = [_Hanging(), _Hanging(), _Hanging()]
    pending = iter(streams)
    refused: list[Exception] = []

    def read_slowly() -> None:
        try:
            reader.read(_request(next(pending), user_id="u1", HTTP_TRANSFER_ENCODING="chunked"), _Body, {JSON})
        except (Malformed, TooManyBodies) as error:
            refused.append(error)

    threads = _in_threads(2, read_slowly)
    assert all(stream.reading.wait(10) for stream in streams[:2])
    threads += _in_threads(1, read_slowly)
    while not reader._slots.waiting:
        pass
    untouched = _Stream(BODY)

    with pytest.raises(TooManyBodies):
        reader.read(_request(untouched, user_id="u1", CONTENT_LENGTH=LENGTH), _Body, {JSON})

    assert untouched.asked == 0
    for stream in streams:
        stream.released.set()
    for thread in threads:
        thread.join(10)
    assert [type(error) for error in refused] == [Malformed] * 3
    assert reader.read(_request(_Stream(BODY), CONTENT_LENGTH=LENGTH), _Body, {JSON}).name == "somebody"
