// Rounds on request: one line in, one line out, so that a script can interleave our rounds with a peer's in
// one run. Only entry: ServeRounds(). Tested by tests/bench/smoke_test.py.
//
//   time METHOD BATCH THREADS SECONDS
//     -> median seconds of one call, rows per second, calls
//   product M K N THREADS SECONDS
//     -> median seconds of one call, floating-point operations per second, calls
//   draw ROWS OUT
//     -> ROWS; the rows that METHODs on x are timed with, as raw float32
//   log_likelihood IN OUT
//     -> rows that failed; raw float32 rows in, raw float64 log p out
//   encode|decode IN OUT
//     -> rows that failed; raw float32 rows in and out
//   cost PATH
//     -> operations a row, bytes of weights, bytes a row (plan_cost.h)
//
// A line that cannot be done is answered "error: why".

#ifndef GLOWWORM_TESTS_BENCH_ROUNDS_H_
#define GLOWWORM_TESTS_BENCH_ROUNDS_H_

#include <istream>
#include <memory>
#include <ostream>

#include "absl/functional/function_ref.h"
#include "model/devices.h"
#include "model/flow.h"

namespace glowworm {
namespace bench {

struct Timing {
  double seconds = 0;  // median of one call
  int64_t calls = 0;
};

// Calls `run` for `seconds`, and at least twice, after a quarter of that to warm up: longer than a peer's
// threads spin on.
Timing Measure(double seconds, absl::FunctionRef<void()> run);

// Answers until the input ends. `devices` is what the flow computes on, and what `load` loads for.
void ServeRounds(const Flow& flow, const std::shared_ptr<const Devices>& devices, std::istream& in,
                 std::ostream& out);

}  // namespace bench
}  // namespace glowworm

#endif  // GLOWWORM_TESTS_BENCH_ROUNDS_H_
