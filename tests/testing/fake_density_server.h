// FakeDensityServer: a gRPC server on a free port of 127.0.0.1 with answers that are simple to predict, that
// keeps the limits it announces, counts what it gets, and fails or waits when told to. For tests of clients.

#ifndef GLOWWORM_TESTS_TESTING_FAKE_DENSITY_SERVER_H_
#define GLOWWORM_TESTS_TESTING_FAKE_DENSITY_SERVER_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "glowworm/v1/density.grpc.pb.h"
#include "grpcpp/server.h"

namespace glowworm {

// A failure to answer with, and the grpc-retry-pushback-ms trailer if not empty.
struct ScriptedFailure {
  grpc::StatusCode code = grpc::StatusCode::OK;  // OK: answer as usual
  std::string message;
  std::string pushback_ms;
};

// Its answers, for any model name: log p = -sum(x^2)/2, tail = 1/(1 - log p), z = 2x, x = z/2 and, of sample
// i of a seed, x[d] = seed + i + d/1000. A NaN row is NON_FINITE_INPUT. Seed 77 if none is given. Contexts
// and labels add their value (a context: of its first number) to log p. Thread-safe.
class FakeDensityServer : private v1::DensityService::Service {
 public:
  // `model.limits` are enforced as a real server would: a request beyond them is INVALID_ARGUMENT.
  explicit FakeDensityServer(v1::Model model);
  ~FakeDensityServer() override;  // releases what is held

  const std::string& address() const { return address_; }  // "127.0.0.1:PORT"
  void SetModel(v1::Model model);
  // The next calls of the methods that work on rows (not ListModels and GetModel), one entry each.
  void Script(std::vector<ScriptedFailure> failures);
  // From now on every such call fails like this.
  void AlwaysFail(ScriptedFailure failure);
  // Holds such calls until Release(), whatever their deadline: ending them is for the caller to do.
  void Hold();
  void Release();
  // Blocks until `count` calls are held.
  void AwaitHeld(int count);

  int row_calls() const;  // row methods called, failures included
  int get_model_calls() const;
  int most_held() const;                // held at once
  std::vector<int64_t> chunks() const;  // rows of each call answered
  std::vector<v1::SampleRequest> sample_requests() const;
  std::vector<int64_t> versions() const;  // asked for by row methods

 private:
  grpc::Status ListModels(grpc::ServerContext*, const v1::ListModelsRequest*,
                          v1::ListModelsResponse*) override;
  grpc::Status GetModel(grpc::ServerContext*, const v1::GetModelRequest*, v1::Model*) override;
  grpc::Status LogLikelihood(grpc::ServerContext*, const v1::LogLikelihoodRequest*,
                             v1::LogLikelihoodResponse*) override;
  grpc::Status Encode(grpc::ServerContext*, const v1::EncodeRequest*, v1::EncodeResponse*) override;
  grpc::Status Decode(grpc::ServerContext*, const v1::DecodeRequest*, v1::DecodeResponse*) override;
  grpc::Status Sample(grpc::ServerContext*, const v1::SampleRequest*, v1::SampleResponse*) override;

  v1::Model CurrentModel() const;
  // What every row method does before it answers.
  grpc::Status Begin(grpc::ServerContext* context, int64_t version);
  grpc::Status CheckLimits(int64_t rows, int64_t most, const google::protobuf::Message& request,
                           const google::protobuf::Message& reply);
  template <typename Request, typename Reply>
  grpc::Status Score(const Request& request, Reply* reply);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  v1::Model model_;
  std::deque<ScriptedFailure> script_;
  ScriptedFailure always_;
  bool holding_ = false;
  int held_ = 0;
  int most_held_ = 0;
  int row_calls_ = 0;
  int get_model_calls_ = 0;
  std::vector<int64_t> chunks_;
  std::vector<int64_t> versions_;
  std::vector<v1::SampleRequest> sample_requests_;

  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

// A READY model "fake", version 3, with limits that no test meets by accident.
v1::Model FakeModel(std::vector<int64_t> event_shape);

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_TESTING_FAKE_DENSITY_SERVER_H_
