// The assignment problem: which permutation takes the largest sum of a square table's entries. The Hungarian
// method by shortest augmenting paths, O(n^3) (Jonker & Volgenant 1987, Computing 38, 325-340). Only entry:
// BestAssignment(). Tested by tests/model/train/hungarian_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_HUNGARIAN_H_
#define GLOWWORM_MODEL_TRAIN_HUNGARIAN_H_

#include <cstdint>
#include <vector>

namespace glowworm {
namespace train {

// The column of each row, (n), a permutation p with the largest sum of value(i, p(i)); one of them, always
// the same, where several are as good. REQUIRES: finite values whose sums do not overflow
std::vector<int64_t> BestAssignment(const std::vector<double>& value,  // (n, n) row-major
                                    int64_t n);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_HUNGARIAN_H_
