"""The clauses: read from the ports' docstrings, which are the law, and cited by the tests that prove them."""

import importlib
import inspect
import re
from collections.abc import Callable, Iterable
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
    "cache": ("songs.ports.cache:Cache", "songs.ports.cache:CountingCache"),
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


GUIDE: Final = "docs/writing-an-adapter.md"
OTHER_PORTS: Final = "Other ports"

CHAPTERS: Final[dict[str, str]] = {
    "1. Open, prepare, close": "STO-1 STO-2 STO-16 STO-17",
    "2. Songs": "SNG-1 SNG-2 SNG-3 SNG-4 SNG-5 SNG-6 SNG-7 SNG-8 SNG-13 SNG-14",
    "3. Lists, search and counts": "SNG-9 SNG-10 SNG-11 SNG-12",
    "4. Ratings": "RAT",
    "5. Users, sessions and the coherence record": "USR SES COH STO-23 STO-24",
    "6. Units of work": "STO-4 STO-5 STO-6",
    "7. Isolation and transactions": "STO-7 STO-8 STO-9 STO-10 STO-25",
    "8. Threads and processes": "STO-3 STO-12 STO-15",
    "9. Durability": "STO-11",
    "10. Errors and deadlines": "STO-13 STO-14 STO-22",
    "11. What a storage may offer besides": "",
    OTHER_PORTS: "",
}
"""The headings, with the clauses, or the prefixes of clauses, that each is about."""

_ORDER: Final = list(CHAPTERS)
_OF: Final = {word: heading for heading, words in CHAPTERS.items() for word in words.split()}


def chapter_of(ids: Iterable[str]) -> str:
    """Return the chapter in which a test that cites these clauses turns green: the last of theirs."""
    found = [_chapter(each) for each in ids]
    return max(found, key=_ORDER.index, default=_ORDER[0])


def place_of(heading: str) -> int:
    """Return the place of a chapter among all."""
    return _ORDER.index(heading)


def _chapter(clause_id: str) -> str:
    prefix = clause_id.partition("-")[0]
    found = _OF.get(clause_id) or _OF.get(prefix)
    if found is not None:
        return found
    return _ORDER[-2] if clauses()[clause_id].port == "storage" else OTHER_PORTS
