#!/usr/bin/env bash
# Holds every adapter of the distribution and the example to its contract and writes docs/conformance.md.
# Needs the `python` of an environment with the kit and all drivers first on the PATH, a redis-server and PostgreSQL.
set -euo pipefail
cd "$(dirname "$0")/.."

reports=$(mktemp -d)
trap 'rm -rf "$reports"' EXIT

kit=$(python -c 'import songs_contract; print(songs_contract.__path__[0])')
mongo="mongo (nx-27017 $(python -c 'from importlib.metadata import version; print(version("nx-27017"))'), stand-alone)"
[ -z "${SONGS_TEST_MONGO_URL:-}" ] || mongo="mongo (the server of SONGS_TEST_MONGO_URL)"

columns=()
hold() { # the adapter, and the name of its column
    echo "$2" >&2
    columns+=("$reports/$2.json")
    # Patient, for a busy machine. A clause that does not hold is told in the table, and by the test of the documents.
    python -m pytest -q -c "$kit/pytest.ini" --rootdir "$kit" --disable-plugin-autoload -p no:cacheprovider \
        -p _hypothesis_pytestplugin -p songs_contract.plugin --pyargs songs_contract.suites \
        --songs-adapter "$1" --songs-patience 1200 --songs-report-json "$reports/$2.json" >/dev/null ||
        echo "$2: not every clause holds" >&2
}

for name in memory none sqlite redis jwt bcrypt system; do
    hold "$name" "$name"
done
hold mongo "$mongo"
hold postgres postgres
PYTHONPATH=examples/songs_jsonfile/src hold songs_jsonfile.plugin:songs_adapters "jsonfile (example)"

python -m songs_contract.matrix "${columns[@]}" >"$reports/conformance.md"
mv "$reports/conformance.md" docs/conformance.md
