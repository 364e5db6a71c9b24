// glowworm-echo: two servers that answer LogLikelihood without a flow, for the service benchmark to divide
// by. One file, one main(); driven by tests/bench/service/service_bench.py, whose table is its only product.
//
//   --mode=inline   the reply is finished in the reaction itself: what gRPC and the messages cost alone
//   --mode=handoff  the call goes through a queue to one worker thread, which takes all that wait and
//   finishes
//                   them: what any server pays that computes elsewhere than on gRPC's threads
//
// Messages have our server's types and sizes: the reply names the model and holds one log-likelihood a row
// (and one tail probability, with --calibrated). GetModel answers as well, so that `glowworm bench` drives
// all servers alike.

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "glowworm/v1/density.grpc.pb.h"

ABSL_FLAG(std::string, mode, "inline", "inline or handoff");
ABSL_FLAG(std::string, port_file, "", "where the address is written once the server listens");
ABSL_FLAG(std::string, model, "tiny-plu", "the name in GetModel's answer and in every reply");
ABSL_FLAG(std::string, event_shape, "2", "of GetModel's answer: a comma list");
ABSL_FLAG(bool, calibrated, false, "whether a reply holds tail probabilities");

namespace glowworm {
namespace {

struct EchoCall {
  const v1::LogLikelihoodRequest* request;
  v1::LogLikelihoodResponse* response;
  grpc::ServerUnaryReactor* reactor;
};

// Answers a call. Thread-safe.
void Answer(const EchoCall& call, bool calibrated) {
  v1::ModelRef* model = call.response->mutable_model();
  model->set_name(call.request->model().name());
  model->set_version(1);
  const int rows = static_cast<int>(call.request->x().shape(0));
  call.response->mutable_log_likelihood()->Resize(rows, -1.5);
  if (calibrated) call.response->mutable_tail_probability()->Resize(rows, 0.5);
  call.response->set_request_id(call.request->request_id());
  call.reactor->Finish(grpc::Status::OK);
}

// One worker that takes whatever waits, as a batcher does. Thread-safe.
class Handoff {
 public:
  explicit Handoff(bool calibrated) : worker_([this, calibrated] { Work(calibrated); }) {}
  ~Handoff() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    waiting_.notify_one();
    worker_.join();
  }

  void Push(const EchoCall& call) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      calls_.push_back(call);
    }
    waiting_.notify_one();
  }

 private:
  void Work(bool calibrated) {
    std::vector<EchoCall> batch;
    for (;;) {
      {
        std::unique_lock<std::mutex> lock(mutex_);
        waiting_.wait(lock, [this] { return stopping_ || !calls_.empty(); });
        if (calls_.empty()) return;
        batch.swap(calls_);
      }
      for (const EchoCall& call : batch) Answer(call, calibrated);
      batch.clear();
    }
  }

  std::mutex mutex_;
  std::condition_variable waiting_;
  std::vector<EchoCall> calls_;  // guarded by mutex_, as stopping_ is
  bool stopping_ = false;
  std::thread worker_;  // last: it reads all of the above
};

class EchoService final : public v1::DensityService::CallbackService {
 public:
  // A null `handoff`: inline.
  EchoService(v1::Model model, Handoff* handoff, bool calibrated)
      : model_(std::move(model)), handoff_(handoff), calibrated_(calibrated) {}

  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* grpc, const v1::GetModelRequest* request,
                                     v1::Model* response) override {
    *response = model_;
    grpc::ServerUnaryReactor* const reactor = grpc->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  grpc::ServerUnaryReactor* LogLikelihood(grpc::CallbackServerContext* grpc,
                                          const v1::LogLikelihoodRequest* request,
                                          v1::LogLikelihoodResponse* response) override {
    grpc::ServerUnaryReactor* const reactor = grpc->DefaultReactor();  // the fastest that gRPC has
    if (request->x().shape_size() == 0) {
      reactor->Finish(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "x: missing"));
    } else if (handoff_ != nullptr) {
      handoff_->Push({request, response, reactor});
    } else {
      Answer({request, response, reactor}, calibrated_);
    }
    return reactor;
  }

 private:
  const v1::Model model_;
  Handoff* const handoff_;
  const bool calibrated_;
};

// GetModel's answer to a client that wants to know what it may send; false for a shape that is none.
bool DescribeModel(v1::Model* model) {
  model->mutable_ref()->set_name(absl::GetFlag(FLAGS_model));
  model->mutable_ref()->set_version(1);
  model->set_state(v1::MODEL_STATE_READY);
  int64_t size = 1;
  for (const auto& text : absl::StrSplit(absl::GetFlag(FLAGS_event_shape), ',')) {
    int64_t extent = 0;
    if (!absl::SimpleAtoi(text, &extent) || extent < 1) return false;
    model->add_event_shape(extent);
    size *= extent;
  }
  model->set_latent_size(size);
  model->mutable_limits()->set_max_rows(65536);
  model->mutable_limits()->set_max_samples(65536);
  model->mutable_limits()->set_max_message_bytes(4 << 20);
  model->mutable_limits()->set_max_reply_bytes((4 << 20) - (64 << 10));
  return true;
}

// Until SIGTERM or SIGINT.
int Serve() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // in every thread: before the first is started

  v1::Model model;
  const std::string mode = absl::GetFlag(FLAGS_mode);
  if (!DescribeModel(&model) || (mode != "inline" && mode != "handoff")) {
    std::fprintf(stderr, "glowworm-echo: --mode is inline or handoff, --event_shape a comma list\n");
    return 2;
  }
  const bool calibrated = absl::GetFlag(FLAGS_calibrated);
  std::unique_ptr<Handoff> handoff;
  if (mode == "handoff") handoff = std::make_unique<Handoff>(calibrated);
  EchoService service(std::move(model), handoff.get(), calibrated);

  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  const std::string path = absl::GetFlag(FLAGS_port_file);
  if (!path.empty()) {
    std::ofstream(path + ".tmp") << "127.0.0.1:" << port << "\n";
    if (std::rename((path + ".tmp").c_str(), path.c_str()) != 0) return 1;
  }
  int number = 0;
  sigwait(&signals, &number);
  server->Shutdown(std::chrono::system_clock::now());
  return 0;
}

}  // namespace
}  // namespace glowworm

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);  // as glowworm-server does
  return glowworm::Serve();
}
