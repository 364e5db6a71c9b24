// Which options a server refuses to start with, and what it says.

#include "server/flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "absl/strings/match.h"

namespace glowworm {
namespace {

using ::testing::HasSubstr;

ServerOptions Good() {
  ServerOptions options;
  options.repository = "models";
  return options;
}

void ExpectRefused(const std::function<void(ServerOptions*)>& spoil, const std::string& text) {
  ServerOptions options = Good();
  spoil(&options);
  const absl::Status status = CheckOptions(options);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(text));
}

TEST(CheckOptions, TakesTheDefaults) { EXPECT_TRUE(CheckOptions(Good()).ok()); }

TEST(CheckOptions, TakesNoMetricsListener) {
  ServerOptions options = Good();
  options.metrics = "";
  EXPECT_TRUE(CheckOptions(options).ok());
}

TEST(CheckOptions, NamesTheFlagAndItsRange) {
  ExpectRefused([](auto* o) { o->threads = -1; }, "--threads: expected 0 .. 1024, got -1");
  ExpectRefused([](auto* o) { o->max_queue_delay = absl::Seconds(60); }, "--max_queue_delay_us");
  ExpectRefused([](auto* o) { o->max_queue_delay = absl::Microseconds(-1); }, "--max_queue_delay_us");
  ExpectRefused([](auto* o) { o->lame_duck = absl::Hours(2); }, "--lame_duck_ms");
  ExpectRefused([](auto* o) { o->drain_timeout = -absl::Seconds(1); }, "--drain_timeout_ms");
  ExpectRefused([](auto* o) { o->max_message_bytes = int64_t{1} << 40; }, "--max_message_bytes");
  ExpectRefused([](auto* o) { o->max_reply_bytes = 10; }, "--max_reply_bytes");
  ExpectRefused([](auto* o) { o->max_batch_rows = 0; }, "--max_batch_rows");
  ExpectRefused([](auto* o) { o->max_queue_rows = 0; }, "--max_queue_rows");
  ExpectRefused([](auto* o) { o->max_queue_bytes = -5; }, "--max_queue_bytes");
  ExpectRefused([](auto* o) { o->max_process_bytes = 0; }, "--max_process_bytes");
  ExpectRefused([](auto* o) { o->max_samples = 0; }, "--max_samples");
  ExpectRefused([](auto* o) { o->max_condition_number = 0; }, "--max_condition_number");
  ExpectRefused([](auto* o) { o->log_level = "loud"; }, "--log_level");
  ExpectRefused([](auto* o) { o->repository = ""; }, "--repository");
  ExpectRefused([](auto* o) { o->listen = "50051"; }, "--listen: expected HOST:PORT");
  ExpectRefused([](auto* o) { o->metrics = "localhost:99999"; }, "--metrics: expected HOST:PORT");
}

TEST(CheckOptions, TakesEverySpellingOfADevice) {
  for (const char* device : {"cpu", "cuda", "cuda:1", "cuda:0,1", "auto"}) {
    ServerOptions options = Good();
    options.device = device;
    EXPECT_TRUE(CheckOptions(options).ok()) << device;
  }
  ExpectRefused([](auto* o) { o->device = "tpu"; },
                "--device: expected cpu, cuda, cuda:N, cuda:N,M or auto, got 'tpu'");
}

TEST(CheckOptions, RefusesBfloat16OnCudaDevices) {
  for (const char* device : {"cuda", "cuda:1"}) {
    ExpectRefused(
        [device](auto* o) {
          o->device = device;
          o->precision = Precision::kBfloat16;
        },
        "--precision=bfloat16: bfloat16 is computed on the CPU only; with --device=");
  }
}

TEST(CheckOptions, KeepsPlaintextOnTheLoopbackUnlessToldOtherwise) {
  for (const char* local : {"127.0.0.1:1", "127.8.9.1:1", "[::1]:1", "localhost:1"}) {
    ServerOptions options = Good();
    options.listen = local;
    EXPECT_TRUE(CheckOptions(options).ok()) << local;
  }
  for (const char* open : {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "128.0.0.1:1", "example.com:1"}) {
    ExpectRefused([&](auto* o) { o->listen = open; }, "--insecure for plaintext");
    ExpectRefused([&](auto* o) { o->admin = open; }, "--admin: ");
    ServerOptions options = Good();
    options.listen = open;
    options.insecure = true;
    EXPECT_TRUE(CheckOptions(options).ok()) << open;
    options.insecure = false;
    options.tls_cert = options.tls_key = "pem";
    EXPECT_TRUE(CheckOptions(options).ok()) << open;
  }
}

TEST(CheckOptions, KeepsTokensOutOfPlaintext) {
  ExpectRefused(
      [](auto* o) {
        o->listen = "0.0.0.0:1";
        o->insecure = true;
        o->tokens = "tokens";
      },
      "--tokens: would travel in the clear to --listen=0.0.0.0:1");
}

TEST(CheckOptions, LetsNobodyUnknownLoadModelsFromOutside) {
  ServerOptions options = Good();
  options.admin = "0.0.0.0:1";
  const auto refused = [&options] {
    return !CheckOptions(options).ok() &&
           absl::StrContains(CheckOptions(options).message(), "anybody could load and unload models");
  };
  options.insecure = true;
  EXPECT_TRUE(refused());
  options.tls_cert = options.tls_key = "pem";
  EXPECT_TRUE(refused());
  options.tokens = "tokens";
  EXPECT_TRUE(CheckOptions(options).ok());
  options.tokens = "";
  options.tls_client_ca = "pem";
  EXPECT_TRUE(CheckOptions(options).ok());
}

TEST(CheckOptions, WantsACertificateAndItsKey) {
  ExpectRefused([](auto* o) { o->tls_cert = "pem"; }, "expected both or neither");
  ExpectRefused([](auto* o) { o->tls_key = "pem"; }, "expected both or neither");
  ExpectRefused([](auto* o) { o->tls_client_ca = "pem"; }, "--tls_client_ca: expected with --tls_cert");
}

TEST(CheckOptions, BoundsDurations) {
  ExpectRefused([](auto* o) { o->poll_interval = absl::ZeroDuration(); },
                "--poll_interval: expected 10ms .. 24h");
  ExpectRefused([](auto* o) { o->credentials_poll = absl::Milliseconds(1); }, "--credentials_poll");
  ExpectRefused([](auto* o) { o->watchdog_interval = -absl::Seconds(1); }, "--watchdog_interval");
  ExpectRefused([](auto* o) { o->watchdog_interval = absl::Milliseconds(999); },
                "--watchdog_interval: expected 0 or 1s .. 24h, got 999ms");
  ExpectRefused([](auto* o) { o->max_connection_age = absl::InfiniteDuration(); }, "--max_connection_age");
}

TEST(ServerOptions, OffersNoMoreSamplesThanTheQueueTakes) {
  ServerOptions options = Good();
  options.max_samples = 1000;
  EXPECT_EQ(options.request_limits().max_samples, 1000);
  options.max_queue_rows = 100;
  EXPECT_TRUE(CheckOptions(options).ok());
  EXPECT_EQ(options.request_limits().max_samples, 100);
}

TEST(ParseHostPort, TakesNamesAndBothFamilies) {
  EXPECT_EQ(ParseHostPort("localhost:0")->port, 0);
  EXPECT_EQ(ParseHostPort("0.0.0.0:65535")->port, 65535);
  EXPECT_EQ(ParseHostPort("[::1]:50051")->host, "[::1]");
}

TEST(ParseHostPort, RefusesWhatIsNotOne) {
  for (const char* text : {"", ":", "host", "host:", ":1", "host:-1", "host:65536", "host:1x", "::1:50051",
                           "a,b:1", "host:+1", "host :1", "host:99999999999999999999"}) {
    EXPECT_FALSE(ParseHostPort(text).ok()) << text;
  }
}

}  // namespace
}  // namespace glowworm
