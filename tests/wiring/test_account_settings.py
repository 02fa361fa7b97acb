"""What operators change about accounts between two starts, with one SQLite file in between."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from songs.errors import InvalidInput, InvalidToken, RefreshRefused
from songs.ports.clock import Deadline
from songs_api.bootstrap.container import Container
from songs_api.bootstrap.startup import opened
from songs_api.settings import Source, Variables, resolve
from songs_plugins.registry import Registry

OLD, NEW = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG", "GFEDCBAzyxwvutsrqponmlkjihgfedcba9876543210"
PASSWORD = "correct horse"

Start = Callable[..., Container]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Open a service's parts with some variables; several may be open at once."""
    with ExitStack() as stack:

        def call(**variables: str) -> Container:
            texts = {
                "SONGS_STORAGE": "sqlite",
                "SONGS_SQLITE_PATH": str(tmp_path / "songs.db"),
                "SONGS_JWT_SECRET": OLD,
                "SONGS_BCRYPT_ROUNDS": "4",
                **variables,
            }
            settings = resolve(Variables().replacing(texts, Source.ENVIRONMENT), Registry())
            return stack.enter_context(opened(settings))

        yield call


def _deadline(container: Container) -> Deadline:
    return Deadline.after(container.clock(), 30.0)


def _sign_in(container: Container) -> tuple[str, str]:
    signed_in = container.accounts().sign_in("ada", PASSWORD, deadline=_deadline(container))
    return signed_in.access_token, signed_in.refresh_token


def _hash(container: Container) -> str:
    return container.accounts().get("ada", deadline=_deadline(container)).password_hash


def test_the_secret_is_changed_without_signing_anyone_out(start: Start) -> None:
    """Tokens of the secret before are good while it is the previous one; new ones are signed with the new one."""
    before = start()
    before.accounts().register("ada", PASSWORD, deadline=_deadline(before))
    old, _ = _sign_in(before)

    during = start(SONGS_JWT_SECRET=NEW, SONGS_JWT_SECRET_PREVIOUS=OLD)
    after = start(SONGS_JWT_SECRET=NEW)
    new, _ = _sign_in(during)

    assert during.access().authenticate(old, deadline=_deadline(during)).name == "ada"
    assert after.access().authenticate(new, deadline=_deadline(after)).name == "ada"
    for container, token in ((after, old), (before, new)):
        with pytest.raises(InvalidToken):
            container.access().authenticate(token, deadline=_deadline(container))


def test_hashes_follow_the_cost_at_the_next_sign_in(start: Start) -> None:
    """Once, and upwards only; the sessions of before end, as the documentation says."""
    weak = start()
    weak.accounts().register("ada", PASSWORD, deadline=_deadline(weak))
    _, refresh_token = _sign_in(weak)
    first = _hash(weak)
    assert "$2b$04$" in first

    strong = start(SONGS_BCRYPT_ROUNDS="5")
    _sign_in(strong)
    second = _hash(strong)
    for container in (strong, weak):
        _sign_in(container)

    assert "$2b$05$" in second
    assert _hash(strong) == second
    with pytest.raises(RefreshRefused):
        strong.sessions().refresh(refresh_token, deadline=_deadline(strong))


def test_the_shortest_password_is_a_setting(start: Start) -> None:
    """At registration and when it is changed; who has a shorter one signs in with it."""
    before = start()
    user = before.accounts().register("ada", PASSWORD, deadline=_deadline(before))

    accounts = (after := start(SONGS_PASSWORD_MIN_LENGTH="14")).accounts()

    with pytest.raises(InvalidInput):
        accounts.register("bob", PASSWORD, deadline=_deadline(after))
    with pytest.raises(InvalidInput):
        accounts.change_password(user.id, PASSWORD, "battery staple"[1:], deadline=_deadline(after))
    assert _sign_in(after)
