"""The page in a real browser, on services as processes of their own."""

import json
import os
import shutil
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect, sync_playwright
from tests.running import Running, free_port

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
PROGRAM: Final = Path(__file__).resolve().parents[1] / "hostile" / "program.py"
PASSWORD: Final = "correct horse battery staple"
PATIENCE_MS: Final = 60_000.0
ELSEWHERE: Final = "--host-resolver-rules=MAP songs.example 127.0.0.1"
"""Gives this machine another name."""
SCREENSHOTS: Final = "SONGS_TEST_SCREENSHOTS"
HOSTILE: Final = "<img src=x onerror=\"document.title='owned'\">"
"""The title of a song that no page may take for markup."""


@dataclass(frozen=True)
class Catalogue:
    """A service with 25 songs, one of which is hostile."""

    address: str

    def call(self, path: str, body: dict[str, Any], token: str = "") -> Any:
        """Return what a POST is answered."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        url = f"{self.address}/api/v1/{path}"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    def fill(self) -> None:
        """Add the songs."""
        signed_in = self.call("auth/login", {"username": "editor", "password": PASSWORD})
        for number in range(25):
            title = HOSTILE if number == 0 else f"Étude {number}"
            song = {"artist": "Anon.", "title": title, "difficulty": 1.5, "level": number, "released": "1900-01-01"}
            self.call("songs", song, signed_in["access_token"])


@pytest.fixture(scope="module")
def catalogue(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    """A service with its songs in memory; where a test asks for SQLite, with two processes."""
    storage = getattr(request, "param", "memory")
    folder = tmp_path_factory.mktemp("page")
    variables = {"SONGS_STORAGE": storage, "SONGS_SQLITE_PATH": str(folder / "songs.db")}
    variables["SONGS_WORKERS"] = "1" if storage == "memory" else "2"
    running = Running.start([sys.executable, str(PROGRAM), PASSWORD], folder, free_port(), variables)
    try:
        running.wait_until_it_answers()
        found = Catalogue(f"http://127.0.0.1:{running.port}")
        found.fill()
        yield found
    finally:
        running.stop()
    assert running.told() == []


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The browser of this machine, without a window."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"there is none of {', '.join(BROWSERS)} on the PATH")
    with sync_playwright() as playwright:
        try:
            # It shows this page alone, and as root it has no sandbox; in containers /dev/shm may be small.
            arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server", ELSEWHERE]
            started = playwright.chromium.launch(executable_path=program, args=arguments)
        except Error as error:
            pytest.skip(f"{program} does not start here: {error.message.splitlines()[0]}")
        yield started
        started.close()


Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, catalogue: Catalogue, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Open the page in a fresh context; whatever its scripts complain of fails the test."""
    expect.set_options(timeout=PATIENCE_MS)
    contexts: list[BrowserContext] = []
    complaints: list[str] = []
    pages: list[Page] = []

    def make(**options: Any) -> Page:
        context = browser.new_context(**options)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{catalogue.address}/")
        pages.append(page)
        return page

    yield make
    if folder := os.environ.get(SCREENSHOTS):
        for number, page in enumerate(pages):
            page.screenshot(path=Path(folder) / f"{request.node.name}-{number}.png", full_page=True)
    for context in contexts:
        context.close()
    assert complaints == []
