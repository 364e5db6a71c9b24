#!/usr/bin/env bash
# Makes the virtual environment of the tests of manifests, from requirements.txt; does nothing where it is made
# already. Usage: tests/deploy/setup.sh [BUILD_FOLDER]. Called by tests/run.sh; without it those tests are skipped.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=${1:-build}/deploy-venv
wanted=tests/deploy/requirements.txt
cmp -s "$wanted" "$venv/installed.txt" && exit 0
[ -x "$venv/bin/python" ] || /usr/bin/python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --no-deps --only-binary=:all: --no-compile -r "$wanted"
cp "$wanted" "$venv/installed.txt"
