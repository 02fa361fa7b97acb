"""Random and mutated requests, as raw bytes: the service refuses them, and stays what it was.

The long run, on both servers: ``tox run -e thorough -- tests/hostile/test_fuzz.py -s``.
"""

import json

import pytest

from .attack import SENDERS, Report, attack, exchange, problem_of
from .conftest import API, Launch, Target
from .requests import SONG, Requests

pytestmark = [pytest.mark.server, pytest.mark.timeout(3_600)]

SHORT, LONG = 2_400, 100_000
PART = 10_000
MOST_GROWTH = 1.1


class Fuzz:
    """Attacks one target in parts, with songs that are there at the beginning of each."""

    def __init__(self, target: Target, seed: int) -> None:
        self._target = target
        self._token = target.token("editor")
        self._song_ids: list[str] = []
        self._makers = [Requests(seed * SENDERS + n, self._token, self._song_ids) for n in range(SENDERS)]
        self._services = 0

    def run(self, count: int) -> Report:
        """Send requests and return what came back."""
        report = Report()
        for start in range(0, count, PART):
            self._add_songs()
            report.add(attack(self._target.port, self._makers, min(PART, count - start)))
        return report

    def _add_songs(self) -> None:
        self._services += 1
        added = []
        for n in range(5):
            song = SONG | {"title": f"Song {n} of part {self._services}"}
            status, body = self._target.ask("POST", f"{API}/songs", song, self._token)
            assert status == 201, body
            added.append(json.loads(body)["id"])
        self._song_ids[:] = added

    def check(self, report: Report) -> None:
        """Fail unless every answer was one that may be, and the service is well."""
        print(  # noqa: T201 - the figures of a run, with -s
            f"\n{sum(report.statuses.values())} requests: {dict(report.statuses.most_common())}; health asked "
            f"{report.health_checks} times, at most {report.slowest_health_s:.2f} s"
        )
        assert report.wrong == []
        assert report.health_checks
        # Had the token or the songs been lost, refusals would be all that was tested.
        assert report.statuses["200"]
        assert report.statuses["201"]
        assert self._target.ask("GET", f"{API}/songs", token=self._token)[0] == 200
        assert "Traceback" not in self._target.log.read_text(errors="replace")


@pytest.mark.parametrize("server", ["granian", "gunicorn"])
def test_no_request_breaks_the_service(launch: Launch, server: str, request: pytest.FixtureRequest) -> None:
    """Some thousand requests, others in each run: no 500, no hang, health all the time."""
    fuzz = Fuzz(launch(server, "sqlite"), request.config.getoption("randomly_seed", 0))

    fuzz.check(fuzz.run(SHORT))


@pytest.mark.thorough
@pytest.mark.parametrize("server", ["granian", "gunicorn"])
def test_a_hundred_thousand_requests_leave_nothing_behind(launch: Launch, server: str) -> None:
    """The memory held after 100,000 requests is at most 1.1 times that after 20,000."""
    target = launch(server, "sqlite")
    fuzz = Fuzz(target, 1)
    report = fuzz.run(LONG // 5)
    early_kib, workers = target.resident_kib(), target.workers()

    report.add(fuzz.run(LONG - LONG // 5))
    late_kib = target.resident_kib()

    print(f"\n{server}: {early_kib} KiB after {LONG // 5}, {late_kib} KiB after {LONG}")  # noqa: T201 - with -s
    fuzz.check(report)
    assert target.workers() == workers
    assert late_kib <= MOST_GROWTH * early_kib


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"HTTP/1.1 500 x\r\n\r\n", "status 500"),
        (b"HTTP/1.1 502 x\r\n\r\n", "status 502"),
        (b"HANG", "hangs"),
        (b"garbage", "not HTTP"),
        (b"HTTP/1.1 404 x\r\nX-Request-ID: a\r\nContent-Type: text/html\r\n\r\n", "not a problem"),
        (b"HTTP/1.1 404 x\r\nX-Request-ID: a\r\nContent-Type: application/problem+json\r\n\r\n", ""),
        (b"HTTP/1.1 503 x\r\n\r\n", ""),
        (b"HTTP/1.1 200 OK\r\n\r\n", ""),
        (b"", ""),
    ],
)
def test_what_is_wrong_with_an_answer_is_seen(answer: bytes, problem: str) -> None:
    """Otherwise nothing would be found by sending."""
    assert problem_of(answer) == problem


def test_the_same_seed_makes_the_same_requests() -> None:
    """What was found can be found again."""
    first, second, other = (Requests(seed, "token", ["s1"]) for seed in (1, 1, 2))

    made = [first.next() for _ in range(200)]

    assert made == [second.next() for _ in range(200)]
    assert made != [other.next() for _ in range(200)]


def test_health_is_answered(launch: Launch) -> None:
    """The exchange of raw bytes works: a good request gets its answer."""
    target = launch("granian", "memory")

    assert exchange(target.port, b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n", unfinished_s=30.0).endswith(
        b'healthy"}'
    )
