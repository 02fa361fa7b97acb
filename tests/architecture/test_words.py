"""Names are the field's: a word that was replaced by a better one does not come back."""

import tokenize
from pathlib import Path

ROOTS = ("core", "adapters", "entrypoints", "contract_tests")
REPLACED = {
    "CachedReads": "CatalogueQueries",
    "Exchange": "RequestContext",
    "Front": "FastPath",
    "HttpOptions": "the groups of ServiceSettings",
    "ReadAhead": "Prefetcher",
    "Ahead": "Prefetched",
    "Reading": "ReadPlan or ParsedSettings",
    "book": "record",
    "born": "incarnation",
    "preparing": "migrations",
    "settle": "after_commit",
    "Parts": "AppServices",
    "Recorder": "Telemetry",
    "Slots": "Bulkhead",
    "Together": "CountingCache",
    "Turns": "FifoLock",
    "hit_and_get": "count_and_get",
    "leftovers": "orphans",
    "outlast": "wait_out_stale_hits",
    "rarity": "selectivity",
    "storable": "encodable",
}
"""Each word, and the one that took its place."""
FORMER = {
    "core/songs/ports/together.py",  # works for one release, and warns
    "entrypoints/songs_api/bootstrap/container.py",  # joins what an adapter of before offers
}


def test_replaced_names_stay_away(project_root: Path) -> None:
    """No class, function, variable or module has one of them."""
    found = []
    for root in ROOTS:
        for path in sorted((project_root / root).rglob("*.py")):
            where = str(path.relative_to(project_root))
            if where in FORMER:
                continue
            with path.open("rb") as file:
                names = {
                    each.string.strip("_") for each in tokenize.tokenize(file.readline) if each.type == tokenize.NAME
                }
            found += [f"{where}: {each} is {REPLACED[each]}" for each in sorted({path.stem, *names} & REPLACED.keys())]

    assert found == []
