#!/usr/bin/env bash
# Holds every adapter of the distribution and of the examples to its contract and writes docs/conformance.md.
# Needs `songs` and `python` of an environment with the kit and all drivers first on the PATH, and a redis-server.
set -euo pipefail
cd "$(dirname "$0")/.."

reports=$(mktemp -d)
trap 'rm -rf "$reports"' EXIT

mongo="mongo (nx-27017 $(python -c 'from importlib.metadata import version; print(version("nx-27017"))'), stand-alone)"
[ -z "${SONGS_TEST_MONGO_URL:-}" ] || mongo="mongo (the server of SONGS_TEST_MONGO_URL)"

columns=()
hold() { # the adapter, and the name of its column
    echo "$2" >&2
    columns+=("$reports/$2.json")
    # A clause that does not hold is told in the table, and by the test of the documents.
    songs contract "$1" --json >"$reports/$2.json" || echo "$2: not every clause holds" >&2
}

for name in memory none sqlite redis jwt bcrypt system; do
    hold "$name" "$name"
done
hold mongo "$mongo"
for example in examples/songs_*/; do
    name=$(basename "$example")
    PYTHONPATH=$example/src hold "$name.plugin:songs_adapters" "${name#songs_} (example)"
done

python -m songs_contract.matrix "${columns[@]}" >"$reports/conformance.md"
mv "$reports/conformance.md" docs/conformance.md
