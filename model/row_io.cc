// Implements model/row_io.h. memcpy throughout: a bytes field of a message has any alignment.

#include "model/row_io.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "model/philox.h"

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

// Whether every number of a row is finite and stays so in the output's type.
bool Fits(const double* row, int64_t size, const RowOutput& output) {
  const double limit = output.dtype == DataType::kFloat32 ? std::numeric_limits<float>::max()
                                                          : std::numeric_limits<double>::max();
  return std::all_of(row, row + size, [&](double v) { return std::abs(v) <= limit; });
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

void FinishEncode(const EncodeRow& row, const RowFlags& flags, double log_likelihood, const double* z,
                  int64_t size) {
  *row.log_likelihood = log_likelihood;
  *row.status = RowStatus::kOk;
  if (!flags.finite) {
    *row.status = RowStatus::kNonFiniteInput;
  } else if (flags.outside) {
    *row.status = RowStatus::kOutOfSupport;
  } else if (flags.overflow || !std::isfinite(log_likelihood)) {
    *row.status = RowStatus::kNonFiniteResult;
  }
  if (*row.status == RowStatus::kOutOfSupport) {
    *row.log_likelihood = -std::numeric_limits<double>::infinity();
  } else if (*row.status != RowStatus::kOk) {
    *row.log_likelihood = std::numeric_limits<double>::quiet_NaN();
  }
  if (row.z.data == nullptr) return;
  if (*row.status == RowStatus::kOk && !Fits(z, size, row.z)) *row.status = RowStatus::kNonFiniteResult;
  if (*row.status == RowStatus::kOk) {
    WriteRow(z, 1, size, row.z);
  } else {
    WriteNan(size, row.z);
  }
}

void FinishInverse(const double* x, const RowFlags& flags, int64_t channels, int64_t positions,
                   const RowOutput& output, RowStatus* status) {
  const int64_t size = channels * positions;
  const bool fits = !flags.overflow && Fits(x, size, output);
  *status = !flags.finite ? RowStatus::kNonFiniteInput : fits ? RowStatus::kOk : RowStatus::kNonFiniteResult;
  if (*status == RowStatus::kOk) {
    WriteRow(x, channels, positions, output);
  } else {
    WriteNan(size, output);
  }
}

int DrawClass(uint64_t seed, uint64_t index, absl::Span<const double> cumulative) {
  const double u = PhiloxUniforms(seed, index, kClassBlock).u1;
  const auto k = std::find_if(cumulative.begin(), cumulative.end(), [&](double sum) { return u <= sum; });
  return static_cast<int>(
      std::min(k - cumulative.begin(), static_cast<std::ptrdiff_t>(cumulative.size()) - 1));
}

}  // namespace glowworm
