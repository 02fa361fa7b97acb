"""Limits on the audit trail, and summaries of the lines left out."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

WINDOW_S: Final = 60.0
LINES_EACH: Final = 20
"""Lines of one kind about one user in a window."""
LINES_ALTOGETHER: Final = 60
"""The number of lines of one kind about unknown users in a window."""
MAX_COUNTED: Final = 1_000
"""The number of users of each kind that are distinguished in a window; further users count as unknown."""
MAX_ADDRESSES: Final = 50
"""The number of addresses that are distinguished among the lines left out of one kind and user."""
_ERROR: Final = 400


class Kind(NamedTuple):
    """The kind of an audit line: `who` is the user's id; None for an unknown user."""

    action: str | None
    status: int
    code: str | None
    who: str | None


@dataclass(slots=True)
class _Count:
    lines: int = 0
    left_out: int = 0
    addresses: set[str] = field(default_factory=set)


class LeftOut(NamedTuple):
    """The number of lines of a kind left out, and of addresses among them, counted to `MAX_ADDRESSES`."""

    kind: Kind
    lines: int
    addresses: int


class AuditBudget:
    """Lets through the first lines of each kind in a window, and counts the rest. Not thread-safe.

    Without it anyone could fill the log's disk, without a token: each refused request is a line. Successful actions of
    a user are never left out. Failed sign-ins of a user have a budget of their own.

    Args:
        now_s: The time by the monotonic clock.
    """

    def __init__(self, now_s: float) -> None:
        self._ends_s = now_s + WINDOW_S
        self._counts: dict[Kind, _Count] = {}
        self._users: dict[Kind, int] = {}

    def admits(self, kind: Kind, address: str | None) -> bool:
        """Count a line, and return whether it is to be written."""
        if kind.who is not None and kind.status < _ERROR:
            return True
        count = self._counts.get(kind)
        if count is None:
            kind = self._told_apart(kind)
            count = self._counts.setdefault(kind, _Count())
        if count.lines < (LINES_ALTOGETHER if kind.who is None else LINES_EACH):
            count.lines += 1
            return True
        count.left_out += 1
        if address is not None and len(count.addresses) < MAX_ADDRESSES:
            count.addresses.add(address)
        return False

    def ended(self, now_s: float) -> Iterator[LeftOut]:
        """Yield what was left out if the window is over, and begin the next one."""
        if now_s >= self._ends_s:
            yield from self.close(now_s)

    def close(self, now_s: float) -> Iterator[LeftOut]:
        """Yield what was left out so far, and begin the next window."""
        counts, self._counts, self._users = self._counts, {}, {}
        self._ends_s = now_s + WINDOW_S
        for kind, count in counts.items():
            if count.left_out:
                yield LeftOut(kind, count.left_out, len(count.addresses))

    def _told_apart(self, kind: Kind) -> Kind:
        if kind.who is None:
            return kind
        alike = kind._replace(who=None)
        self._users[alike] = self._users.get(alike, 0) + 1
        return kind if self._users[alike] <= MAX_COUNTED else alike
