"""The chapters of the guide: the order in which an adapter is written, and so the order in which the kit tests it."""

from collections.abc import Iterable
from typing import Final

from songs_contract.clauses import clauses

GUIDE: Final = "docs/writing-an-adapter.md"
OTHER_PORTS: Final = "Other ports"

CHAPTERS: Final[dict[str, str]] = {
    "1. Open, prepare, close": "STO-1 STO-2 STO-16 STO-17",
    "2. Songs": "SNG-1 SNG-2 SNG-3 SNG-4 SNG-5 SNG-6 SNG-7 SNG-8 SNG-13 SNG-14",
    "3. Lists, search and counts": "SNG-9 SNG-10 SNG-11 SNG-12",
    "4. Ratings": "RAT",
    "5. Users, sessions and the coherence record": "USR SES COH",
    "6. Units of work": "STO-4 STO-5 STO-6",
    "7. Isolation and transactions": "STO-7 STO-8 STO-9 STO-10",
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
