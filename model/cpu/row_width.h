// RowWidth: how much memory one row takes at the widest place of a plan, known before anything is prepared.
// Only entry: WidthOf. Tested by tests/model/flow_test.cc.

#ifndef GLOWWORM_MODEL_CPU_ROW_WIDTH_H_
#define GLOWWORM_MODEL_CPU_ROW_WIDTH_H_

#include <cstdint>

#include "model/plan.h"

namespace glowworm {

// Numbers of a row's widest activation, and of its widest buffer of any kind: an unfolded convolution's is
// k k times its input's, a run of a sequential net holds all units of the net for 16 rows.
struct RowWidth {
  int64_t activation = 1, buffer = 1;
};
RowWidth WidthOf(const Plan& plan);

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_CPU_ROW_WIDTH_H_
