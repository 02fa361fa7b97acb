"""The server of runs that the tests of one process share."""

from collections.abc import Iterator

import pytest
from tests.kit.forked_runs import Runner, runners


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """Runs the kit without starting it each time."""
    with runners(tmp_path_factory.mktemp("runner"), 1) as (found,):
        yield found
