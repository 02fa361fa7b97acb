"""Writes docs/contract.md: the clauses as the ports state them, and what each operation costs as the tests count it.

Run it after a change of either: ``python tests/docs/write_contract.py``. A test compares.
"""

import sys
import tomllib
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from songs_contract.law import clauses

ROOT: Final = Path(__file__).resolve().parents[2]
COSTS: Final = (ROOT / "tests" / "costs.toml", ROOT / "examples" / "songs_jsonfile" / "tests" / "costs.toml")
PAGE: Final = ROOT / "docs" / "contract.md"

HEAD: Final = """\
# The contract

What every adapter must do, clause by clause, and what each operation costs on ours. This page is written by
`python tests/docs/write_contract.py`: the clauses stand in the docstrings of `core/songs/ports`, the numbers in
`tests/costs.toml` and beside the example's tests, which hold what they count to them.

`songs contract NAME` shows whether an adapter keeps to the clauses. Numbers of clauses are never used again.
[kit-score.md](kit-score.md) says which defects each clause catches, [conformance.md](conformance.md) what became of
each clause on each adapter.
"""

STORAGES: Final = """
## What an operation costs a storage

Each in a unit of work of its own. **mongo**: commands, each of which is one round trip; the first search in ten minutes
takes one more (`aggregate`, a sample of the songs), and once in twelve ratings of a song three more move events away.
The commands that follow the first of a deletion tidy up. **sqlite**: statements, apart from those that begin and end
the unit; a unit that writes syncs once. **postgres**: statements, apart from those that begin, limit and end the
transaction, which take one round trip more. On **memory** nothing leaves the process, as a test sees. **jsonfile**, the
example: syncs of its file.

"""

SERVERS: Final = """
## What an operation costs a cache or a limiter

**redis**: round trips, on a connection that is open.

"""


def main() -> None:
    """Write the page, to another file if one is given."""
    (Path(sys.argv[1]) if sys.argv[1:] else PAGE).write_text(page(), encoding="utf-8")


def page() -> str:
    """Return the page."""
    costs: dict[str, Any] = {}
    for file in COSTS:
        costs |= tomllib.loads(file.read_text(encoding="utf-8"))
    services = [HEAD, *_clauses(), STORAGES, *_storages(costs), SERVERS, *_servers(costs["redis"])]
    return "".join(services)


def _clauses() -> Iterator[str]:
    for port, stated in groupby(clauses().values(), key=lambda clause: clause.port):
        yield f"\n## The port `{port}`\n"
        for _, group in groupby(stated, key=lambda clause: clause.order[0]):
            yield "\n"
            yield from (f"- **{clause.id}** {clause.text}\n" for clause in group)


def _storages(costs: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    storages = [name for name in costs if name != "redis"]
    yield from _row("operation", *storages)
    yield from _row("---", *("---" for _ in storages))
    for operation in costs[storages[0]]:
        yield from _row(operation, *(_told(costs[storage][operation]) for storage in storages))


def _servers(costs: Mapping[str, object]) -> Iterator[str]:
    yield from _row("operation", "redis")
    yield from _row("---", "---")
    for operation, cost in costs.items():
        yield from _row(operation, str(cost))


def _row(*cells: str) -> Iterator[str]:
    yield f"| {' | '.join(cells)} |\n"


def _told(cost: object) -> str:
    return f"{len(cost)}: {', '.join(cost)}" if isinstance(cost, list) else str(cost)


if __name__ == "__main__":
    main()
