// The Glowworm client library: connect, ask, get numbers. This header is all that a program needs.
//
//   auto client = glowworm::Client::Connect("127.0.0.1:50051");
//   auto x = glowworm::Array::Of<float>({2, 3}, {0.1f, 0.2f, 0.3f, 1.1f, 1.2f, 1.3f});
//   auto scores = (*client)->LogLikelihood("tiny-plu", x);
//   if (scores.ok()) Use(scores->log_likelihood);
//
// Inputs of any size: they are cut into chunks that fit the server's limits, a few are in flight at once,
// calls that the server could not take are tried again, and the answers come back in the order of the rows.
// Tested by tests/client/client_test.cc.

#ifndef GLOWWORM_CLIENT_CLIENT_H_
#define GLOWWORM_CLIENT_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "client/array.h"
#include "client/credentials.h"
#include "client/retry.h"
#include "client/time_source.h"
#include "glowworm/v1/density.pb.h"
#include "grpcpp/security/credentials.h"

namespace glowworm {
namespace client {

struct ModelRef {
  ModelRef() = default;  // the model served, if there is only one
  // Implicit, so that a call names its model as "digits" or {"digits", 2}.
  // NOLINTNEXTLINE(google-explicit-constructor)
  ModelRef(std::string model, int64_t model_version = 0) : name(std::move(model)), version(model_version) {}
  ModelRef(const char* model) : name(model) {}  // NOLINT(google-explicit-constructor)

  // "NAME" or "NAME@VERSION".
  static absl::StatusOr<ModelRef> Parse(absl::string_view text);

  std::string name;
  int64_t version =
      0;  // 0: the newest that is ready; a call cut into chunks keeps the version that answered first
};

// What the density is conditioned on; each may be empty, or have one row for all rows or one per row.
struct Conditions {
  Array context;                     // (1 or rows, context_size)
  std::vector<int32_t> class_label;  // 0 .. num_classes-1
};

struct Scores {
  std::vector<double> log_likelihood;    // nats, one per row
  std::vector<double> tail_probability;  // one per row; empty for flows without calibration
  std::vector<v1::RowStatus> row_status;
};

struct Encoded {
  Array z;  // (rows, latent_size), in the input's type; float64 for uint8
  std::vector<double> log_likelihood;
  std::vector<v1::RowStatus> row_status;
};

struct Decoded {
  Array x;  // (rows, ...event_shape)
  std::vector<v1::RowStatus> row_status;
};

struct SampleRequest {
  int64_t num_samples = 1;
  absl::optional<uint64_t> seed;  // absent: the server draws one
  uint64_t first_index = 0;
  absl::optional<double> temperature;
  Array context;  // one row
  absl::optional<int32_t> class_label;
  bool with_log_likelihood = false;
  v1::DataType dtype = v1::DATA_TYPE_FLOAT64;  // or FLOAT32
};

struct Samples {
  Array x;  // (num_samples, ...event_shape)
  uint64_t seed = 0;
  uint64_t first_index = 0;
  std::vector<double> log_likelihood;  // if asked for
  std::vector<int32_t> class_label;    // empty for flows without classes
  std::vector<v1::RowStatus> row_status;
};

// Rows that are not all in memory. `next` gives at most max_rows of them, all of one dtype and row shape,
// with conditions for exactly these rows; an empty x ends the stream. With may_wait false it must not block,
// and an empty x with `later` set means "none yet".
struct RowBlock {
  Array x;
  Conditions conditions;
  bool later = false;
};
struct RowStream {
  v1::DataType dtype = v1::DATA_TYPE_FLOAT64;
  std::function<absl::StatusOr<RowBlock>(int64_t max_rows, bool may_wait)> next;
};

struct CallOptions {
  // Of one method's whole work, all chunks and retries included; of streams: of each chunk, retries included.
  absl::Duration deadline = absl::Seconds(60);
};

struct ClientOptions {
  std::shared_ptr<grpc::ChannelCredentials> credentials;  // null: plaintext; TlsCredentials() makes them
  std::string server_name;  // that the server's certificate must bear; empty: the address's host
  std::string token_file;   // a bearer token sent with each call, read again each time; empty: none
  RetryPolicy retry;
  int chunks_in_flight = 4;       // of one call; > 0
  int64_t max_chunk_rows = 8192;  // smaller chunks than the server's limits ask for show progress sooner
  int64_t max_receive_bytes = 64ll << 20;  // a larger reply is refused with RESOURCE_EXHAUSTED
  TimeSource* time = RealTime();           // not owned; outlives the client
  absl::optional<uint64_t> jitter_seed;    // absent: from the system
};

// A connection to one server. Thread-safe; every method blocks until it has its answer, failed, or its
// deadline passed. Failures of the server and of the connection come back as the absl::Status of their gRPC
// code; INVALID_ARGUMENT also for arrays that could not be sent.
class Client {
 public:
  // `address`: HOST:PORT. Does not wait for the server: an unreachable one shows at the first call.
  // INVALID_ARGUMENT if the token file holds none, or its token would leave this machine in plaintext.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(const std::string& address,
                                                         ClientOptions options = {});
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  absl::StatusOr<v1::ListModelsResponse> ListModels(const CallOptions& call = {});
  absl::StatusOr<v1::Model> GetModel(const ModelRef& model, const CallOptions& call = {});

  // x: (rows, ...event_shape) or (rows, D). Zero rows give an empty answer.
  absl::StatusOr<Scores> LogLikelihood(const ModelRef& model, const Array& x,
                                       const Conditions& conditions = {}, const CallOptions& call = {});
  absl::StatusOr<Encoded> Encode(const ModelRef& model, const Array& x, const Conditions& conditions = {},
                                 const CallOptions& call = {});
  // z: (rows, latent_size).
  absl::StatusOr<Decoded> Decode(const ModelRef& model, const Array& z, const Array& context = {},
                                 const CallOptions& call = {});
  // The same numbers however many calls they take: sample i depends on the seed and i only.
  absl::StatusOr<Samples> Sample(const ModelRef& model, const SampleRequest& request,
                                 const CallOptions& call = {});

  // The same for more rows than memory holds. `sink` gets the answers chunk by chunk, in order; its failure
  // ends the call. `rows.next` and `sink` run on the calling thread.
  absl::Status LogLikelihood(const ModelRef& model, const RowStream& rows,
                             const std::function<absl::Status(Scores)>& sink, const CallOptions& call = {});
  absl::Status Encode(const ModelRef& model, const RowStream& rows,
                      const std::function<absl::Status(Encoded)>& sink, const CallOptions& call = {});
  absl::Status Decode(const ModelRef& model, const RowStream& rows,
                      const std::function<absl::Status(Decoded)>& sink, const CallOptions& call = {});
  absl::Status Sample(const ModelRef& model, const SampleRequest& request,
                      const std::function<absl::Status(Samples)>& sink, const CallOptions& call = {});

 private:
  class Calls;
  explicit Client(std::unique_ptr<Calls> calls);
  const std::unique_ptr<Calls> calls_;
};

}  // namespace client

using client::Array;
using client::CallOptions;
using client::Client;
using client::ClientOptions;
using client::Conditions;

}  // namespace glowworm

#endif  // GLOWWORM_CLIENT_CLIENT_H_
