// Array: rows of numbers as they travel: a type, a shape and little-endian bytes. Slicing, joining and
// conversion from and to vectors; no arithmetic. Tested by tests/client/chunk_test.cc.

#ifndef GLOWWORM_CLIENT_ARRAY_H_
#define GLOWWORM_CLIENT_ARRAY_H_

#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "glowworm/v1/density.pb.h"

namespace glowworm {
namespace client {

// Bytes of one value; 0 for DATA_TYPE_UNSPECIFIED and unknown types.
int64_t ValueBytes(v1::DataType dtype);

// The product of `dims`, or -1 if one is negative or the product exceeds int64.
int64_t Product(absl::Span<const int64_t> dims);

// A row-major array; shape[0] counts the rows. A value type: copies copy the bytes.
struct Array {
  v1::DataType dtype = v1::DATA_TYPE_FLOAT64;
  std::vector<int64_t> shape;  // empty: no array at all
  std::string data;            // product(shape) * ValueBytes(dtype) bytes

  // T: float, double or uint8_t. REQUIRES: product(shape) == values.size()
  template <typename T>
  static Array Of(std::vector<int64_t> shape, const std::vector<T>& values);

  bool empty() const { return shape.empty(); }
  int64_t rows() const { return shape.empty() ? 0 : shape[0]; }
  int64_t RowSize() const;  // values in one row
  int64_t RowBytes() const { return RowSize() * ValueBytes(dtype); }

  // Rows begin .. begin+count-1. REQUIRES: 0 <= begin, 0 <= count, begin + count <= rows()
  Array Slice(int64_t begin, int64_t count) const;

  // Appends `part`'s rows; an empty *this becomes `part`. INVALID_ARGUMENT if types or row shapes differ.
  absl::Status Append(const Array& part);

  // The same values with each row in another shape. INVALID_ARGUMENT unless a row keeps its number of values.
  absl::Status ReshapeRows(absl::Span<const int64_t> row_shape);

  std::vector<double> ToDoubles() const;

  // INVALID_ARGUMENT unless the type is known, no dimension is negative and `data` has the length they say.
  absl::Status Validate() const;
};

// "(3, 8, 8)".
std::string ShapeText(absl::Span<const int64_t> shape);

template <typename T>
Array Array::Of(std::vector<int64_t> shape, const std::vector<T>& values) {
  static_assert(
      std::is_same<T, float>::value || std::is_same<T, double>::value || std::is_same<T, uint8_t>::value,
      "float, double or uint8_t");
  Array array;
  array.dtype = std::is_same<T, float>::value    ? v1::DATA_TYPE_FLOAT32
                : std::is_same<T, double>::value ? v1::DATA_TYPE_FLOAT64
                                                 : v1::DATA_TYPE_UINT8;
  array.shape = std::move(shape);
  array.data.resize(values.size() * sizeof(T));
  if (!values.empty()) std::memcpy(&array.data[0], values.data(), array.data.size());
  return array;
}

}  // namespace client
}  // namespace glowworm

#endif  // GLOWWORM_CLIENT_ARRAY_H_
