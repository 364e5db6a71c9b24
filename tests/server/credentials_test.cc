// What a listener with credentials takes, in one process: tokens, certificates, who a call counts under, and
// files that change. The real server is tested in tests/e2e/security_test.py.

#include "server/credentials.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "server/caller.h"
#include "tests/server/temporary_folder.h"
#include "tests/server/test_authority.h"

namespace glowworm {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kAlice[] = "0123456789abcdef";
constexpr char kRoot[] = "fedcba9876543210";
constexpr char kTokens[] = "read alice 0123456789abcdef\nadmin root fedcba9876543210\n";

grpc::ByteBuffer BufferOf(const std::string& text) {
  const grpc::Slice slice(text);
  return grpc::ByteBuffer(&slice, 1);
}

std::string TextOf(grpc::ByteBuffer* buffer) {
  grpc::Slice slice;
  return buffer->DumpToSingleSlice(&slice).ok()
             ? std::string(reinterpret_cast<const char*>(slice.begin()), slice.size())
             : "";
}

// Answers every call with the name that its caller counts under.
class WhoAmI final : public grpc::CallbackGenericService {
 public:
  explicit WhoAmI(const Credentials* credentials) : credentials_(credentials) {}

 private:
  class Answer final : public grpc::ServerGenericBidiReactor {
   public:
    explicit Answer(const std::string& text) : reply_(BufferOf(text)) {
      StartWriteAndFinish(&reply_, grpc::WriteOptions(), grpc::Status::OK);
    }
    void OnDone() override { delete this; }

   private:
    grpc::ByteBuffer reply_;
  };
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override {
    return new Answer(CallerOf(*context, credentials_));
  }
  const Credentials* const credentials_;
};

class CredentialsTest : public ::testing::Test {
 protected:
  CredentialsTest() { options_.credentials_poll = absl::Hours(1); }  // Reload() is called by hand
  ~CredentialsTest() override {
    if (server_ != nullptr) server_->Shutdown(absl::ToChronoTime(absl::Now()));
  }

  void UseTokens() { options_.tokens = folder_.Put("tokens", kTokens); }
  void UseCertificate(const KeyAndCertificate& pair) {
    options_.tls_cert = folder_.Put("cert", pair.certificate);
    options_.tls_key = folder_.Put("key", pair.key);
  }
  void UseClientCertificates() { options_.tls_client_ca = folder_.Put("ca", authority_.certificate()); }

  void Serve(Role needed = Role::kRead) {
    auto created = Credentials::Create(options_, &metrics_);
    ASSERT_TRUE(created.ok()) << created.status();
    credentials_ = *std::move(created);
    service_ = std::make_unique<WhoAmI>(credentials_.get());
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", credentials_->For(needed), &port_);
    builder.RegisterCallbackGenericService(service_.get());
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }
  std::string RefusalToStart() {
    const auto created = Credentials::Create(options_, &metrics_);
    return created.ok() ? "" : std::string(created.status().message());
  }

  std::shared_ptr<grpc::Channel> Connect(std::shared_ptr<grpc::ChannelCredentials> credentials) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    return grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port_), credentials, arguments);
  }
  std::shared_ptr<grpc::Channel> Plaintext() { return Connect(grpc::InsecureChannelCredentials()); }
  std::shared_ptr<grpc::Channel> Tls(const KeyAndCertificate& own = {}) {
    return Connect(grpc::SslCredentials({authority_.certificate(), own.key, own.certificate}));
  }

  // The name that the caller counts under, or the code's number and the message.
  static std::string Ask(const std::shared_ptr<grpc::Channel>& channel, const std::string& token = "") {
    grpc::GenericStub stub(channel);
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(20)));
    if (!token.empty()) context.AddMetadata("authorization", "Bearer " + token);
    grpc::CompletionQueue queue;
    const auto call = stub.PrepareUnaryCall(&context, "/any/method", BufferOf("a payload"), &queue);
    call->StartCall();
    grpc::ByteBuffer reply;
    grpc::Status status;
    call->Finish(&reply, &status, nullptr);
    void* tag;
    bool ok;
    queue.Next(&tag, &ok);
    if (status.ok()) return TextOf(&reply);
    return std::to_string(status.error_code()) + " " + status.error_message();
  }
  double Count(const std::string& series) const {
    const std::string text = metrics_.Text();
    const size_t at = text.find("\n" + series + " ");
    return at == std::string::npos ? 0 : std::stod(text.substr(at + series.size() + 2));
  }

  const TemporaryFolder folder_;
  TestAuthority authority_;
  ServerOptions options_;
  Metrics metrics_;
  std::unique_ptr<Credentials> credentials_;
  std::unique_ptr<WhoAmI> service_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

