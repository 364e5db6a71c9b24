// Fuzz target: the safetensors reader. What it accepts fits the file byte for byte, and is read back the same
// from what the writer makes of it. Run by tests/fuzz/run.sh.

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "model/safetensors.h"
#include "tests/fuzz/accepted_inputs.h"
#include "tests/fuzz/require.h"

namespace glowworm {
namespace {

uint64_t DataStart(const std::string& bytes) {
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof(header));
  return sizeof(header) + header;
}

void CheckClaims(const Safetensors& file) {
  const uint64_t data_bytes = file.bytes().size() - DataStart(file.bytes());
  uint64_t claimed = 0;
  for (const auto& [name, entry] : file.tensors()) {
    Require(entry.begin <= entry.end && entry.end <= data_bytes, "a tensor lies within the file");
    uint64_t numbers = 1;
    for (const int64_t d : entry.shape) {
      Require(d >= 0 && !__builtin_mul_overflow(numbers, std::max<int64_t>(d, 1), &numbers),
              "a shape does not overflow, whatever the order of its dimensions");
    }
    if (std::count(entry.shape.begin(), entry.shape.end(), 0) > 0) numbers = 0;
    Require(numbers * static_cast<uint64_t>(DtypeBytes(entry.dtype)) == entry.end - entry.begin,
            "a tensor's shape takes the bytes that it has");
    claimed += entry.end - entry.begin;
    if (entry.dtype == Dtype::kF64 || entry.dtype == Dtype::kF32) {
      Require(file.Floats(entry).size() == numbers, "Floats gives every number");
    }
    if (entry.dtype == Dtype::kI64) {
      Require(file.Integers(entry).size() == numbers, "Integers gives every number");
    }
  }
  Require(claimed == data_bytes, "every byte belongs to one tensor");
}

std::vector<TensorData> Tensors(const Safetensors& file) {
  std::vector<TensorData> out;
  for (const auto& [name, entry] : file.tensors()) {
    out.push_back({name, entry.dtype, entry.shape,
                   file.bytes().substr(DataStart(file.bytes()) + entry.begin, entry.end - entry.begin)});
  }
  return out;
}

void CheckRoundTrip(const Safetensors& file) {
  const std::vector<TensorData> tensors = Tensors(file);
  const std::string written = SerializeSafetensors(file.metadata(), tensors);
  const absl::StatusOr<Safetensors> again = Safetensors::Parse(written);
  Require(again.ok(), "what was accepted is accepted again when it is written");
  Require(again->metadata() == file.metadata(), "the metadata is read back");
  const std::vector<TensorData> back = Tensors(*again);
  Require(back.size() == tensors.size(), "as many tensors are read back");
  for (size_t i = 0; i < back.size(); ++i) {
    Require(back[i].name == tensors[i].name && back[i].dtype == tensors[i].dtype &&
                back[i].shape == tensors[i].shape && back[i].bytes == tensors[i].bytes,
            "a tensor is read back");
  }
  Require(SerializeSafetensors(again->metadata(), back) == written, "writing twice gives the same bytes");
}

}  // namespace
}  // namespace glowworm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<glowworm::Safetensors> file = glowworm::Safetensors::Parse(bytes);
  if (!file.ok()) {
    glowworm::RequireRefusal(file.status());
    return 0;
  }
  glowworm::KeepAccepted(bytes);
  glowworm::CheckClaims(*file);
  glowworm::CheckRoundTrip(*file);
  return 0;
}
