"""The contract kit, over a real server of its own."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.running import HANGS_S


@pytest.mark.redis
@pytest.mark.skipif(shutil.which("redis-server") is None, reason="there is no redis-server on the PATH")
def test_the_contract(tmp_path: Path) -> None:
    """Every clause passes, those too that need a server which fails, or holds rubbish."""
    command = [sys.executable, "-c", "from songs_api.cli import main; main()", "contract", "redis", "--json"]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=HANGS_S)
    assert done.returncode == 0, done.stderr
    verdicts = {clause["id"]: clause["verdict"] for clause in json.loads(done.stdout)["clauses"]}
    assert {each: verdict for each, verdict in verdicts.items() if verdict != "pass"} == {}
