// Array's slicing, joining and checks. The machine is little-endian (x86-64), so bytes are copied as they
// are.

#include "client/array.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace glowworm {
namespace client {

int64_t ValueBytes(v1::DataType dtype) {
  switch (dtype) {
    case v1::DATA_TYPE_FLOAT32:
      return 4;
    case v1::DATA_TYPE_FLOAT64:
      return 8;
    case v1::DATA_TYPE_UINT8:
      return 1;
    default:
      return 0;
  }
}

int64_t Product(absl::Span<const int64_t> dims) {
  int64_t product = 1;
  bool overflow = false;
  for (int64_t dim : dims) {
    if (dim < 0) return -1;
    if (dim == 0) return 0;
    if (product > std::numeric_limits<int64_t>::max() / dim) {
      overflow = true;  // a later dimension of 0 still makes the product 0
    } else {
      product *= dim;
    }
  }
  return overflow ? -1 : product;
}

std::string ShapeText(absl::Span<const int64_t> shape) {
  return absl::StrCat("(", absl::StrJoin(shape, ", "), shape.size() == 1 ? ",)" : ")");
}

int64_t Array::RowSize() const { return shape.empty() ? 0 : Product(absl::MakeConstSpan(shape).subspan(1)); }

Array Array::Slice(int64_t begin, int64_t count) const {
  Array part;
  part.dtype = dtype;
  part.shape = shape;
  part.shape[0] = count;
  part.data = data.substr(static_cast<size_t>(begin * RowBytes()), static_cast<size_t>(count * RowBytes()));
  return part;
}

absl::Status Array::Append(const Array& part) {
  if (empty()) {
    *this = part;
    return absl::OkStatus();
  }
  const bool alike = dtype == part.dtype && shape.size() == part.shape.size() &&
                     std::equal(shape.begin() + 1, shape.end(), part.shape.begin() + 1);
  if (!alike) {
    return absl::InvalidArgumentError(absl::StrCat("rows of shape ", ShapeText(part.shape),
                                                   " cannot follow rows of shape ", ShapeText(shape)));
  }
  shape[0] += part.shape[0];
  data += part.data;
  return absl::OkStatus();
}

absl::Status Array::ReshapeRows(absl::Span<const int64_t> row_shape) {
  if (empty() || RowSize() != Product(row_shape)) {
    return absl::InvalidArgumentError(absl::StrCat("expected rows of shape ", ShapeText(row_shape),
                                                   ", got an array of shape ", ShapeText(shape)));
  }
  shape.resize(1);
  shape.insert(shape.end(), row_shape.begin(), row_shape.end());
  return absl::OkStatus();
}

namespace {

template <typename T>
std::vector<double> Widen(const std::string& data) {
  std::vector<double> values(data.size() / sizeof(T));
  for (size_t i = 0; i < values.size(); ++i) {
    T value;
    std::memcpy(&value, data.data() + i * sizeof(T), sizeof(T));
    values[i] = value;
  }
  return values;
}

}  // namespace

std::vector<double> Array::ToDoubles() const {
  switch (dtype) {
    case v1::DATA_TYPE_FLOAT32:
      return Widen<float>(data);
    case v1::DATA_TYPE_FLOAT64:
      return Widen<double>(data);
    case v1::DATA_TYPE_UINT8:
      return Widen<uint8_t>(data);
    default:
      return {};
  }
}

absl::Status Array::Validate() const {
  const int64_t size = ValueBytes(dtype);
  if (size == 0)
    return absl::InvalidArgumentError(absl::StrCat("unknown data type ", static_cast<int>(dtype)));
  if (shape.empty()) return absl::InvalidArgumentError("expected an array, got none");
  const int64_t values = Product(shape);
  // Not values * size: that may overflow for a shape that came over the wire.
  if (values < 0 || data.size() % size != 0 || static_cast<int64_t>(data.size() / size) != values) {
    return absl::InvalidArgumentError(absl::StrCat("an array of shape ", ShapeText(shape), " of ", size,
                                                   "-byte values does not fit its ", data.size(), " bytes"));
  }
  return absl::OkStatus();
}

}  // namespace client
}  // namespace glowworm
