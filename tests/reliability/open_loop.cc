// glowworm-open-loop: unary calls on a server at times fixed beforehand, whatever the answers do, from a
// source address of choice; or, as a closed loop, with a fixed number in flight. It tells of every call, so
// that refused ones can be judged apart from accepted ones, which `glowworm bench` does not. Used by load.py;
// tested by tests/reliability/overload_test.py.
//
// Usage: glowworm-open-loop --address=127.0.0.1:PORT --schedule=RATE:SECONDS,... METHOD=FILE...
//        glowworm-open-loop --address=127.0.0.1:PORT --in_flight=N --seconds=S METHOD=FILE...
// METHOD is a path like /glowworm.v1.DensityService/Encode and FILE a serialized request; they are sent in
// turn. Prints a line "due sent ended code" for each call, in seconds since the start and gRPC's code.

#include <arpa/inet.h>
#include <fcntl.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

ABSL_FLAG(std::string, address, "", "the server's, IPv4");
ABSL_FLAG(std::string, source, "", "the address to call from; empty: what the system chooses");
ABSL_FLAG(std::string, schedule, "", "calls a second and seconds of each phase: 50:4,1000:5");
ABSL_FLAG(int, in_flight, 1, "calls in flight of a closed loop");
ABSL_FLAG(double, seconds, 1, "of a closed loop");
ABSL_FLAG(int, connections, 2, "connections, used in turn; each takes 100 calls at once");
ABSL_FLAG(double, deadline, 30, "seconds, of each call");

namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

struct Request {
  std::string method;
  grpc::ByteBuffer bytes;
};

struct Phase {
  double rate;
  double seconds;
};

struct Call {
  grpc::ClientContext context;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  grpc::ByteBuffer reply;
  grpc::Status status;
  Clock::time_point due, sent;
};

struct Outcome {
  Clock::time_point due, sent, ended;
  int code;
};

// A connected socket, or -1.
int Connect(const std::string& address, const std::string& source) {
  const std::vector<std::string> parts = absl::StrSplit(address, ':');
  int port = 0;
  sockaddr_in to{}, from{};
  to.sin_family = from.sin_family = AF_INET;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[1], &port) ||
      inet_pton(AF_INET, parts[0].c_str(), &to.sin_addr) != 1) {
    return -1;
  }
  to.sin_port = htons(static_cast<uint16_t>(port));
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (!source.empty() && (inet_pton(AF_INET, source.c_str(), &from.sin_addr) != 1 ||
                          bind(fd, reinterpret_cast<const sockaddr*>(&from), sizeof(from)) != 0)) {
    return -1;
  }
  if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) return -1;
  fcntl(fd, F_SETFL, O_NONBLOCK);  // as gRPC needs it
  return fd;
}

class Generator {
 public:
  Generator(std::vector<std::unique_ptr<grpc::GenericStub>> stubs, std::vector<Request> requests)
      : stubs_(std::move(stubs)), requests_(std::move(requests)), begin_(Clock::now()) {}

