// Small flows with every kind of op, and what an executor made of one answers to rows drawn from a seed. Used
// by failure_test.cc and concurrency_test.cc.

#ifndef GLOWWORM_TESTS_MODEL_CUDA_SMALL_FLOWS_H_
#define GLOWWORM_TESTS_MODEL_CUDA_SMALL_FLOWS_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "model/executor.h"
#include "model/flow_spec.h"
#include "model/plan.h"
#include "tests/model/cuda/executor_rows.h"

namespace glowworm::cuda {

struct SmallFlow {
  std::string name;
  FlowSpec spec;
  Plan plan;  // of spec
};
inline void PrintTo(const SmallFlow& flow, std::ostream* out) { *out << flow.name; }
// Each with other ops; together they have them all.
std::vector<SmallFlow> SmallFlows();
// These, and others whose nets have residuals, gates and contexts.
std::vector<SmallFlow> FlowsOfEveryKernel();

// The works of an executor.
enum class Call { kEncode, kDecode, kSample };
constexpr Call kCalls[] = {Call::kEncode, Call::kDecode, Call::kSample};
const char* CallName(Call call);

// In one call. REQUIRES: what executor.h does; the executor was made of `flow`.
ExecutorAnswer Answer(const Executor& executor, const SmallFlow& flow, Call call, uint64_t seed,
                      int64_t rows);
// Whether both have the same bits.
bool SameAnswer(const ExecutorAnswer& a, const ExecutorAnswer& b);

}  // namespace glowworm::cuda

#endif  // GLOWWORM_TESTS_MODEL_CUDA_SMALL_FLOWS_H_
