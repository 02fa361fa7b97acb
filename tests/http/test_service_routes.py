"""Health, readiness and the documentation."""

import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin

import pytest
from tests.clock import ManualClock

from songs.errors import CacheUnavailable, StorageUnavailable
from songs.ports.clock import Deadline
from songs_api.http.api.pages import CONTENT_SECURITY_POLICY, DOCS_ASSETS, DOCS_INDEX, INDEX, PAGE_ASSETS, Asset
from songs_api.http.api.service import Found, ReadinessProbe
from songs_api.http.kernel.operation import PREFIX
from songs_api.settings.service import HttpSettings, ServiceSettings
from songs_memory.storage import MemoryStorage
from songs_plugins.none import NoCache

from .conftest import Build, Service


class _Storage(MemoryStorage):
    """A storage whose ping can be made to fail, or to hang."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.pings = 0
        self.asked = threading.Event()
        self.hanging = threading.Event()
        self.hanging.set()

    def ping(self, *, deadline: Deadline) -> None:
        self.pings += 1
        self.asked.set()
        assert self.hanging.wait(10)
        if self.down:
            raise StorageUnavailable
        super().ping(deadline=deadline)


class _DownCache(NoCache):
    """A cache that does not answer."""

    def ping(self) -> str:
        raise CacheUnavailable


def test_health_needs_nothing(build: Build) -> None:
    """200 also with the storage closed."""
    service = build()
    service.services.storage.close()

    result = service.client.simulate_get(f"{PREFIX}/health")

    assert (result.status_code, result.json) == (200, {"status": "healthy"})


def test_readiness_is_the_storages(build: Build) -> None:
    """503 while the storage does not answer, 200 again when it does."""
    storage = _Storage()
    service = build(replaced={"storage": storage})
    answers = []
    for storage.down in (False, True, False):
        answers.append(service.client.simulate_get(f"{PREFIX}/health/ready"))

    assert [answer.status_code for answer in answers] == [200, 503, 200]
    assert answers[0].json == {"status": "ready", "checks": {"storage": "up", "cache": "up"}}
    assert answers[1].json == {"status": "unavailable", "checks": {"storage": "down", "cache": "up"}}
    assert answers[1].headers["Retry-After"] == "1"


def test_a_cache_that_is_down_is_reported_and_does_no_harm(build: Build) -> None:
    """200: requests are served without it."""
    service = build(replaced={"cache": _DownCache()})

    result = service.client.simulate_get(f"{PREFIX}/health/ready")

    assert (result.status_code, result.json["checks"]) == (200, {"storage": "up", "cache": "down"})


def test_a_storage_that_hangs_holds_one_thread() -> None:
    """While one thread asks, others are told what was found last; and once it takes too long, that it is down."""
    storage, clock = _Storage(), ManualClock()
    storage.open()
    probe = ReadinessProbe(storage, NoCache(), clock, deadline_s=3.0)
    assert probe.ask() == Found(storage=True, cache=True)
    storage.hanging.clear()
    storage.asked.clear()
    results: list[Found] = []
    thread = threading.Thread(target=lambda: results.append(probe.ask()))
    thread.start()
    assert storage.asked.wait(10)

    meanwhile = probe.ask()
    clock.sleep(3.1)
    overdue = probe.ask()

    assert (meanwhile.storage, overdue.storage, storage.pings) == (True, False, 2)
    storage.hanging.set()
    thread.join(10)
    assert results == [Found(storage=True, cache=True)]
    assert probe.ask() == Found(storage=True, cache=True)


def test_the_first_to_ask_are_many() -> None:
    """Right after a start all who ask at once are told that the storage answers, as it did when it was opened."""
    storage, clock = _Storage(), ManualClock()
    storage.open()
    probe = ReadinessProbe(storage, NoCache(), clock, deadline_s=3.0)
    storage.hanging.clear()
    thread = threading.Thread(target=probe.ask)
    thread.start()
    assert storage.asked.wait(10)

    meanwhile = probe.ask()
    clock.sleep(3.1)
    overdue = probe.ask()

    storage.hanging.set()
    thread.join(10)
    assert (meanwhile.storage, overdue.storage, storage.pings) == (True, False, 1)


class _InterruptedClock(ManualClock):
    """A clock that, once, lets something else happen while it is asked."""

    meanwhile: Callable[[], object] | None = None

    def monotonic_s(self) -> float:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return super().monotonic_s()


def test_a_question_that_only_begins_is_not_overdue() -> None:
    """Who asks while another thread is just beginning to, long after the last time, is told what was found then."""
    storage, clock = _Storage(), _InterruptedClock()
    storage.open()
    probe = ReadinessProbe(storage, NoCache(), clock, deadline_s=3.0)
    assert probe.ask().storage
    clock.sleep(60.0)
    answers: list[Found] = []
    clock.meanwhile = lambda: answers.append(probe.ask())

    assert probe.ask().storage
    assert answers == [Found(storage=True, cache=True)]


FILES = [
    ("/", INDEX),
    *((f"/page/{name}", asset) for name, asset in PAGE_ASSETS.items()),
    ("/docs", DOCS_INDEX),
    *((f"/docs/{name}", asset) for name, asset in DOCS_ASSETS.items()),
]


def _document(service: Service, path: str, **headers: str) -> Any:
    return service.client.simulate_get(path, headers=headers)


@pytest.mark.parametrize("prefix", ["", PREFIX])
@pytest.mark.parametrize(("path", "asset"), FILES, ids=[path for path, _ in FILES])
def test_pages_and_their_files_are_served(service: Service, prefix: str, path: str, asset: Asset) -> None:
    """Byte for byte, typed, under the pages' own policy, to anyone, at both addresses."""
    path = prefix + path

    result = _document(service, path)

    assert (result.status_code, result.content) == (200, asset.body)
    assert result.headers["Content-Type"] == asset.content_type
    assert result.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert result.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/", "/page/page.js", "/docs", "/docs/init.js", "/openapi.json", f"{PREFIX}/openapi.json"]
)
def test_who_has_a_document_is_told_so(service: Service, path: str) -> None:
    """304 without a body for its entity tag, in a list too, weak too; 200 for another one."""
    etag = _document(service, path).headers["ETag"]

    for known in (etag, f'"x", {etag}', f"W/{etag}", "*"):
        result = _document(service, path, **{"If-None-Match": known})

        assert (result.status_code, result.content, result.headers["ETag"]) == (304, b"", etag)
        assert result.headers["Cache-Control"] == "public, no-cache"
    assert _document(service, path, **{"If-None-Match": '"x"'}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/page/page.js", "/docs", "/docs/"])
def test_links_to_pages_may_have_parameters(service: Service, path: str) -> None:
    """Whoever passes a link on may have added some; routes of the API refuse what they do not know."""
    assert _document(service, f"{path}?utm_source=x").status_code == _document(service, path).status_code
    assert service.client.simulate_get(f"{PREFIX}/health?utm_source=x").status_code == 422


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [("/", "/docs"), ("/docs/", "/docs"), (f"{PREFIX}/", f"{PREFIX}/docs"), (f"{PREFIX}/docs/", f"{PREFIX}/docs")],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_browsers_are_led_to_the_documentation(build: Build, method: str, path: str, leads_to: str) -> None:
    """By a relative reference, right behind a proxy with a prefix of its own, and in words for who follows none."""
    service = build(ServiceSettings(http=HttpSettings(page="off")))
    result = service.client.simulate_request(method, path, headers={"Accept": "text/html"})

    assert result.status_code == 302
    assert urljoin(f"http://x{path}", result.headers["Location"]) == f"http://x{leads_to}"
    assert urljoin(f"http://x/music{path}", result.headers["Location"]) == f"http://x/music{leads_to}"
    assert service.client.simulate_get(leads_to).status_code == 200
    assert (PREFIX in result.text) == (method == "GET")
