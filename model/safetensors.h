// The safetensors container: a strict reader, and a writer. It knows names, shapes, dtypes and bytes; what
// they mean is model/flow_file.h's. Tested by tests/model/safetensors_test.cc.
//
// Where the format leaves room, this reader
//   accepts   JSON whitespace on both sides of the header, scalars, tensors without numbers, offsets of any
//   alignment; refuses   duplicate keys at every level, unknown fields of a tensor, integers written in any
//   other way than plain
//             digits, overflowing dimensions in any order, other dtypes than those of Dtype, bytes that no
//             tensor owns, and everything beyond the limits below. A big-endian machine does not compile it.

#ifndef GLOWWORM_MODEL_SAFETENSORS_H_
#define GLOWWORM_MODEL_SAFETENSORS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace glowworm {

// Of the whole file, which is read into memory.
inline constexpr int64_t kMaxFileBytes = int64_t{2} << 30;
// Of the JSON header. It holds the flow's own JSON, about 200 bytes a tensor: 16 MiB leave room for
// kMaxTensors tensors four times over. The format allows 100 MB.
inline constexpr uint64_t kMaxHeaderBytes = 16 << 20;
inline constexpr int64_t kMaxTensors = 16384;
inline constexpr size_t kMaxTensorName = 256;  // bytes, printable ASCII
inline constexpr size_t kMaxRank = 8;
inline constexpr uint64_t kMaxDimension = (uint64_t{1} << 48) - 1;  // as in the format's JSON schema
inline constexpr int kMaxHeaderDepth = 4;

enum class Dtype { kF64, kI64, kF32, kI32, kF16, kBf16 };
const char* DtypeName(Dtype dtype);  // "F64"
int64_t DtypeBytes(Dtype dtype);

struct TensorEntry {
  Dtype dtype = Dtype::kF64;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  // bytes, from the start of the data; any alignment

  int64_t size() const;  // numbers
};

// A parsed file. Immutable.
class Safetensors {
 public:
  // InvalidArgument, with a sentence saying why, unless every byte is accounted for.
  static absl::StatusOr<Safetensors> Parse(std::string bytes);

  const std::string& bytes() const { return bytes_; }  // the whole file
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::map<std::string, TensorEntry>& tensors() const { return tensors_; }

  // The numbers, row-major. REQUIRES: `entry` is one of tensors().
  std::vector<double> Floats(const TensorEntry& entry) const;     // REQUIRES: F64 or F32
  std::vector<int64_t> Integers(const TensorEntry& entry) const;  // REQUIRES: I64

 private:
  Safetensors() = default;

  std::string bytes_;
  uint64_t data_ = 0;  // where the data starts
  std::map<std::string, std::string> metadata_;
  std::map<std::string, TensorEntry> tensors_;
};

// Parse() of the file's bytes. Blocks; errors as for ReadRegularFile().
absl::StatusOr<Safetensors> ReadSafetensors(const std::string& path);

// One tensor to write; `bytes` holds its numbers, little-endian and row-major.
struct TensorData {
  std::string name;
  Dtype dtype = Dtype::kF64;
  std::vector<int64_t> shape;
  std::string bytes;
};
TensorData FloatTensor(std::string name, std::vector<int64_t> shape,
                       const std::vector<double>& values);  // F64
// F32 if every value is a float32 number, so that nothing is lost; otherwise F64. Empty: F64.
TensorData CompactTensor(std::string name, std::vector<int64_t> shape, const std::vector<double>& values);
TensorData IndexTensor(std::string name, std::vector<int64_t> shape,
                       const std::vector<int64_t>& values);  // I64

// The bytes of a file: the widest dtypes first, then by name; the header padded with spaces so that the data
// starts at a multiple of 8. REQUIRES: names are unique, bytes fit the shapes, strings are UTF-8.
std::string SerializeSafetensors(const std::map<std::string, std::string>& metadata,
                                 std::vector<TensorData> tensors);

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_SAFETENSORS_H_
