// Writes the inputs that the fuzzers start from, to FOLDER/<name of the fuzzer>: the flows of the tests, with
// a part of every kind, and those of the flow files that are small enough; containers with every dtype; one
// good request of each kind for each flow. Usage: make_seeds FOLDER FLOW_FILE... Run by tests/fuzz/run.sh.

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/flow_file.h"
#include "model/regular_file.h"
#include "model/safetensors.h"
#include "tests/fuzz/fuzzed_request.h"
#include "tests/fuzz/require.h"
#include "tests/model/flow_draft.h"

namespace glowworm {
namespace {

// Fuzzers are quick with short inputs only.
constexpr int64_t kMaxFlowBytes = 1 << 15;
constexpr int64_t kMaxContainerBytes = 1 << 13;

void Write(const std::string& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary);
  file << bytes;
  Require(file.flush().good(), "a seed is written");
}

void WriteContainers(const std::string& folder) {
  std::filesystem::create_directories(folder);
  Write(folder + "/no-tensors", SerializeSafetensors({}, {}));
  std::vector<TensorData> every;
  for (const Dtype dtype : {Dtype::kF64, Dtype::kI64, Dtype::kF32, Dtype::kI32, Dtype::kF16, Dtype::kBf16}) {
    const auto bytes = static_cast<size_t>(6 * DtypeBytes(dtype));
    every.push_back({DtypeName(dtype), dtype, {2, 3}, std::string(bytes, '\1')});
    every.push_back({absl::StrCat("no", DtypeName(dtype)), dtype, {0, 3}, ""});
    every.push_back({absl::StrCat("one", DtypeName(dtype)), dtype, {}, std::string(bytes / 6, '\2')});
  }
  Write(folder + "/every-dtype", SerializeSafetensors({{"key", "value"}}, every));
}

void WriteFlows(const std::string& flows, const std::string& containers, int given, char** files) {
  std::filesystem::create_directories(flows);
  Write(flows + "/rows", SerializeFlow(RowFlow()));
  Write(flows + "/image", SerializeFlow(ImageFlow()));
  for (int i = 0; i < given; ++i) {
    const absl::StatusOr<std::string> bytes = ReadRegularFile(files[i], kMaxFlowBytes);
    if (!bytes.ok()) continue;
    Write(absl::StrCat(flows, "/given-", i), *bytes);
    if (bytes->size() <= kMaxContainerBytes) Write(absl::StrCat(containers, "/given-", i), *bytes);
  }
}

v1::Tensor Rows(int64_t rows, int64_t numbers, v1::DataType dtype) {
  v1::Tensor tensor;
  tensor.set_dtype(dtype);
  tensor.add_shape(rows);
  tensor.add_shape(numbers);
  tensor.set_data(
      std::string(static_cast<size_t>(rows * numbers * ByteSize(static_cast<DataType>(dtype))), '\1'));
  return tensor;
}

std::string GoodMessage(RequestKind kind, const FlowInfo& flow, int64_t rows, v1::DataType dtype) {
  v1::LogLikelihoodRequest score;
  v1::DecodeRequest decode;
  v1::SampleRequest sample;
  *score.mutable_x() = Rows(rows, flow.event_size, dtype);
  *decode.mutable_z() = Rows(rows, flow.latent_size, dtype);
  sample.set_num_samples(rows);
  sample.set_temperature(0.5);
  sample.set_seed(1);
  sample.set_with_log_likelihood(true);
  sample.set_dtype(dtype == v1::DATA_TYPE_UINT8 ? v1::DATA_TYPE_UNSPECIFIED : dtype);
  if (flow.context_size > 0) {
    *score.mutable_context() = *decode.mutable_context() = Rows(rows, flow.context_size, dtype);
    *sample.mutable_context() = Rows(1, flow.context_size, dtype);
  }
  for (int64_t row = 0; flow.num_classes > 0 && row < rows; ++row) score.add_class_label(1);
  score.mutable_model()->set_name("flow");
  if (kind == RequestKind::kDecode) return decode.SerializeAsString();
  if (kind == RequestKind::kSample || kind == RequestKind::kStreamSamples) return sample.SerializeAsString();
  if (kind == RequestKind::kLogLikelihood) score.set_request_id("1");
  return score.SerializeAsString();  // an EncodeRequest has the same fields
}

void WriteRequests(const std::string& folder) {
  std::filesystem::create_directories(folder);
  for (int i = 0; i < kRequestKinds * 6; ++i) {
    FuzzedRequest request;
    request.kind = static_cast<RequestKind>(i % kRequestKinds);
    request.flow = static_cast<uint8_t>(i / kRequestKinds % 3);
    request.small_limits = i >= kRequestKinds * 3;
    request.message =
        GoodMessage(request.kind, request.Flow(), 1 + i % 3, static_cast<v1::DataType>(1 + i % 3));
    Write(absl::StrCat(folder, "/", i), Serialize(request));
  }
}

}  // namespace
}  // namespace glowworm

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: make_seeds FOLDER FLOW_FILE...\n", stderr);
    return 2;
  }
  const std::string folder = argv[1];
  glowworm::WriteContainers(folder + "/safetensors_fuzz");
  glowworm::WriteFlows(folder + "/flow_file_fuzz", folder + "/safetensors_fuzz", argc - 2, argv + 2);
  glowworm::WriteRequests(folder + "/request_fuzz");
  return 0;
}
