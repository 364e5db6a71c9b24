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
  # Every test prints what it skips and why; the log keeps it all.
  ctest --test-dir "$build" --output-on-failure --output-log "$build/tests.log" -V >/dev/null || failed=1
  grep -E '^ *[0-9]+/[0-9]+ Test|tests passed|The following tests FAILED' "$build/tests.log"
  [ -z "${failed:-}" ] || { grep -E 'FAILED|Failure|Error' -A 8 "$build/tests.log" | tail -n 120; return 1; }
}
skipped() {
  grep -E '^[0-9]+: .*(\[  SKIPPED \] .*\(|skipped )' "$build/tests.log" || echo "none"
}
stage "Install" deploy/install.sh deploy/packages.txt tests/packages.txt
stage "Configure" configure
stage "Build" cmake --build "$build"
stage "Test" tests
stage "Skipped" skipped
printf '\nAll tests passed in %d s.\n' $((SECONDS - begin))
