// Which certificates, keys and authorities a server takes.

#include "server/tls_material.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "absl/time/clock.h"
#include "tests/server/temporary_folder.h"
#include "tests/server/test_authority.h"

namespace glowworm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class TlsMaterialTest : public ::testing::Test {
 protected:
  TlsMaterialTest() : server_(authority_.Issue("server")) {
    paths_ = {folder_.Put("cert", server_.certificate), folder_.Put("key", server_.key),
              folder_.Put("ca", authority_.certificate())};
  }
  std::string Refusal() {
    const auto material = ReadTlsMaterial(paths_);
    EXPECT_FALSE(material.ok());
    const std::string text(material.status().message());
    EXPECT_THAT(text, Not(HasSubstr("/")));
    return text;
  }

  const TemporaryFolder folder_;
  TestAuthority authority_;
  const KeyAndCertificate server_;
  TlsPaths paths_;
};

TEST_F(TlsMaterialTest, TakesAPairAndAuthorities) {
  const auto material = ReadTlsMaterial(paths_);
  ASSERT_TRUE(material.ok()) << material.status();
  EXPECT_EQ(material->cert_chain, server_.certificate);
  EXPECT_EQ(material->private_key, server_.key);
  EXPECT_EQ(material->client_ca, authority_.certificate());
  EXPECT_NEAR(absl::ToDoubleMinutes(material->not_after - absl::Now()), 60, 1);
  paths_.client_ca = "";
  EXPECT_EQ(ReadTlsMaterial(paths_)->client_ca, "");
}

TEST_F(TlsMaterialTest, TakesAChainWithTextAroundIt) {
  folder_.Put("cert",
              "subject: me\n" + server_.certificate + "\nissuer: they\n" + authority_.certificate() + "\n");
  EXPECT_TRUE(ReadTlsMaterial(paths_).ok());
}

TEST_F(TlsMaterialTest, TellsWhenACertificateHasExpired) {
  const KeyAndCertificate old = authority_.Issue("server", "", -absl::Hours(1));
  folder_.Put("cert", old.certificate);
  folder_.Put("key", old.key);
  EXPECT_NEAR(absl::ToDoubleMinutes(absl::Now() - ReadTlsMaterial(paths_)->not_after), 60, 1);
}

TEST_F(TlsMaterialTest, RefusesAKeyOfAnotherCertificate) {
  folder_.Put("key", authority_.Issue("other").key);
  EXPECT_EQ(Refusal(), "--tls_key: the key does not belong to the certificate");
}

TEST_F(TlsMaterialTest, RefusesAKeyThatOpenSslFindsTooWeak) {
  const KeyAndCertificate weak = authority_.IssueWeak("server");
  folder_.Put("cert", weak.certificate);
  folder_.Put("key", weak.key);
  EXPECT_EQ(Refusal(), "--tls_key: OpenSSL does not take this pair: ee key too small");
}

TEST_F(TlsMaterialTest, RefusesWhatIsNotWhatItShouldBe) {
  folder_.Put("key", server_.certificate);
  EXPECT_EQ(Refusal(), "--tls_key: expected a private key in PEM form, without a passphrase");
  folder_.Put("ca", server_.key);
  folder_.Put("key", server_.key);
  EXPECT_EQ(Refusal(), "--tls_client_ca: expected certificates in PEM form");
  folder_.Put("cert", "not a certificate");
  EXPECT_EQ(Refusal(), "--tls_cert: expected certificates in PEM form");
}

TEST_F(TlsMaterialTest, RefusesAChainThatBreaksOff) {
  const std::string& whole = server_.certificate;
  for (size_t length : {whole.size() / 2, whole.size() - 5}) {
    folder_.Put("cert", whole.substr(0, length));
    EXPECT_EQ(Refusal(), "--tls_cert: expected certificates in PEM form");
    folder_.Put("cert", whole + whole.substr(0, length));
    EXPECT_EQ(Refusal(), "--tls_cert: expected certificates in PEM form");
  }
}

TEST_F(TlsMaterialTest, NamesTheFlagOfAFileThatIsNotThere) {
  paths_.client_ca = folder_.Path("absent");
  EXPECT_EQ(Refusal(), "--tls_client_ca: the file does not exist");
  paths_.key = folder_.Path("absent");
  EXPECT_EQ(Refusal(), "--tls_key: the file does not exist");
  paths_.cert = folder_.Path("absent");
  EXPECT_EQ(Refusal(), "--tls_cert: the file does not exist");
}

}  // namespace
}  // namespace glowworm
