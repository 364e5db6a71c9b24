// IDX: the format of MNIST and its kin; a magic number with the type and the number of dimensions, the
// dimensions, the values; big-endian. Only unsigned bytes are read. Tested by tests/model/train/idx_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_IDX_H_
#define GLOWWORM_MODEL_TRAIN_IDX_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace glowworm {
namespace train {

inline constexpr int kMaxIdxDimensions = 4;

struct IdxArray {
  std::vector<int64_t> shape;  // 1 to kMaxIdxDimensions of them
  absl::string_view values;    // product(shape) bytes, a part of what was parsed
};

// Two zero bytes and a known type.
bool LooksLikeIdx(absl::string_view bytes);

// InvalidArgument, without the file's name: another magic number, another type (named), more dimensions, or
// another number of bytes than the dimensions promise.
absl::StatusOr<IdxArray> ParseIdx(absl::string_view bytes);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_IDX_H_
