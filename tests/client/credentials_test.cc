// A client's files of certificates and tokens, and where a token may go.

#include "client/credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "client/client.h"
#include "tests/client/run_command.h"
#include "tests/client/temp_file.h"

namespace glowworm {
namespace client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kToken[] = "0123456789abcdef";

std::string TokenRefusal(const std::string& content) {
  const TempFile file(".token", content);
  return std::string(TokenFile::Open(file.path()).status().message());
}

TEST(TokenFile, TakesOneTokenAndTheNewlineBehindIt) {
  for (const char* behind : {"", "\n", "\r\n", " \n"}) {
    const TempFile file(".token", std::string(kToken) + behind);
    const auto token = TokenFile::Open(file.path());
    ASSERT_TRUE(token.ok()) << token.status();
    EXPECT_EQ((*token)->Authorization(), std::string("Bearer ") + kToken);
  }
}

TEST(TokenFile, RefusesWhatIsNotOneTokenAndDoesNotRepeatIt) {
  for (const std::string& content : {std::string("\n"), std::string("one two"), std::string("one\ntwo"),
                                     std::string("\xc3\xa4\xc3\xb6"), std::string(600, 'x')}) {
    EXPECT_THAT(TokenRefusal(content), HasSubstr("expected ")) << content;
    EXPECT_THAT(TokenRefusal(content), Not(HasSubstr("one two")));
  }
  EXPECT_THAT(std::string(TokenFile::Open("/nowhere/token").status().message()),
              HasSubstr("/nowhere/token: cannot be read"));
  EXPECT_FALSE(TokenFile::Open("/").ok());
}

TEST(TokenFile, TakesANewTokenAndKeepsTheOldOneIfThereIsNone) {
  const TempFile file(".token", kToken);
  const auto token = TokenFile::Open(file.path());
  ASSERT_TRUE(token.ok());
  std::ofstream(file.path()) << "another";
  EXPECT_EQ((*token)->Authorization(), "Bearer another");
  unlink(file.path().c_str());
  EXPECT_EQ((*token)->Authorization(), "Bearer another");
}

TEST(TlsCredentials, NamesTheFileThatIsNotWhatItShouldBe) {
  const TempFile nonsense(".pem", "nonsense");
  const auto refusal = [](TlsFiles files) { return std::string(TlsCredentials(files).status().message()); };
  EXPECT_EQ(refusal({nonsense.path(), "", ""}), nonsense.path() + ": expected a certificate in PEM form");
  EXPECT_THAT(refusal({"/nowhere/ca", "", ""}), HasSubstr("/nowhere/ca: cannot be read"));
  EXPECT_EQ(refusal({"", nonsense.path(), ""}), "expected both a certificate and its key, or neither");
  const TempFile cert(".pem", "-----BEGIN CERTIFICATE-----\n");
  EXPECT_EQ(refusal({"", cert.path(), cert.path()}), cert.path() + ": expected a private key in PEM form");
}

TEST(IsLoopback, KnowsThisMachine) {
  for (const char* here : {"127.0.0.1:1", "127.9.8.7:1", "[::1]:1", "localhost:1"}) {
    EXPECT_TRUE(IsLoopback(here)) << here;
  }
  for (const char* away : {"", "10.0.0.1:1", "128.0.0.1:1", "[::2]:1", "localhost.example.com:1", "0.0.0.0:1",
                           "dns:///127.0.0.1:1"}) {
    EXPECT_FALSE(IsLoopback(away)) << away;
  }
}

TEST(Client, SendsNoTokenInPlaintextToAnotherMachine) {
  const TempFile file(".token", kToken);
  ClientOptions options;
  options.token_file = file.path();
  EXPECT_TRUE(Client::Connect("127.0.0.1:1", options).ok());
  const absl::Status refused = Client::Connect("192.0.2.1:1", options).status();
  EXPECT_EQ(refused, absl::InvalidArgumentError("a token for 192.0.2.1:1 is sent over TLS only"));
  options.credentials = *TlsCredentials({});
  EXPECT_TRUE(Client::Connect("192.0.2.1:1", options).ok());
}

TEST(Command, SaysWhichFlagsAreWrong) {
  const TempFile file(".token", kToken);
  for (const auto& [flag, text] : {std::pair("--tls_server_name=x", "expected with --tls"),
                                   std::pair("--tls_cert=/nowhere", "both a certificate and its key"),
                                   std::pair("--tls_ca=/nowhere", "/nowhere: cannot be read"),
                                   std::pair("--token_file=/nowhere", "/nowhere: cannot be read")}) {
    for (const char* command : {"models", "bench"}) {
      const Outcome outcome = RunCommand("127.0.0.1:1", {command, flag});
      EXPECT_EQ(outcome.code, 2) << flag;
      EXPECT_THAT(outcome.err, HasSubstr(text));
    }
  }
  const Outcome away = RunCommand("192.0.2.1:1", {"models", "--token_file=" + file.path()});
  EXPECT_EQ(away.code, 2);
  EXPECT_THAT(away.err, HasSubstr("give --tls or --tls_ca"));
}

}  // namespace
}  // namespace client
}  // namespace glowworm
