"""docs/client-guide.md: the snippets of each language, read downwards, are a program that does what the page says."""

import itertools
import json
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Final

import pytest
from tests.running import HANGS_S, SONGS, START_S, Running, free_port

pytestmark = [pytest.mark.thorough, pytest.mark.server]

GUIDE: Final = Path(__file__).resolve().parents[2] / "docs" / "client-guide.md"
PRINTED: Final = """\
songs: 615
counted, ratings: 1
replayed, ratings: 1
unchanged: 304
level 7: 200
level 8: 412
signed out: 204
"""


def _snippets(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The variables that the guide wants, for a demo of the test."""
    running = Running.start([*SONGS, "demo"], tmp_path, free_port(), {})
    try:
        running.wait_until_it_answers()
        yield {
            "PATH": os.environ["PATH"],
            "SONGS_URL": f"http://127.0.0.1:{running.port}/api/v1",
            "SONGS_USER": "demo",
            "SONGS_PASSWORD": _password(running.log),
        }
    finally:
        running.stop()


class _Busy(BaseHTTPRequestHandler):
    """Refuses two of three requests."""

    statuses = itertools.cycle((429, 503, 200))

    def do_GET(self) -> None:
        status = next(self.statuses)
        self.send_response(status)
        self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(b"done" if status == 200 else b"busy")

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def busy() -> Iterator[str]:
    """The address of a service that refuses two of three requests."""
    with HTTPServer(("127.0.0.1", 0), _Busy) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        serving.join()


def _password(log: Path) -> str:
    """Return the password, which the demo prints after its first answer."""
    ends_s = time.monotonic() + START_S
    while time.monotonic() < ends_s:
        if found := re.search(r"^  password +(\S+)$", log.read_text(), re.MULTILINE):
            return found[1]
        time.sleep(0.02)
    pytest.fail(f"the demo printed no password:\n{log.read_text()}")


def _run(command: list[str], program: list[str], demo: dict[str, str]) -> str:
    ran = subprocess.run(
        command, input="\n".join(program), env=demo, capture_output=True, text=True, check=False, timeout=HANGS_S
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_the_program_in_curl(demo: dict[str, str]) -> None:
    """It prints what the others do, without the numbers that a shell does not read from JSON."""
    if not shutil.which("curl"):
        pytest.skip("curl is not there")

    printed = _run(["sh", "-es"], _snippets("sh curl"), demo)

    assert printed == PRINTED.replace(", ratings: 1", "")


def test_any_password_signs_in_with_curl(demo: dict[str, str]) -> None:
    """Also one with what means something to a shell, to `printf` or in JSON."""
    password = "a\"b\\c d'e$(x) %s &"
    account = {"username": "quoted", "password": password}
    request = urllib.request.Request(
        f"{demo['SONGS_URL']}/auth/register", json.dumps(account).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=HANGS_S):
        pass

    printed = _run(
        ["sh", "-es"],
        [_snippets("sh curl")[0], 'echo "${token:+signed in}"'],
        demo | {"SONGS_USER": "quoted", "SONGS_PASSWORD": password},
    )

    assert printed == "signed in\n"


def test_curl_repeats_what_is_refused(busy: str) -> None:
    """After a 429 and a 503 the answer is the only output, whether its body is kept or not."""
    calls = ["token=x", f"request {busy}", f"request -o /dev/null -w '%{{http_code}}' {busy}"]

    printed = _run(["sh", "-es"], [_snippets("sh curl")[1], *calls], {"PATH": os.environ["PATH"]})

    assert printed == "done200"


def test_the_program_in_python(tools: Path, demo: dict[str, str]) -> None:
    """It exchanges a refresh token on its way."""
    sign_in, *rest = _snippets("python")

    printed = _run([str(tools / "python"), "-"], [sign_in, 'tokens["access_token"] = "expired"', *rest], demo)

    assert printed == PRINTED


def test_the_program_in_javascript(demo: dict[str, str]) -> None:
    """It exchanges a refresh token on its way."""
    if not shutil.which("node"):
        pytest.skip("node is not there")
    sign_in, *rest = _snippets("js")

    printed = _run(["node", "--input-type=module"], [sign_in, 'tokens.access_token = "expired";', *rest], demo)

    assert printed == PRINTED


def test_a_generated_client_in_three_lines(tools: Path, demo: dict[str, str], tmp_path: Path) -> None:
    """The lines after the one that installs the generator."""
    install, *lines = _snippets("sh")[-1].splitlines()
    address = demo["SONGS_URL"].removesuffix("/api/v1")
    program = [line.replace("http://127.0.0.1:8000", address) for line in lines]

    _run(["sh", "-es"], [f"cd '{tmp_path}'", *program], {**demo, "PATH": f"{tools}:{demo['PATH']}"})

    assert install == "pip install openapi-python-client"