  void Open(const std::vector<Phase>& phases) {
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);  // ns
    std::thread collector([this] { Collect(/*again_until=*/begin_); });
    in_flight_ = 1;  // the schedule's own: the queue stays open until its end
    Clock::time_point phase_begin = begin_;
    for (const Phase& phase : phases) {
      const auto calls = static_cast<int64_t>(phase.rate * phase.seconds);
      for (int64_t i = 0; i < calls; ++i) {
        const Clock::time_point due = phase_begin + At(static_cast<double>(i) / phase.rate);
        std::this_thread::sleep_until(due);
        Start(due);
      }
      phase_begin += At(phase.seconds);
    }
    Leave();
    collector.join();
  }

  void Closed(int in_flight, double seconds) {
    in_flight_ = 1;
    for (int i = 0; i < in_flight; ++i) Start(Clock::now());
    Leave();
    Collect(begin_ + At(seconds));
  }

  void Print() const {
    const auto since = [this](Clock::time_point time) { return Seconds(time - begin_).count(); };
    for (const Outcome& o : outcomes_) {
      std::printf("%.6f %.6f %.6f %d\n", since(o.due), since(o.sent), since(o.ended), o.code);
    }
  }

 private:
  static Clock::duration At(double seconds) {
    return std::chrono::duration_cast<Clock::duration>(Seconds(seconds));
  }

  void Start(Clock::time_point due) {
    in_flight_.fetch_add(1);
    auto* const call = new Call;  // comes back from the queue
    call->due = due;
    call->sent = Clock::now();
    const auto deadline = std::chrono::system_clock::now() + Seconds(absl::GetFlag(FLAGS_deadline));
    call->context.set_deadline(std::chrono::time_point_cast<std::chrono::system_clock::duration>(deadline));
    const Request& request = requests_[number_ % requests_.size()];
    call->reader = stubs_[number_++ % stubs_.size()]->PrepareUnaryCall(&call->context, request.method,
                                                                       request.bytes, &queue_);
    call->reader->StartCall();
    call->reader->Finish(&call->reply, &call->status, call);
  }

  // Until the last call has ended; each that ends before `again_until` is followed by the next.
  void Collect(Clock::time_point again_until) {
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
      const Clock::time_point now = Clock::now();
      const std::unique_ptr<Call> call(static_cast<Call*>(tag));
      outcomes_.push_back({call->due, call->sent, now, call->status.error_code()});
      if (now < again_until) Start(now);
      Leave();
    }
  }

  // The last one out shuts the queue.
  void Leave() {
    if (in_flight_.fetch_sub(1) == 1) queue_.Shutdown();
  }

  std::vector<std::unique_ptr<grpc::GenericStub>> stubs_;
  const std::vector<Request> requests_;
  const Clock::time_point begin_;
  grpc::CompletionQueue queue_;
  std::atomic<int64_t> in_flight_{0};
  size_t number_ = 0;              // of the thread that starts calls
  std::vector<Outcome> outcomes_;  // of the thread that collects
};

}  // namespace

int main(int argc, char** argv) {
  const std::vector<char*> arguments = absl::ParseCommandLine(argc, argv);
  std::vector<Request> requests;
  for (size_t i = 1; i < arguments.size(); ++i) {
    const std::pair<std::string, std::string> named = absl::StrSplit(arguments[i], absl::MaxSplits('=', 1));
    std::ifstream file(named.second, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    grpc::Slice slice(bytes);
    requests.push_back({named.first, grpc::ByteBuffer(&slice, 1)});
  }
  std::vector<Phase> phases;
  for (absl::string_view text : absl::StrSplit(absl::GetFlag(FLAGS_schedule), ',', absl::SkipEmpty())) {
    const std::pair<std::string, std::string> phase = absl::StrSplit(text, ':');
    double rate = 0, seconds = 0;
    if (!absl::SimpleAtod(phase.first, &rate) || !absl::SimpleAtod(phase.second, &seconds) || rate <= 0) {
      std::fprintf(stderr, "--schedule: expected RATE:SECONDS,...\n");
      return 2;
    }
    phases.push_back({rate, seconds});
  }
  if (requests.empty()) {
    std::fprintf(stderr, "expected METHOD=FILE\n");
    return 2;
  }

  std::vector<std::unique_ptr<grpc::GenericStub>> stubs;
  for (int i = 0; i < absl::GetFlag(FLAGS_connections); ++i) {
    const int fd = Connect(absl::GetFlag(FLAGS_address), absl::GetFlag(FLAGS_source));
    if (fd < 0) {
      std::fprintf(stderr, "cannot connect to --address from --source\n");
      return 1;
    }
    grpc::ChannelArguments options;
    options.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    options.SetMaxReceiveMessageSize(-1);
    stubs.push_back(
        std::make_unique<grpc::GenericStub>(grpc::CreateCustomInsecureChannelFromFd("server", fd, options)));
  }
  Generator generator(std::move(stubs), std::move(requests));
  if (phases.empty()) {
    generator.Closed(absl::GetFlag(FLAGS_in_flight), absl::GetFlag(FLAGS_seconds));
  } else {
    generator.Open(phases);
  }
  generator.Print();
  return 0;
}
