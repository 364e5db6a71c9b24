#!/usr/bin/env bash
# What takes too long for every change: tests/run.sh, clang-tidy over every source file, the unit tests some times more
# in random order, which shows tests that lean on one another, the parity tests on a fake device, all unit tests under
# the sanitizers, attacks at full size, half an hour of load, a thousand reloads, the image with CUDA, and ten minutes of
# each fuzzer.
# Usage: tests/nightly.sh [BUILD_FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}
. tests/stage.sh
command -v clang-tidy >/dev/null || { echo "expected clang-tidy: apt-get install clang-tidy" >&2; exit 2; }

lint() {  # its own checks only: warnings are GCC's part
  find model server client tests -name '*.cc' -print0 | sort -z |
    xargs -0 -P "$(nproc)" -n 1 clang-tidy -p "$build" --quiet --extra-arg=-Wno-error
}
random_order() {
  GTEST_SHUFFLE=1 ctest --test-dir "$build" -L unit --no-tests=error --output-on-failure --repeat until-fail:5
}
attacks() {
  GLOWWORM_ATTACK_LONG=1 ctest --test-dir "$build" -R '^attack_envoy$' --no-tests=error --output-on-failure
}
soak() {
  GLOWWORM_SOAK_SECONDS=1800 ctest --test-dir "$build" -R '^reliability_soak$' --no-tests=error --output-on-failure
}
reloads() {
  GLOWWORM_RELOADS=1000 ctest --test-dir "$build" -R '^reliability_reload_memory$' --no-tests=error --output-on-failure
}
fake_device() {  # the parity tests that take long on a CUDA device made of host memory
  ctest --test-dir "$build" -C Nightly -R '_fake_whole$' --no-tests=error --output-on-failure
}
keepalive() {  # peers that stand still, which takes 50 s
  GLOWWORM_NIGHTLY=1 ctest --test-dir "$build" -R '^e2e_faults$' --no-tests=error --output-on-failure
}
cuda_image() {
  GLOWWORM_NIGHTLY=1 ctest --test-dir "$build" -R '^deploy_cuda_image$' --no-tests=error --output-on-failure
}
tests/run.sh "$build"
stage "Faults, with peers that stand still" keepalive
stage "Attacks at full size" attacks
stage "The image with CUDA" cuda_image
stage "Parity on a fake device" fake_device
stage "Lint" lint
stage "Unit tests in random order" random_order
stage "Address and undefined-behaviour sanitizers" tests/sanitize.sh build-asan address,undefined '^unit$' \
  glowworm_unit_tests
stage "Thread sanitizer" tests/sanitize.sh build-tsan thread '^batcher$' glowworm_batcher_tests
stage "Soak of 30 minutes" soak
stage "1000 reloads" reloads
stage "Fuzzing" tests/fuzz/run.sh 600
stage "Planted bugs" tests/fuzz/planted_test.py 300