TEST_F(CredentialsTest, WithoutAnyACallCountsUnderItsAddress) {
  Serve();
  EXPECT_EQ(Ask(Plaintext()), "ipv4:127.0.0.1");
  EXPECT_EQ(Ask(Plaintext(), kAlice), "ipv4:127.0.0.1");
}

TEST_F(CredentialsTest, TokensAreAskedForOnAPlaintextListenerToo) {
  UseTokens();
  Serve();
  const auto channel = Plaintext();
  EXPECT_EQ(Ask(channel, kAlice), "token:alice");
  EXPECT_EQ(Ask(channel, kRoot), "token:root");
  EXPECT_THAT(Ask(channel), StartsWith("16 expected the metadata 'authorization"));
  EXPECT_EQ(Ask(channel, "0000000000000000"), "16 the token is not known here");
  EXPECT_THAT(Ask(channel, "short"), StartsWith("16 expected one"));
  EXPECT_EQ(Count("glowworm_auth_failures_total{reason=\"missing\"}"), 1);
  EXPECT_EQ(Count("glowworm_auth_failures_total{reason=\"unknown\"}"), 1);
  EXPECT_EQ(Count("glowworm_auth_failures_total{reason=\"malformed\"}"), 1);
}

TEST_F(CredentialsTest, AnAdminsListenerTakesAdminsOnly) {
  UseTokens();
  Serve(Role::kAdmin);
  EXPECT_EQ(Ask(Plaintext(), kRoot), "token:root");
  EXPECT_EQ(Ask(Plaintext(), kAlice), "7 this listener expects a token with the admin role");
  EXPECT_EQ(Count("glowworm_auth_failures_total{reason=\"forbidden\"}"), 1);
}

TEST_F(CredentialsTest, NewTokensAreTakenAndOldOnesRefused) {
  UseTokens();
  Serve();
  const auto channel = Plaintext();
  EXPECT_EQ(Ask(channel, kAlice), "token:alice");
  folder_.Put("tokens", "read alice 1111111111111111\n");
  credentials_->Reload();
  EXPECT_EQ(Ask(channel, "1111111111111111"), "token:alice");
  EXPECT_EQ(Ask(channel, kAlice), "16 the token is not known here");
  EXPECT_EQ(Count("glowworm_credentials_kept_total{what=\"tokens\"}"), 0);
}

TEST_F(CredentialsTest, ABadNewFileKeepsTheOldTokens) {
  UseTokens();
  Serve();
  int bad = 0;
  for (const char* text : {"read alice", "", "read a 0123456789abcdef\nread a 1123456789abcdef\n"}) {
    folder_.Put("tokens", text);
    credentials_->Reload();
    EXPECT_EQ(Ask(Plaintext(), kAlice), "token:alice");
    EXPECT_EQ(Count("glowworm_credentials_kept_total{what=\"tokens\"}"), ++bad);
  }
}

TEST_F(CredentialsTest, TheFilesAreReadAgainEveryInterval) {
  options_.credentials_poll = absl::Milliseconds(10);
  UseTokens();
  Serve();
  folder_.Put("tokens", "read carol 2222222222222222\n");
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (credentials_->NameOf("2222222222222222").empty() && absl::Now() < deadline) {
  }
  EXPECT_EQ(credentials_->NameOf("2222222222222222"), "carol");
}

TEST_F(CredentialsTest, TlsRefusesPlaintextAndStrangers) {
  UseCertificate(authority_.Issue("server", "IP:127.0.0.1"));
  Serve();
  EXPECT_EQ(Ask(Tls()), "ipv4:127.0.0.1");
  EXPECT_THAT(Ask(Plaintext()), StartsWith("14 "));
  TestAuthority stranger;
  EXPECT_THAT(Ask(Connect(grpc::SslCredentials({stranger.certificate(), "", ""}))), StartsWith("14 "));
}

