"""A service in memory behind its WSGI interface, and the requests of the hot path."""

from collections.abc import Callable, Iterator
from datetime import date

import pytest
from tests.asking import asker

from songs.model import SongDetails
from songs.ports.clock import Deadline
from songs.query import SongFilter, Walk
from songs_api.bootstrap.container import Container
from songs_api.bootstrap.startup import opened
from songs_api.settings import Variables, resolve
from songs_plugins.registry import Registry

SETTINGS = {
    "STORAGE": "memory",
    "CACHE": "memory",
    "LIMITER_DEFAULT": "999999999/day",
    "BCRYPT_ROUNDS": "4",
    "JWT_SECRET": 40 * "x",
}
SONGS = 30


@pytest.fixture
def container() -> Iterator[Container]:
    """A service with cache and limiter on, and some songs."""
    texts = {f"SONGS_{name}": value for name, value in SETTINGS.items()}
    with opened(resolve(Variables().replacing(texts), Registry())) as container:
        for n in range(SONGS):
            details = SongDetails(
                artist="Artist", title=f"Title {n}", difficulty_milli=n, level=n, released=date(2000, 1, 1)
            )
            container.catalogue().add(details, deadline=Deadline.after(container.clock(), 30))
        yield container


@pytest.fixture
def hot_path(container: Container) -> dict[str, Callable[[], None]]:
    """Each makes one request, and fails unless that is answered as it should be."""
    soon = Deadline.after(container.clock(), 30)
    asking = asker(container, soon)
    first = container.catalogue().page(SongFilter(), Walk(None, 1), deadline=soon).songs[0].id
    return {
        "cached statistics": asking(f"/songs/{first}/ratings"),
        "cached song": asking(f"/songs/{first}"),
        "cached list": asking("/songs"),
        "rating": asking("/songs/ratings", {"song_id": first, "rating": 4}),
    }
