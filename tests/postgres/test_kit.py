"""The contract kit, over the server that the other tests use."""

import os
import subprocess
import sys
from pathlib import Path

from tests.postgres.database_user import User

from songs_postgres.plugin import TEST_URL

PATIENCE_S = 600
"""For one test of the kit. Its state machine sends some 30,000 statements, which takes its time on a busy machine."""


def test_the_contract(user: User, tmp_path: Path) -> None:
    """Every clause passes, or is declared unsupported."""
    program = [sys.executable, "-c", "from songs_api.cli import main; main()"]
    result = subprocess.run(
        [*program, "contract", "postgres", "--patience", str(PATIENCE_S)],
        cwd=tmp_path,
        env=os.environ | {TEST_URL: user.settings.url.get_secret_value()},
        check=False,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
