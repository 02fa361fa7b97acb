"""What is remembered of the windows of a limit, in this process's memory."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Protocol, TypeVar

MAX_NAME: Final = 16
MAX_BUCKETS: Final = 10_000
"""How many windows a process remembers of each limit, at most."""

Result = TypeVar("Result")


@dataclass(slots=True)
class Window:
    """What is known of a bucket's window.

    Attributes:
        name: The limiter's (`short_name`); empty while the limiter has not counted in it.
        serial: How many changes the limiter had counted when it last answered.
        used: How many hits it had counted by then.
        uncounted: Allowed hits that it does not count: made while it did not answer, or lost. Below 0: it counts hits
            of before this window.
        here: How many hits were allowed by those who remember this window, whatever the limiter makes of them.
        ends_s: When the window ends.
        own: Whether the limiter's window is another one, of which `ends_s` says nothing.
        part: How many more are allowed here while the limiter does not answer; None: it has not failed yet.
        losses: How often the limiter has lost counts of it: answers to what was asked before are not judged by that.
        heavy: Whether more than half of the limit is used.
    """

    name: str
    serial: int
    used: int
    uncounted: int
    here: int
    ends_s: float
    own: bool = False
    part: int | None = None
    losses: int = 0
    heavy: bool = False


def short_name(name: str) -> str:
    """Return what stands for a limiter's name of a window here: the name, or a hash of one that is long."""
    return name if len(name) <= MAX_NAME else blake2b(name.encode(), digest_size=MAX_NAME // 2).hexdigest()


Edit = Callable[[Window | None], tuple[Window | None, Result]]
"""Is given a bucket's last window, and returns what to remember in its place, if anything, and a result."""


class Windows(Protocol):
    """Remembers the last window of each bucket. Thread-safe."""

    @property
    def holders(self) -> int:
        """Among how many that remember for themselves a limit is divided while its limiter does not answer."""
        ...

    def last(self, bucket: str) -> Window | None:
        """Return the bucket's last window, ended or not. While it is changed, members may be from before and after."""
        ...

    def change(self, bucket: str, edit: Edit[Result]) -> Result:
        """Call `edit` while nobody else changes the bucket, remember what it says, and return its result."""
        ...


class ProcessWindows:
    """The windows that one process remembers, at most `MAX_BUCKETS`.

    Those of which more than half is used are kept apart from the others, and each kind forgets the one that was hit the
    longest time ago. So whoever has many addresses, and hits from each a few times, makes room at the cost of windows
    of which little is known, and no bucket gains more than half of its limit by being forgotten, unless more than
    `MAX_BUCKETS` / 2 are more than half used up within one window.

    Args:
        holders: How many processes there are that remember for themselves.
    """

    def __init__(self, holders: int = 1) -> None:
        self.holders = holders
        self._lock = threading.Lock()
        self._light: OrderedDict[str, Window] = OrderedDict()
        self._heavy: OrderedDict[str, Window] = OrderedDict()

    def __len__(self) -> int:
        return len(self._light) + len(self._heavy)

    def last(self, bucket: str) -> Window | None:
        """Return the bucket's last window."""
        return self._heavy.get(bucket) or self._light.get(bucket)

    def change(self, bucket: str, edit: Edit[Result]) -> Result:
        """Change what is remembered of a bucket."""
        with self._lock:
            window, result = edit(self.last(bucket))
            if window is not None:
                kept, other = (self._heavy, self._light) if window.heavy else (self._light, self._heavy)
                other.pop(bucket, None)
                kept[bucket] = window
                kept.move_to_end(bucket)
                while len(kept) > MAX_BUCKETS // 2:
                    kept.popitem(last=False)
            return result
