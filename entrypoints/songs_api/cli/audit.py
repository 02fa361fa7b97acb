"""The audit trail of what commands change."""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from songs.errors import SongsError
from songs_api.container import Container


@contextmanager
def audited(container: Container, action: str, **about: object) -> Iterator[dict[str, Any]]:
    """Tell the audit trail of the block, whatever comes of it; what it puts into the dictionary is told as well.

    The line goes to standard error in the form of the service's log, when the container is closed. `outcome` is
    ``done``, the code of an error of ours, or the name of another one: part of the change may have been made then.
    """
    told: dict[str, Any] = dict(about)
    outcome = "done"
    try:
        yield told
    except SongsError as error:
        outcome = error.code
        raise
    except BaseException as error:
        outcome = type(error).__name__
        raise
    finally:
        container.recorder().audit(action, outcome=outcome, operator=_operator(), **told)


def _operator() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())
