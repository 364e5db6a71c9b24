// Flow: a trained flow, loaded and compiled; with devices.h, the only headers of model/ that a server needs.
//
// Rows stand alone: each has its own input, dtype, context, class and output, and its answer has the same
// bits whatever rows it is evaluated with. Tested by tests/model/flow_test.cc and golden_test.cc.

#ifndef GLOWWORM_MODEL_FLOW_H_
#define GLOWWORM_MODEL_FLOW_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace glowworm {

struct FlowSpec;
class Devices;
class Executor;

// kBfloat16: conditioner networks multiply in bfloat16 (8 significant bits) and add in float32; all else is
// as in kFloat32. The direction of an autoregressive layer that goes feature by feature stays in float32 as a
// whole: Decode(Encode(x)) of a flow with such layers is x only as far as bfloat16 goes.
enum class Precision { kFloat32, kFloat64, kBfloat16 };
// "float32", "float64" or "bfloat16".
absl::string_view PrecisionName(Precision precision);
// Unimplemented if this processor cannot compute so. (Devices other than it: see devices.h.)
absl::Status CheckPrecision(Precision precision);

// Of numbers at the boundary; the values are those of glowworm.v1.DataType.
enum class DataType { kFloat32 = 1, kFloat64 = 2, kUint8 = 3 };
// Bytes of one number.
int64_t ByteSize(DataType dtype);

// The values are those of glowworm.v1.RowStatus.
enum class RowStatus { kOk = 0, kNonFiniteInput = 1, kOutOfSupport = 2, kNonFiniteResult = 3 };

// One row's numbers in the caller's memory, contiguous, of any alignment. data == nullptr: absent.
struct RowInput {
  const void* data = nullptr;
  DataType dtype = DataType::kFloat64;
};
struct RowOutput {
  void* data = nullptr;
  DataType dtype = DataType::kFloat64;  // kFloat32 or kFloat64
};

// x -> log p and, if wanted, z.
struct EncodeRow {
  RowInput x;                          // (event), row-major [C, H, W]
  RowInput context;                    // (context_size); absent for flows without
  int class_label = -1;                // -1: the mixture of all classes
  RowOutput z;                         // (latent_size); absent: not wanted
  double* log_likelihood = nullptr;    // nats; never null
  double* tail_probability = nullptr;  // null: not wanted; written only if the flow has a calibration
  RowStatus* status = nullptr;         // never null
};

// z -> x.
struct DecodeRow {
  RowInput z;  // (latent_size)
  RowInput context;
  RowOutput x;  // (event)
  RowStatus* status = nullptr;
};

// Sample `index` of the sequence that `seed` names -> x.
struct SampleRow {
  uint64_t seed = 0;
  uint64_t index = 0;
  double temperature = 1;  // >= 0, finite
  RowInput context;
  int class_label = -1;  // -1: drawn by the flow's weights
  RowOutput x;
  double* log_likelihood = nullptr;  // null: not wanted. Of x as returned, under temperature 1
  int32_t* class_drawn = nullptr;    // null: not wanted; written only if the flow has classes
  RowStatus* status = nullptr;
};

struct FlowOptions {
  Precision precision = Precision::kFloat32;
  int workers = 1;  // threads that will call at once; more may, at the price of an allocation each or a wait
  std::shared_ptr<const Devices> devices;  // null: the CPU
  // Load refuses a linear layer conditioned worse than this.
  double max_condition_number = 1e6;
};

struct LayerSummary {
  std::string name;
  std::string kind;  // "affine", "linear", "coupling", ...
  // Of linear layers; 0 otherwise.
  double condition_number = 0;
  double log_abs_det = 0;  // of W
  double min_abs_s = 0;
  double max_abs_s = 0;
};

struct FlowInfo {
  std::string name;
  std::string description;
  std::vector<int64_t> event_shape;  // [D] or [C, H, W]
  int64_t event_size = 0;            // D
  int64_t latent_size = 0;           // D
  int64_t context_size = 0;
  int64_t num_classes = 0;
  int64_t parameters = 0;
  std::string device;     // "cpu", "cuda:0", "cuda:0,1"
  std::string precision;  // PrecisionName
  std::vector<LayerSummary> layers;
  double max_condition_number = 0;
  std::map<std::string, std::string> provenance;
  bool has_calibration = false;
  std::string sha256;
  int64_t max_tile_rows = 0;  // rows that one call carries through the flow at once; larger calls are cut
};

// What the file alone says: parameters, device, precision, layers, condition numbers, sha256 and
// max_tile_rows are left out.
FlowInfo DescribeFlow(const FlowSpec& spec);

// Immutable after creation; every method is const, safe from many threads, and blocks for as long as it
// computes. REQUIRES of all three: pointers as stated above, context present exactly if the flow takes one,
// class_label < K. Another status than OK says that the device failed, and then nothing that the call wrote
// counts; the CPU never does. A row that goes wrong says so by its own status alone.
class Flow {
 public:
  // Reads, checks and compiles. InvalidArgument says what is wrong with the file, Unimplemented is
  // CheckPrecision's or the devices', ResourceExhausted says that a device's memory does not hold the flow.
  static absl::StatusOr<std::unique_ptr<const Flow>> Load(const std::string& path,
                                                          const FlowOptions& options);
  // The same from memory. REQUIRES: ParseFlowFile would accept `spec`.
  static absl::StatusOr<std::unique_ptr<const Flow>> Create(const FlowSpec& spec, const FlowOptions& options);
  ~Flow();
  Flow(const Flow&) = delete;
  Flow& operator=(const Flow&) = delete;

  const FlowInfo& info() const { return info_; }

  // Log-likelihood of each row, and its latent vector where `z` is present: the same bits with and without. A
  // latent that overflows the dtype asked for makes z NaN and the row kNonFiniteResult; its log-likelihood
  // stands.
  absl::Status Encode(absl::Span<const EncodeRow> rows) const;
  absl::Status Decode(absl::Span<const DecodeRow> rows) const;
  // A sample whose log-likelihood was asked for takes over its status, should it round onto the support's
  // edge.
  absl::Status Sample(absl::Span<const SampleRow> rows) const;

  // P(log p(X) <= log_likelihood) by the flow's calibration. REQUIRES: info().has_calibration.
  double TailProbability(double log_likelihood) const;

  // The compiled plan as text, one op a line.
  std::string DumpPlan() const;

 private:
  Flow();
  static absl::StatusOr<std::unique_ptr<Flow>> Build(const FlowSpec& spec, const FlowOptions& options);
  absl::Status ScoreSamples(absl::Span<const SampleRow> tile) const;

  FlowInfo info_;
  std::vector<double> calibration_log_likelihood_;  // (Q)
  std::vector<double> calibration_probability_;     // (Q)
  std::string plan_text_;
  std::shared_ptr<const Devices> devices_;
  std::unique_ptr<const Executor> executor_;  // on devices_
};

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_FLOW_H_
