// What the probe calls a listener that accepts, and what it does to descriptors.

#include "server/accept_probe.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <thread>

#include "absl/strings/str_cat.h"

namespace glowworm {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kLong = absl::Seconds(60);  // more than any answer takes
constexpr absl::Duration kShort = absl::Milliseconds(50);

// A port of 127.0.0.1 that listens; nobody accepts but Accept.
class Port {
 public:
  Port() : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(fd_, 16), 0);
    EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    number_ = ntohs(address.sin_port);
  }
  ~Port() { close(fd_); }
  std::string address(const std::string& host = "127.0.0.1") const {
    return absl::StrCat(host, ":", number_);
  }

  // Accepts one connection in the background, says `bytes` and hangs up once the other side does.
  std::thread Accept(const std::string& bytes) {
    return std::thread([this, bytes] {
      const int peer = accept(fd_, nullptr, nullptr);
      ASSERT_GE(peer, 0);
      EXPECT_EQ(write(peer, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
      close(peer);
    });
  }

 private:
  const int fd_;
  int number_ = 0;
};

std::unique_ptr<AcceptProbe> ProbeOf(const std::vector<std::string>& addresses) {
  auto probe = AcceptProbe::Create(addresses);
  EXPECT_TRUE(probe.ok()) << probe.status();
  return *std::move(probe);
}

TEST(AcceptProbe, FirstBytesAreProof) {
  Port port;
  std::thread server = port.Accept("hello");
  EXPECT_TRUE(ProbeOf({port.address()})->Run(kLong).ok());
  server.join();
}

TEST(AcceptProbe, AConnectionThatIsClosedWasAccepted) {  // as a port does that expects TLS
  Port port;
  std::thread server = port.Accept("");
  EXPECT_TRUE(ProbeOf({port.address()})->Run(kLong).ok());
  server.join();
}

TEST(AcceptProbe, AConnectionThatOnlyTheKernelTookIsNone) {
  Port port;
  const absl::Status status = ProbeOf({port.address()})->Run(kShort);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(), port.address() + ": a connection is not accepted");
}

TEST(AcceptProbe, NamesThePortThatIsGone) {
  std::string address;
  {
    Port port;
    address = port.address();
  }
  EXPECT_EQ(ProbeOf({address})->Run(kLong).message(), address + ": no connection: Connection refused");
}

TEST(AcceptProbe, EveryListenerMustAccept) {
  Port good, silent;
  std::thread server = good.Accept("hello");
  EXPECT_THAT(std::string(ProbeOf({good.address(), silent.address()})->Run(kShort).message()),
              HasSubstr(silent.address()));
  server.join();
}

TEST(AcceptProbe, ANameNeedsOnlyThoseAddressesThatListen) {  // of ::1 and 127.0.0.1
  Port port;
  std::thread server = port.Accept("hello");
  EXPECT_TRUE(ProbeOf({port.address("localhost")})->Run(kLong).ok());
  server.join();
}

TEST(AcceptProbe, RefusesANameThatNobodyKnows) {
  const std::string too_long_for_a_label(64, 'a');  // so that no name server is asked
  EXPECT_EQ(AcceptProbe::Create({too_long_for_a_label + ":1"}).status().code(),
            absl::StatusCode::kUnavailable);
}

// Takes every descriptor of this process until it goes.
class NoDescriptors {
 public:
  NoDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    rlimit low = before_;
    low.rlim_cur = 64;
    setrlimit(RLIMIT_NOFILE, &low);
    for (int fd; (fd = eventfd(0, 0)) >= 0;) taken_.push_back(fd);
  }
  ~NoDescriptors() {
    for (const int fd : taken_) close(fd);
    setrlimit(RLIMIT_NOFILE, &before_);
  }

 private:
  rlimit before_;
  std::vector<int> taken_;
};

TEST(AcceptProbe, BringsTheDescriptorsThatItTakesItself) {
  Port port;
  const auto probe = ProbeOf({port.address()});
  std::thread first = port.Accept("hello");
  EXPECT_TRUE(probe->Run(kLong).ok());  // from now on it holds its spares
  first.join();
  const NoDescriptors full;
  for (int i = 0; i < 3; ++i) {
    std::thread server = port.Accept("hello");
    EXPECT_TRUE(probe->Run(kLong).ok());
    server.join();
  }
}

TEST(AcceptProbe, WithoutThemItLeavesTheListenerAlone) {
  Port port;
  const auto probe = ProbeOf({port.address()});
  const NoDescriptors full;
  EXPECT_EQ(probe->Run(kShort).message(), port.address() + ": no descriptor is left");
}

}  // namespace
}  // namespace glowworm
