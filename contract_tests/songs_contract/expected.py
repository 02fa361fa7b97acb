"""The failures that an adapter's authors know of: a file of theirs, one clause with its reason a line."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from songs_contract.clauses import clauses

_LINE: Final = re.compile(r"(?P<clause>\S+)\s+(?P<reason>\S.*)")


class ExpectedFailuresError(Exception):
    """The file cannot be used; the message names the line, and says what to do."""


@dataclass(frozen=True, slots=True)
class ExpectedFailure:
    """One line of the file."""

    clause: str
    reason: str
    where: str


def read_expected(path: Path) -> dict[str, ExpectedFailure]:
    """Return the clauses that may fail. Empty lines, and such as begin with ``#``, say nothing.

    Raises:
        ExpectedFailuresError: The file cannot be read, or a line is not one clause and a reason.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the file of expected failures {path} cannot be read: {error}"
        raise ExpectedFailuresError(msg) from error
    found: dict[str, ExpectedFailure] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match, where = _LINE.fullmatch(line.strip()), f"{path}:{number}"
        if match is None:
            msg = f"{where}: write a clause and the reason why it may fail, such as 'STO-9 the server has no snapshots'"
            raise ExpectedFailuresError(msg)
        if match["clause"] not in clauses():
            msg = f"{where}: no port states the clause {match['clause']!r}; remove the line"
            raise ExpectedFailuresError(msg)
        if match["clause"] in found:
            msg = f"{where}: {match['clause']} stands at {found[match['clause']].where} already; keep one of the lines"
            raise ExpectedFailuresError(msg)
        found[match["clause"]] = ExpectedFailure(match["clause"], match["reason"], where)
    return found
