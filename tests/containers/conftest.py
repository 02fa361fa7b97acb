"""Stacks of containers, where there is an engine that runs them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.containers.stack import PASSWORD, Stack, missing

NewStack = Callable[..., Stack]


@pytest.fixture(scope="session")
def new_stack(
    project_root: Path, project_files: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NewStack]:
    """Makes stacks; skips the test where no engine can run them."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    made: list[Stack] = []

    def make(**variables: str) -> Stack:
        made.append(Stack(project_files, project_root, tmp_path_factory.mktemp("stack"), **variables))
        return made[-1]

    yield make
    for stack in made:
        stack.end()


@pytest.fixture(scope="module", params=["gunicorn", "granian"])
def stack(request: pytest.FixtureRequest, new_stack: NewStack) -> Iterator[Stack]:
    """The stack on one server and on the other, with an admin `ada` and a song."""
    made = new_stack(SONGS_SERVER=request.param, SONGS_MAX_BODY_BYTES="100000")
    made.start()
    made.songs("users", "add", "ada", "--role", "admin", "--password-stdin", given=PASSWORD + "\n")
    yield made
    made.end()
