#!/usr/bin/env bash
# Builds the fuzzers with clang and runs each of them for SECONDS, two at a time; a finding fails, and the line that
# replays it is printed. How many executions were reached is printed, and recorded where
# GLOWWORM_RELIABILITY_RESULTS names a folder (tests/reliability/README.md).
# Usage: tests/fuzz/run.sh SECONDS [BUILD_FOLDER]
#        tests/fuzz/run.sh --replay TARGET INPUT [BUILD_FOLDER]
set -euo pipefail
replay=() seconds=0
if [[ ${1:-} == --replay ]]; then
  replay=("$2" "$(realpath "$3")")
  shift 2
else
  seconds=$1
fi
cd "$(dirname "$0")/../.."
build=${2:-build-fuzz}

mkdir -p "$build"
cmake -B "$build" -G Ninja -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG="-O1 -g1" \
  -DGLOWWORM_SANITIZE=fuzzer-no-link,address,undefined >"$build/configure.log" 2>&1 ||
  { cat "$build/configure.log"; exit 1; }
cmake --build "$build" --target glowworm_fuzzers
if [[ ${#replay[@]} -gt 0 ]]; then
  exec "$build/fuzz/${replay[0]}" "${replay[1]}"
fi
python3 -B tests/fuzz/run_fuzzers.py --seconds="$seconds" --build="$build"
