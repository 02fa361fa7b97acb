"""Services for the tests here; every one is ended with its test."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from tests.outages.service import Client, Service

NewService = Callable[..., Service]


@pytest.fixture
def new_service(tmp_path: Path) -> Iterator[NewService]:
    """Makes a service with some settings, which is not started yet."""
    made: list[Service] = []

    def make(variables: Mapping[str, str], wrapped: tuple[str, ...] = ()) -> Service:
        made.append(Service(tmp_path, variables, wrapped))
        return made[-1]

    yield make
    for service in made:
        service.end()


@pytest.fixture
def add_songs() -> Callable[[Client, int], list[str]]:
    """Adds songs that differ in their titles; returns their ids."""

    def add(client: Client, count: int) -> list[str]:
        ids = []
        for number in range(count):
            details = {"artist": "Queen", "title": f"Song {number}", "difficulty": 1.5, "level": 3}
            answer = client.ask("POST", "/songs", {**details, "released": "1975-10-31"})
            assert answer.status == 201, answer
            ids.append(answer.body["id"])
        return ids

    return add
