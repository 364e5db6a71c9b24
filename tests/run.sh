#!/usr/bin/env bash
# Installs, builds and runs every test. Prints the seconds of each stage. Usage: tests/run.sh [BUILD_FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}
begin=$SECONDS
stage() {
  local name=$1 start=$SECONDS
  shift
  printf '\n== %s\n' "$name"
  "$@"
  printf '== %s: %d s\n' "$name" $((SECONDS - start))
}
configure() {
  mkdir -p "$build"
  cmake -B "$build" -G Ninja -DGLOWWORM_WERROR=ON -DGLOWWORM_BUILD_TESTS=ON >"$build/configure.log" 2>&1 ||
    { cat "$build/configure.log"; return 1; }
}
tests() {
  ctest --test-dir "$build" --output-on-failure
}
# Tests that could not run here, each with its reason.
skipped() {
  local log="$build/Testing/Temporary/LastTest.log"
  grep -E -A 1 ': Skipped$|\.\.\. skipped' "$log" | grep -vE ': Skipped$|^--$' | sort | uniq -c || echo "none"
}
stage "Install" deploy/install.sh deploy/packages.txt tests/packages.txt
stage "Configure" configure
stage "Build" cmake --build "$build"
stage "Test" tests
stage "Skipped" skipped
printf '\nAll tests passed in %d s.\n' $((SECONDS - begin))
