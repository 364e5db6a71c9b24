// OperatorLog: the names of the libtorch operators that this thread runs while it lives, backward passes on
// the CPU included.

#ifndef GLOWWORM_TESTS_MODEL_TRAIN_OPERATOR_LOG_H_
#define GLOWWORM_TESTS_MODEL_TRAIN_OPERATOR_LOG_H_

#include <ATen/record_function.h>

#include <string>
#include <vector>

namespace glowworm {
namespace train {

// One at a time.
class OperatorLog {
 public:
  OperatorLog();
  ~OperatorLog();
  OperatorLog(const OperatorLog&) = delete;
  OperatorLog& operator=(const OperatorLog&) = delete;
  std::vector<std::string> names() const;

 private:
  at::CallbackHandle handle_;
};

// Those of `names` that contain any of `parts`.
std::vector<std::string> Containing(const std::vector<std::string>& names,
                                    const std::vector<std::string>& parts);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_TESTS_MODEL_TRAIN_OPERATOR_LOG_H_
