#include "server/accept_probe.h"

#include <netdb.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "server/clock.h"
#include "server/options.h"

namespace glowworm {
namespace {

// How an HTTP/2 client begins: its preface and empty SETTINGS.
constexpr absl::string_view kGreeting("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);

class Socket {
 public:
  explicit Socket(int family) : fd_(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

  // Whether `event`, an error or the other side's end came before `deadline`.
  bool Await(short event, absl::Time deadline) const {
    for (;;) {
      const absl::Duration left = std::max(deadline - RealClock()->Now(), absl::ZeroDuration());
      pollfd waiting{fd_, event, 0};
      const int ready = poll(&waiting, 1, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
      if (ready > 0) return true;
      if (ready == 0 || errno != EINTR) return false;
    }
  }
  int Error() const {
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    return error;
  }

 private:
  const int fd_;
};

absl::Status NotThere(int error) {
  return absl::UnavailableError(absl::StrCat("no connection: ", std::strerror(error)));
}

// DeadlineExceeded if the other side keeps silent, Unavailable if there is none.
absl::Status Ask(const sockaddr_storage& address, socklen_t size, absl::Time deadline) {
  const Socket socket(address.ss_family);
  if (socket.fd() < 0) return NotThere(errno);
  int error = connect(socket.fd(), reinterpret_cast<const sockaddr*>(&address), size) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    if (!socket.Await(POLLOUT, deadline)) return absl::DeadlineExceededError("a connection is not completed");
    error = socket.Error();
  }
  if (error != 0) return NotThere(error);
  (void)send(socket.fd(), kGreeting.data(), kGreeting.size(), MSG_NOSIGNAL);
  if (socket.Await(POLLIN, deadline)) return absl::OkStatus();
  return absl::DeadlineExceededError("a connection is not accepted");
}

}  // namespace

absl::StatusOr<std::unique_ptr<AcceptProbe>> AcceptProbe::Create(const std::vector<std::string>& addresses) {
  std::unique_ptr<AcceptProbe> probe(new AcceptProbe);
  for (const std::string& address : addresses) {
    absl::StatusOr<HostPort> parsed = ParseHostPort(address);
    if (!parsed.ok()) return parsed.status();
    std::string host = parsed->host;
    if (host.front() == '[') host = host.substr(1, host.size() - 2);
    addrinfo wanted{};
    wanted.ai_socktype = SOCK_STREAM;
    wanted.ai_flags = AI_NUMERICSERV;
    addrinfo* found = nullptr;
    const int error = getaddrinfo(host.c_str(), absl::StrCat(parsed->port).c_str(), &wanted, &found);
    if (error != 0) return absl::UnavailableError(absl::StrCat(address, ": ", gai_strerror(error)));
    Target target{address, {}};
    for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
      Endpoint endpoint{{}, one->ai_addrlen};
      std::memcpy(&endpoint.address, one->ai_addr, one->ai_addrlen);
      target.endpoints.push_back(endpoint);
    }
    freeaddrinfo(found);
    probe->targets_.push_back(std::move(target));
  }
  return probe;
}

AcceptProbe::~AcceptProbe() { Release(); }

bool AcceptProbe::Reserve(absl::Time deadline) {
  for (int& fd : spare_) {
    while (fd < 0 && (fd = eventfd(0, EFD_CLOEXEC)) < 0) {
      if (RealClock()->Now() >= deadline) return false;
      absl::SleepFor(absl::Milliseconds(1));  // the server closes its end of our last connection in a moment
    }
  }
  return true;
}

void AcceptProbe::Release() {
  for (int& fd : spare_) {
    if (fd >= 0) close(fd);
    fd = -1;
  }
}

absl::Status AcceptProbe::Run(absl::Duration timeout) {
  const absl::Time deadline = RealClock()->Now() + timeout;
  for (const Target& target : targets_) {
    absl::Status status = Reach(target, deadline);
    if (!status.ok()) return absl::UnavailableError(absl::StrCat(target.name, ": ", status.message()));
  }
  (void)Reserve(deadline);
  return absl::OkStatus();
}

absl::Status AcceptProbe::Reach(const Target& target, absl::Time deadline) {
  bool reached = false;
  absl::Status status;
  for (const Endpoint& endpoint : target.endpoints) {
    if (!Reserve(deadline)) return absl::ResourceExhaustedError("no descriptor is left");
    Release();
    status = Ask(endpoint.address, endpoint.size, deadline);
    if (absl::IsDeadlineExceeded(status)) return status;
    reached = reached || status.ok();
  }
  return reached ? absl::OkStatus() : status;  // gRPC listens on those of a name's addresses that it can have
}

}  // namespace glowworm
