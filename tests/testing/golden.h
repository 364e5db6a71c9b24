// Golden files: what a training library computed for a flow, read without any code of model/. Tested by
// tests/model/reference_test.cc.

#ifndef GLOWWORM_TESTS_TESTING_GOLDEN_H_
#define GLOWWORM_TESTS_TESTING_GOLDEN_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace glowworm {

// From this row on a fixture's rows are extreme on purpose: judged in float64 only.
constexpr int64_t kFirstExtremeRow = 56;
constexpr double kExtremeLogProb = 1e6;  // likewise, |log p|

struct GoldenTensor {
  std::vector<int64_t> shape;
  std::vector<double> values;  // row-major; integers converted

  int64_t rows() const { return shape.empty() ? 0 : shape[0]; }
  std::vector<double> Row(int64_t row) const;
};

struct Golden {
  std::map<std::string, GoldenTensor> tensors;
  // The training library's own worst relative error of log p in float32, 0 where unknown.
  double library_float32_error = 0;

  bool Has(const std::string& name) const { return tensors.count(name) != 0; }
  // Aborts on a name that is not there.
  const GoldenTensor& At(const std::string& name) const;
};

// The folder of the fixture `name`: below $GLOWWORM_FIXTURES, or tests/golden of $GLOWWORM_SOURCE_DIR; "" if
// neither has it.
std::string FixtureFolder(const std::string& name);

// The flow file in a fixture's folder.
std::string FixtureFlowPath(const std::string& folder);

// Reads golden.safetensors of the folder, and the library's float32 error from the table of the README.md
// beside that folder. Throws no exception; aborts on a file that is not as it should be.
Golden ReadGolden(const std::string& folder);

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_TESTING_GOLDEN_H_
