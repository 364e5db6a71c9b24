// Fuzz target: the protobuf parse and server/validate.h, then server/convert.h for what they let through. A
// request that passes has the rows that it claims, all of them within its own bytes, and a reply within the
// limit. Run by tests/fuzz/run.sh.

#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

#include "server/convert.h"
#include "server/validate.h"
#include "tests/fuzz/accepted_inputs.h"
#include "tests/fuzz/fuzzed_request.h"
#include "tests/fuzz/request_mutator.h"
#include "tests/fuzz/require.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace glowworm {
namespace {

volatile char g_sink;  // what is read is used

// Reads a row that came in, first and last byte and all between.
void Read(const RowInput& row, int64_t numbers) {
  const auto* bytes = static_cast<const char*>(row.data);
  char sum = 0;
  for (int64_t i = 0; i < numbers * ByteSize(row.dtype); ++i) sum = static_cast<char>(sum ^ bytes[i]);
  g_sink = sum;
}

void Fill(const RowOutput& row, int64_t numbers) {
  std::memset(row.data, 0x7f, static_cast<size_t>(numbers * ByteSize(row.dtype)));
}

void ReadContext(const RowInput& row, const FlowInfo& flow) {
  Require((row.data != nullptr) == (flow.context_size > 0),
          "a row has a context exactly if the flow takes one");
  if (row.data != nullptr) Read(row, flow.context_size);
}

// Does what a flow does with a row: reads all that came, writes all that goes.
void Compute(const EncodeRow& row, const FlowInfo& flow) {
  Read(row.x, flow.event_size);
  ReadContext(row.context, flow);
  Require(row.class_label >= -1 && row.class_label < std::max<int64_t>(flow.num_classes, 0),
          "a row's class is one of the flow's");
  if (row.z.data != nullptr) Fill(row.z, flow.latent_size);
  *row.log_likelihood = -1;
  if (row.tail_probability != nullptr) *row.tail_probability = 0.5;
  *row.status = RowStatus::kNonFiniteResult;
}

void Compute(const DecodeRow& row, const FlowInfo& flow) {
  Read(row.z, flow.latent_size);
  ReadContext(row.context, flow);
  Fill(row.x, flow.event_size);
  *row.status = RowStatus::kNonFiniteResult;
}

void Compute(const SampleRow& row, const FlowInfo& flow) {
  ReadContext(row.context, flow);
  Require(row.temperature >= 0 && row.temperature <= std::numeric_limits<double>::max(),
          "a temperature is finite and not negative");
  Require(row.class_label >= -1 && row.class_label < std::max<int64_t>(flow.num_classes, 0),
          "a sample's class is one of the flow's");
  Fill(row.x, flow.event_size);
  if (row.log_likelihood != nullptr) *row.log_likelihood = -1;
  if (row.class_drawn != nullptr) *row.class_drawn = static_cast<int32_t>(flow.num_classes) - 1;
  *row.status = RowStatus::kNonFiniteResult;
}

// The worst that a client may be sent: the longest name, every row's status told.
template <typename Reply, typename Payload>
void Answer(Payload* payload, const FlowInfo& flow, int64_t rows, const std::string& request_id,
            const RequestLimits& limits) {
  Require(payload->rows == rows && rows >= 1, "a payload has the rows that were asked for");
  Require(Bytes(*payload) > 0, "a payload takes memory");
  for (int64_t row = 0; row < payload->rows; ++row) Compute(payload->Row(row), flow);
  Reply reply;
  FillReply(payload, flow, &reply);
  reply.mutable_model()->set_name(std::string(kMaxNameBytes, 'm'));
  reply.mutable_model()->set_version(std::numeric_limits<int64_t>::max());
  Require(reply.row_status_size() == rows, "a reply has a status for each row");
  Require(static_cast<int64_t>(reply.ByteSizeLong() + request_id.size()) <= limits.max_reply_bytes,
          "a reply keeps to the limit that was checked");
}

// The same request as a message of its own type; false if its bytes are none.
template <typename Request>
bool Passes(const FuzzedRequest& fuzzed, Request* request) {
  if (!request->ParseFromString(fuzzed.message)) return false;
  const absl::Status named = ValidateModelRef(request->model());
  if (!named.ok()) RequireRefusal(named);
  if (named.ok() && !request->model().name().empty()) {
    const std::string& name = request->model().name();
    Require(name.find_first_of(std::string("/\\\0 \n", 5)) == std::string::npos && name[0] != '.',
            "a model's name is one name of a file");
  }
  const absl::Status status = Validate(*request, fuzzed.Flow(), fuzzed.Limits());
  if (!status.ok()) RequireRefusal(status);
  return status.ok();
}

const v1::Tensor& RowsOf(const v1::LogLikelihoodRequest& request) { return request.x(); }
const v1::Tensor& RowsOf(const v1::EncodeRequest& request) { return request.x(); }
const v1::Tensor& RowsOf(const v1::DecodeRequest& request) { return request.z(); }
const std::string& IdOf(const v1::LogLikelihoodRequest& request) { return request.request_id(); }
template <typename Request>
std::string IdOf(const Request&) {
  return "";
}

// LogLikelihood, Encode and Decode.
template <typename Request, typename Reply>
bool RunRows(const FuzzedRequest& fuzzed) {
  Request request;
  if (!Passes(fuzzed, &request)) return false;
  const int64_t rows = RowsOf(request).shape(0);
  const auto payload = TakeRows(&request, fuzzed.Flow());
  Answer<Reply>(payload.get(), fuzzed.Flow(), rows, IdOf(request), fuzzed.Limits());
  return true;
}

void AnswerSamples(const FuzzedRequest& fuzzed, const v1::SampleRequest& request, int64_t rows) {
  const uint64_t first = request.first_index();
  Require(first + static_cast<uint64_t>(rows) - 1 >= first, "a sample's index does not overflow");
  const auto payload =
      MakeRows(request, fuzzed.Flow(), std::numeric_limits<uint64_t>::max(), request.first_index(), rows);
  Answer<v1::SampleResponse>(payload.get(), fuzzed.Flow(), rows, "", fuzzed.Limits());
}

bool RunSample(const FuzzedRequest& fuzzed) {
  v1::SampleRequest request;
  if (!Passes(fuzzed, &request)) return false;
  AnswerSamples(fuzzed, request, request.num_samples());
  return true;
}

bool RunStreamSamples(const FuzzedRequest& fuzzed) {
  v1::SampleRequest request;
  if (!request.ParseFromString(fuzzed.message)) return false;
  const absl::Status status = ValidateStream(request, fuzzed.Flow(), fuzzed.Limits());
  if (!status.ok()) {
    RequireRefusal(status);
    return false;
  }
  const int64_t fit = SamplesPerReply(request, fuzzed.Flow(), fuzzed.Limits());
  Require(fit >= 1, "a chunk of a stream holds a sample");
  AnswerSamples(fuzzed, request, std::min(fit, request.num_samples()));
  return true;
}

// Whether the request passed.
bool Run(const FuzzedRequest& fuzzed) {
  switch (fuzzed.kind) {
    case RequestKind::kLogLikelihood:
      return RunRows<v1::LogLikelihoodRequest, v1::LogLikelihoodResponse>(fuzzed);
    case RequestKind::kEncode:
      return RunRows<v1::EncodeRequest, v1::EncodeResponse>(fuzzed);
    case RequestKind::kDecode:
      return RunRows<v1::DecodeRequest, v1::DecodeResponse>(fuzzed);
    case RequestKind::kSample:
      return RunSample(fuzzed);
    case RequestKind::kStreamSamples:
      break;
  }
  return RunStreamSamples(fuzzed);
}

}  // namespace
}  // namespace glowworm

// A text that is not UTF-8 is refused by the parse; protobuf would write a line about each.
extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  google::protobuf::SetLogHandler(nullptr);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  if (glowworm::Run(glowworm::ParseFuzzedRequest(bytes))) glowworm::KeepAccepted(bytes);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned int seed) {
  const std::string changed =
      glowworm::MutateRequest(glowworm::HalfAccepted(data, size, seed), max_size, seed, LLVMFuzzerMutate);
  std::copy(changed.begin(), changed.end(), data);
  return changed.size();
}
