"""A process of its own that makes ids: started by the suite of the ids, one id for each line on its standard input."""

import json
import sys

from songs_contract.subject import Subject, end_fixtures, find
from songs_plugins import Port


def main() -> None:
    """Make ids until standard input ends."""
    order = json.loads(sys.stdin.readline())
    spec = next(spec for spec in find(order["target"]) if spec.port is Port.IDS)
    ids = Subject(order["target"], spec, spec.settings.model_validate(order["settings"])).build()
    while sys.stdin.readline():
        sys.stdout.write(ids.new_id() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    try:
        main()
    finally:
        end_fixtures()
