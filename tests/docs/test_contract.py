"""The page about the contract is what the ports and the counting tests say."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.running import HANGS_S

from songs.ports.coherence import CoherenceRepository
from songs.ports.ratings import RatingRepository
from songs.ports.sessions import SessionRepository
from songs.ports.songs import SongRepository
from songs.ports.users import UserRepository
from songs_contract.models.samples import READS, WRITES

HERE = Path(__file__).parent
COSTS = tomllib.loads((HERE.parent / "costs.toml").read_text(encoding="utf-8"))
REPOSITORIES = {
    "songs": SongRepository,
    "ratings": RatingRepository,
    "users": UserRepository,
    "sessions": SessionRepository,
    "coherence": CoherenceRepository,
}


def test_the_page_is_up_to_date(project_root: Path, tmp_path: Path) -> None:
    """Whoever changes a clause or a cost writes the page anew: python tests/docs/write_contract.py."""
    written = tmp_path / "contract.md"
    subprocess.run([sys.executable, HERE / "write_contract.py", written], check=True, timeout=HANGS_S)

    assert (project_root / "docs" / "contract.md").read_text(encoding="utf-8") == written.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", REPOSITORIES)
def test_every_method_is_counted(name: str) -> None:
    """No method of a repository lacks an operation of which the cost is counted."""
    methods = {f"{name}.{method}" for method in vars(REPOSITORIES[name]) if not method.startswith("_")}

    assert {each.split(",")[0].split(" ")[0] for each in (*READS, *WRITES) if each.startswith(f"{name}.")} == methods


@pytest.mark.parametrize("storage", [name for name in COSTS if name != "redis"])
def test_every_operation_has_a_cost(storage: str) -> None:
    """On each storage, and nothing else has one."""
    assert set(COSTS[storage]) == {*READS, *WRITES}
