// PlanCost: what a plan's forward pass must at least do, counted from its ops. For tests/bench/gpu.py. Tested
// by tests/bench/plan_cost_test.cc.

#ifndef GLOWWORM_TESTS_BENCH_PLAN_COST_H_
#define GLOWWORM_TESTS_BENCH_PLAN_COST_H_

#include "model/plan.h"

namespace glowworm {
namespace bench {

// In float32, but for the ops that run in float64 whatever the precision.
struct PlanCost {
  double operations = 0;    // multiplications and additions of products, a row
  double weight_bytes = 0;  // of the products' weights: read once a call, however many rows it has
  double row_bytes = 0;     // a row: what each op and each of its net's products reads and leaves, once
};

// Counts no bias, activation, sum or map of indices: a floor.
PlanCost CountCost(const Plan& plan);

}  // namespace bench
}  // namespace glowworm

#endif  // GLOWWORM_TESTS_BENCH_PLAN_COST_H_
