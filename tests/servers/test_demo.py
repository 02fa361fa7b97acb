"""`songs demo`: what it prints can be used as printed."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.running import HANGS_S

pytestmark = pytest.mark.server

CONSOLE = "from songs_api.cli import main; main()"
BUNDLED = Path(__file__).parents[2] / "entrypoints" / "songs_api" / "data" / "catalogue.jsonl"
REAL = Path(__file__).parents[3] / "shared" / "data" / "songs_26k.jsonl.gz"


@dataclass(frozen=True)
class Demo:
    """What a demo printed, and how to ask it."""

    printed: str
    warned: Path

    def word(self, name: str) -> str:
        """Return what is printed behind a name."""
        match = re.search(rf"^  {name} +(\S+)$", self.printed, re.MULTILINE)
        assert match is not None, self.printed
        return match[1]

    @property
    def token(self) -> str:
        """The printed token."""
        match = re.search(r"^  TOKEN=(\S+)$", self.printed, re.MULTILINE)
        assert match is not None, self.printed
        return match[1]

    def get(self, path: str, **query: str) -> Any:
        """Return the parsed answer to a GET with the printed token."""
        address = self.word("documentation").removesuffix("/docs")
        url = f"{address}/api/v1{path}?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    """Start a demo on a free port and return what it printed."""
    started: list[subprocess.Popen[str]] = []

    def call(**variables: str) -> Demo:
        with (tmp_path / "stderr").open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-c", CONSOLE, "demo", "--port", "0"],
                cwd=tmp_path,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **variables},
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        started.append(process)
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            if "curl" in line:
                break
        return Demo("".join(lines), tmp_path / "stderr")

    yield call
    for process in started:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=HANGS_S)
        assert process.returncode == 0


def test_the_printed_command_answers(demo: Callable[..., Demo]) -> None:
    """The two lines work as they are pasted, and the user can sign in with the printed password and edit."""
    running = demo()
    pasted = running.printed[running.printed.index("  TOKEN=") :].rstrip("\n")

    answer = subprocess.run(
        ["sh", "-c", f"{pasted} --silent --write-out '\n%{{http_code}}'"], capture_output=True, text=True, check=True
    )
    assert len(pasted.splitlines()) == 2
    assert running.printed.count(running.token) == 1
    body, _, status = answer.stdout.rpartition("\n")
    assert status == "200"
    assert json.loads(body)["pagination"]["total"] == len(BUNDLED.read_text(encoding="utf-8").splitlines())

    address = running.word("documentation").removesuffix("/docs")
    account = json.dumps({"username": running.word("user"), "password": running.word("password")}).encode()
    request = urllib.request.Request(
        f"{address}/api/v1/auth/login", data=account, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        assert json.load(response)["expires_in"] == 12 * 3600


def test_settings_for_serving_do_not_stop_a_demo(demo: Callable[..., Demo]) -> None:
    """Whatever .env selects for production, the demo is in memory, in one process, and starts."""
    running = demo(
        SONGS_ENVIRONMENT="production", SONGS_WORKERS="4", SONGS_STORAGE="sqlite", SONGS_REGISTRATION="closed"
    )

    assert running.get("/songs")["pagination"]["page"] == 1
    warning = re.compile(r"^songs: warning: (\w+) is '(\w+)', and does not count", re.MULTILINE)
    assert warning.findall(running.warned.read_text()) == [
        ("SONGS_ENVIRONMENT", "production"),
        ("SONGS_WORKERS", "4"),
        ("SONGS_STORAGE", "sqlite"),
    ]


def test_settings_that_are_given_beat_those_of_the_demo(demo: Callable[..., Demo], tmp_path: Path) -> None:
    """Of the environment and of .env: limits, lifetimes, lengths, levels."""
    (tmp_path / ".env").write_text("SONGS_LIMITER_DEFAULT=2/hour\nSONGS_PASSWORD_MIN_LENGTH=40\n")
    running = demo(SONGS_ACCESS_TOKEN_TTL_S="60", SONGS_LIMITER_SIGN_IN="1/day", SONGS_CACHE="none")
    address = running.word("documentation").removesuffix("/docs")

    assert "valid for 1 minute;" in running.printed
    assert len(running.word("password")) >= 40
    assert [running.get("/songs")["pagination"]["page"] for _ in range(2)] == [1, 1]
    with pytest.raises(urllib.error.HTTPError, match="429") as limited:
        running.get("/songs")
    limited.value.close()
    account = json.dumps({"username": "demo", "password": "not this one"}).encode()
    statuses = []
    for _ in range(2):
        request = urllib.request.Request(
            f"{address}/api/v1/auth/login", data=account, headers={"Content-Type": "application/json"}
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10)
        statuses.append(refused.value.code)
        refused.value.close()
    assert statuses == [401, 429]


@pytest.mark.skipif(not REAL.exists(), reason="../shared/data is not there")
def test_another_catalogue_is_served(demo: Callable[..., Demo]) -> None:
    """26,229 real songs: what searches find, and the averages."""
    running = demo(SONGS_DEMO_CATALOGUE=str(REAL))
    wanted = {"love": 1053, "Beyoncé": 19, "beyonce": 19, "85%": 1, "_": 8, "/\\": 6, ".*": 0, "君": 4, "straße": 6}

    found = {text: running.get("/songs/search", message=text)["pagination"]["total"] for text in wanted}
    averages = [running.get("/songs/difficulty/average", **level)["average_difficulty"] for level in LEVELS]

    assert running.get("/songs")["pagination"]["total"] == 26_229
    assert found == wanted
    assert averages == [7.84, 6.991, None]


LEVELS: list[dict[str, str]] = [{}, {"level": "7"}, {"level": "99"}]
