"""The clauses: read from the ports' docstrings, which are the law, and cited by the tests that prove them."""

import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeVar

import pytest

F = TypeVar("F", bound=Callable[..., Any])

_PROTOCOLS: Final = {
    "storage": (
        "songs.ports.storage:Storage",
        "songs.ports.storage:IdentifiedStorage",
        "songs.ports.songs:SongRepository",
        "songs.ports.ratings:RatingRepository",
        "songs.ports.users:UserRepository",
        "songs.ports.sessions:SessionRepository",
        "songs.ports.coherence:CoherenceRepository",
        "songs.ports.maintenance:Maintenance",
        "songs.ports.batches:Batches",
    ),
    "cache": (
        "songs.ports.cache:Cache",
        "songs.ports.together:Together",
        "songs.ports.together:JoinsLimiter",
    ),
    "limiter": ("songs.ports.limiter:RateLimiter",),
    "tokens": ("songs.ports.tokens:TokenIssuer",),
    "passwords": ("songs.ports.passwords:PasswordHasher",),
    "clock": ("songs.ports.clock:Clock",),
    "ids": ("songs.ports.ids:IdGenerator",),
}
_CLAUSE: Final = re.compile(r"^([A-Z]+-\d+): (.*)$")


@dataclass(frozen=True, slots=True)
class Clause:
    """One numbered rule of a port."""

    id: str
    port: str
    text: str

    @property
    def order(self) -> tuple[str, int]:
        """What to sort by: the prefix, then the number."""
        prefix, _, number = self.id.partition("-")
        return prefix, int(number)


@cache
def clauses() -> dict[str, Clause]:
    """Return every clause of every port by its id, in the order in which the docstrings state them."""
    found: dict[str, Clause] = {}
    for port, places in _PROTOCOLS.items():
        for place in places:
            module, _, name = place.partition(":")
            protocol = getattr(importlib.import_module(module), name)
            for clause in _stated(port, inspect.getdoc(protocol) or ""):
                if clause.id in found:
                    msg = f"{place} states clause {clause.id} a second time"
                    raise ValueError(msg)
                found[clause.id] = clause
    return found


def clause(*ids: str) -> Callable[[F], F]:
    """Mark a test as the proof of these clauses.

    Raises:
        ValueError: No port states such a clause.
    """
    known = _known(ids)
    return pytest.mark.clause(*known)


def builds_on(*ids: str) -> Callable[[F], F]:
    """Mark a test as one that needs what these clauses are about: it belongs to the chapter in which that is written.

    Raises:
        ValueError: No port states such a clause.
    """
    known = _known(ids)
    return pytest.mark.builds_on(*known)


def requires(*capabilities: str) -> pytest.MarkDecorator:
    """Mark a test as one for adapters that declare these capabilities; others count it as declared unsupported."""
    return pytest.mark.requires(*capabilities)


def _known(ids: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [each for each in ids if each not in clauses()]
    if unknown:
        msg = f"no port states the clause {', '.join(unknown)}"
        raise ValueError(msg)
    return ids


def _stated(port: str, docstring: str) -> list[Clause]:
    stated: list[Clause] = []
    for line in docstring.splitlines():
        match = _CLAUSE.match(line)
        if match:
            stated.append(Clause(match[1], port, match[2]))
        elif stated and line.startswith("    "):
            last = stated[-1]
            stated[-1] = Clause(last.id, port, f"{last.text} {line.strip()}")
    return stated
