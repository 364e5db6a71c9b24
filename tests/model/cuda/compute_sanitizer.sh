#!/usr/bin/env bash
# Tests of parity on a GPU under compute-sanitizer: accesses out of bounds and calls that fail are errors. Exits with 77
# where the tool or a device is absent. Usage: compute_sanitizer.sh TESTS_FOLDER; the tests' environment is the caller's.
set -euo pipefail
tool=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null || true)
[ -n "$tool" ] || { echo "skipped: compute-sanitizer was not found"; exit 77; }
# Where there is no device, a test of its own says so and exits with 77.
"$1/row_status_test" --gtest_filter='*AnEmptyBatchIsAnswered*' || exit
for test in golden_test row_status_test hard_numbers_test sampling_test; do
  "$tool" --tool memcheck --error-exitcode 1 "$1/$test"
done