TEST_F(CredentialsTest, ClientCertificatesMustBeSignedByTheAuthority) {
  UseCertificate(authority_.Issue("server", "IP:127.0.0.1"));
  UseClientCertificates();
  Serve();
  EXPECT_EQ(Ask(Tls(authority_.Issue("dashboard"))), "cert:dashboard");
  EXPECT_EQ(Ask(Tls(authority_.Issue("x", "URI:spiffe://here/scorer"))), "cert:spiffe://here/scorer");
  EXPECT_EQ(Ask(Tls(authority_.Issue("a \"b\" c"))), "cert:a__b__c");
  EXPECT_THAT(Ask(Tls()), StartsWith("14 "));
  TestAuthority stranger;
  EXPECT_THAT(Ask(Tls(stranger.Issue("dashboard"))), StartsWith("14 "));
  EXPECT_THAT(Ask(Tls(authority_.Issue("late", "", -absl::Hours(1)))), StartsWith("14 "));
}

TEST_F(CredentialsTest, ATokenGoesBeforeACertificate) {
  UseCertificate(authority_.Issue("server", "IP:127.0.0.1"));
  UseClientCertificates();
  UseTokens();
  Serve();
  const auto channel = Tls(authority_.Issue("dashboard"));
  EXPECT_EQ(Ask(channel, kAlice), "token:alice");
  EXPECT_THAT(Ask(channel), StartsWith("16 "));
}

TEST_F(CredentialsTest, ANewCertificateIsForNewConnectionsAndOldOnesStay) {
  UseCertificate(authority_.Issue("server", "IP:127.0.0.1"));
  Serve();
  const auto before = Tls();
  EXPECT_EQ(Ask(before), "ipv4:127.0.0.1");
  authority_ = TestAuthority();
  EXPECT_THAT(Ask(Tls()), StartsWith("14 "));
  UseCertificate(authority_.Issue("server", "IP:127.0.0.1"));
  credentials_->Reload();
  EXPECT_EQ(Ask(Tls()), "ipv4:127.0.0.1");
  EXPECT_EQ(Ask(before), "ipv4:127.0.0.1");
}

TEST_F(CredentialsTest, ANewAuthorityIsForTheNextClient) {
  UseCertificate(authority_.Issue("server", "IP:127.0.0.1"));
  UseClientCertificates();
  Serve();
  TestAuthority next;
  EXPECT_THAT(Ask(Tls(next.Issue("dashboard"))), StartsWith("14 "));
  folder_.Put("ca", next.certificate());
  credentials_->Reload();
  EXPECT_EQ(Ask(Tls(next.Issue("dashboard"))), "cert:dashboard");
  EXPECT_THAT(Ask(Tls(authority_.Issue("dashboard"))), StartsWith("14 "));
}

TEST_F(CredentialsTest, HalfANewPairKeepsTheOldOne) {
  UseCertificate(authority_.Issue("server", "IP:127.0.0.1"));
  Serve();
  const KeyAndCertificate next = authority_.Issue("server", "IP:127.0.0.1");
  folder_.Put("cert", next.certificate);
  credentials_->Reload();
  EXPECT_EQ(Ask(Tls()), "ipv4:127.0.0.1");
  EXPECT_EQ(Count("glowworm_credentials_kept_total{what=\"tls\"}"), 1);
  folder_.Put("key", next.key);
  credentials_->Reload();
  EXPECT_EQ(Ask(Tls()), "ipv4:127.0.0.1");
  EXPECT_EQ(Count("glowworm_credentials_kept_total{what=\"tls\"}"), 1);
}

TEST_F(CredentialsTest, TheMetricsTellWhenTheCertificateEnds) {
  UseCertificate(authority_.Issue("server", "", absl::Hours(2)));
  Serve();
  EXPECT_NEAR(Count("glowworm_tls_certificate_expiry_timestamp_seconds"),
              absl::ToDoubleSeconds(absl::Now() + absl::Hours(2) - absl::UnixEpoch()), 60);
}

TEST_F(CredentialsTest, BadFilesAtTheStartAreTold) {
  options_.tokens = folder_.Put("tokens", "read alice\n");
  EXPECT_EQ(RefusalToStart(), "--tokens: line 1: expected a role, a name and a token, got 2 words");
  options_.tokens = folder_.Path("absent");
  EXPECT_EQ(RefusalToStart(), "--tokens: the file does not exist");
  UseCertificate(authority_.Issue("server"));
  folder_.Put("key", "nonsense");
  EXPECT_THAT(RefusalToStart(), HasSubstr("--tls_key: expected a private key"));
}

}  // namespace
}  // namespace glowworm
