#!/usr/bin/env bash
# What takes too long for every change: tests/run.sh, clang-tidy over every source file, and the unit tests some times
# more in random order, which shows tests that lean on one another. Usage: tests/nightly.sh [BUILD_FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}
command -v clang-tidy >/dev/null || { echo "expected clang-tidy: apt-get install clang-tidy" >&2; exit 2; }

tests/run.sh "$build"

printf '\n== Lint\n'
# Its own checks only: warnings are GCC's part.
find model server client tests -name '*.cc' -print0 | sort -z |
  xargs -0 -P "$(nproc)" -n 1 clang-tidy -p "$build" --quiet --extra-arg=-Wno-error

printf '\n== Unit tests in random order\n'
GTEST_SHUFFLE=1 ctest --test-dir "$build" -L unit --no-tests=error --output-on-failure --repeat until-fail:5
