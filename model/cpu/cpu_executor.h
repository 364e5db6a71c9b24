// The CPU executor: a plan prepared for float32 (oneDNN products, Eigen elementwise), the same with
// conditioners in bfloat16, or float64 (Eigen). Only entry: CreateCpuExecutor. Tested by
// tests/model/differential_test.cc, invariance_test.cc and bfloat16_test.cc.

#ifndef GLOWWORM_MODEL_CPU_CPU_EXECUTOR_H_
#define GLOWWORM_MODEL_CPU_CPU_EXECUTOR_H_

#include <memory>

#include "absl/status/statusor.h"
#include "model/executor.h"
#include "model/plan.h"

namespace glowworm {

// The executor copies what it needs of `plan`. Scratch for `workers` concurrent calls is made here. REQUIRES:
// CheckPrecision(precision) is OK.
absl::StatusOr<std::unique_ptr<const Executor>> CreateCpuExecutor(const Plan& plan, Precision precision,
                                                                  int workers);

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_CPU_CPU_EXECUTOR_H_
