// Implements model/cpu/row_io.h. memcpy throughout: a bytes field of a message has any alignment.

#include "model/cpu/row_io.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace glowworm {
namespace {

template <typename T>
bool Read(const void* data, int64_t channels, int64_t positions, double* to) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  bool finite = true;
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t p = 0; p < positions; ++p, bytes += sizeof(T)) {
      T value;
      std::memcpy(&value, bytes, sizeof(T));
      const auto wide = static_cast<double>(value);
      finite &= std::isfinite(wide);
      to[p * channels + c] = wide;
    }
  }
  return finite;
}

template <typename T>
void Write(const double* from, int64_t channels, int64_t positions, void* data) {
  auto* bytes = static_cast<unsigned char*>(data);
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t p = 0; p < positions; ++p, bytes += sizeof(T)) {
      const T value = static_cast<T>(from[p * channels + c]);
      std::memcpy(bytes, &value, sizeof(T));
    }
  }
}

}  // namespace

bool ReadRow(const RowInput& input, int64_t channels, int64_t positions, double* to) {
  switch (input.dtype) {
    case DataType::kFloat32:
      return Read<float>(input.data, channels, positions, to);
    case DataType::kFloat64:
      return Read<double>(input.data, channels, positions, to);
    case DataType::kUint8:
      return Read<uint8_t>(input.data, channels, positions, to);
  }
  return false;
}

void WriteRow(const double* from, int64_t channels, int64_t positions, const RowOutput& output) {
  if (output.dtype == DataType::kFloat32) {
    Write<float>(from, channels, positions, output.data);
  } else {
    Write<double>(from, channels, positions, output.data);
  }
}

void WriteNan(int64_t count, const RowOutput& output) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  auto* bytes = static_cast<unsigned char*>(output.data);
  for (int64_t i = 0; i < count; ++i) {
    WriteRow(&nan, 1, 1, {bytes + i * ByteSize(output.dtype), output.dtype});
  }
}

}  // namespace glowworm
