"""Commands that fail, for the contract kit: told to the trial server, which fails them on the wire."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

from songs_mongo.client import Client, connect
from songs_mongo.settings import MongoSettings

FAULTS: Final = "songsFaults"
"""The command of `songs_mongo.trial_server`."""


class FailingCommands:
    """Lets commands of a trial server fail: a `LastingFaultInjector`. Those that drivers send by themselves do not."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def failed(self) -> bool:
        """Whether a command has failed since `fail_at` or `fail_from`."""
        return bool(self._tell()["failed"])

    @property
    def calls(self) -> int:
        """How many commands came since then."""
        return int(self._tell()["calls"])

    def fail_at(self, call: int, *, when: Literal["before", "after"]) -> None:
        """Let one command fail."""
        self._tell(call=call, when=when, lasting=False)

    def fail_from(self, call: int, *, when: Literal["before", "after"]) -> None:
        """Let one command fail, and all after it."""
        self._tell(call=call, when=when, lasting=True)

    def heal(self) -> None:
        """Let none fail, without forgetting what came."""
        self._tell(heal=True)

    def _tell(self, **order: Any) -> dict[str, Any]:  # noqa: ANN401 - what the server takes
        return self._client.admin.command({FAULTS: order})


@contextmanager
def faults(settings: MongoSettings) -> Iterator[FailingCommands]:
    """Yield what lets commands of the trial server of these settings fail."""
    with connect(settings, 1) as client:
        failing = FailingCommands(client)
        try:
            yield failing
        finally:
            failing.heal()
