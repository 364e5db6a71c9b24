#!/usr/bin/env bash
# Builds tests with sanitizers and runs them; .ci/run and tests/nightly.sh say which. With --serve what computes with a
# flow is left as it is: the tests are of all that is around it.
# Usage: tests/sanitize.sh [--serve] BUILD_FOLDER SANITIZERS CTEST_LABELS TARGET...
set -euo pipefail
cd "$(dirname "$0")/.."
compute=ON
if [[ $1 == --serve ]]; then
  compute=OFF
  shift
fi
folder=$1 sanitizers=$2 labels=$3
shift 3
mkdir -p "$folder"
# No debug information but what a stack trace needs: it is a third of the time and most of the space.
cmake -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG="-O1 -g1" \
  -DGLOWWORM_SANITIZE="$sanitizers" -DGLOWWORM_SANITIZE_COMPUTE=$compute >"$folder/configure.log" 2>&1 ||
  { cat "$folder/configure.log"; exit 1; }
cmake --build "$folder" --target "$@"
# Tests that time something run alone (RUN_SERIAL). The AVX2 twins differ in oneDNN's kernels only, which are not
# instrumented.
ctest --test-dir "$folder" -L "$labels" -E '_avx2$' -j 2 --no-tests=error --output-on-failure
