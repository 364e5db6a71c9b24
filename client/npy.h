// .npy files, versions 1.0 and 2.0: a header parsed by hand and little-endian C-order values, read row block
// by row block so that a file may be larger than memory. Tested by tests/client/npy_test.cc.

#ifndef GLOWWORM_CLIENT_NPY_H_
#define GLOWWORM_CLIENT_NPY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/array.h"
#include "client/byte_reader.h"

namespace glowworm {
namespace client {

constexpr char kNpyMagic[] = "\x93NUMPY";
constexpr size_t kNpyMagicSize = 6;
constexpr size_t kMaxNpyHeader = 64 << 10;  // of the header's text
constexpr int64_t kMaxRowBytes = 1ll << 30;
constexpr int64_t kMaxFortranBytes = 1ll << 32;  // of an array that has to be rearranged in memory

struct NpyHeader {
  v1::DataType dtype = v1::DATA_TYPE_FLOAT64;
  std::vector<int64_t> shape;
  bool int64 = false;  // stored as integers of 8 bytes, given as float64
  bool fortran_order =
      false;  // the first index runs fastest in the file; rows are given in C order all the same
};

// What becomes of int64 '<i8', a type that no message carries.
enum class NpyIntegers {
  kRefuse,
  kAsFloat64,  // exactly: a number beyond 2^53 is refused
};

// The header's text, "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }" and padding.
// INVALID_ARGUMENT says what is not as it should be and, for other types, how to convert in numpy.
absl::StatusOr<NpyHeader> ParseNpyHeader(absl::string_view text, NpyIntegers integers = NpyIntegers::kRefuse);

// Magic, version 1.0, length and text, padded to a multiple of 64 bytes with room for any number of rows:
// headers that differ in shape[0] only are equally long. REQUIRES: !header.int64, !header.fortran_order
std::string FormatNpyHeader(const NpyHeader& header);

// Reads one array. Not thread-safe. A file that ends early, or goes on after the array, is INVALID_ARGUMENT;
// of a regular file before its first row is read.
class NpyReader {
 public:
  // Reads the header; of an array in Fortran order, whose rows are spread over all of it, the whole array.
  // Refuses arrays without rows (0-dimensional), rows above kMaxRowBytes and, in Fortran order, arrays above
  // kMaxFortranBytes.
  static absl::StatusOr<std::unique_ptr<NpyReader>> Create(std::unique_ptr<ByteReader> bytes,
                                                           NpyIntegers integers = NpyIntegers::kRefuse);

  const NpyHeader& header() const { return header_; }
  // The next rows, those that are there and at most max_rows. With may_wait, blocks until there is one and
  // returns none only at the end; without, none may also mean that none has come yet, and *later is set.
  // REQUIRES: max_rows > 0
  absl::StatusOr<Array> Next(int64_t max_rows, bool may_wait, bool* later);

 private:
  NpyReader(std::unique_ptr<ByteReader> bytes, NpyHeader header)
      : bytes_(std::move(bytes)), header_(std::move(header)) {}
  absl::Status Rearrange();  // Fortran order to C order

  std::string rearranged_;  // what bytes_ reads then
  std::unique_ptr<ByteReader> bytes_;
  const NpyHeader header_;
  int64_t row_ = 0;  // rows given
};

}  // namespace client
}  // namespace glowworm

#endif  // GLOWWORM_CLIENT_NPY_H_
