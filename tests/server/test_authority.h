// TestAuthority: makes certificates and keys for tests of TLS, in memory. Shared by tls_material_test.cc and
// credentials_test.cc.

#ifndef GLOWWORM_TESTS_SERVER_TEST_AUTHORITY_H_
#define GLOWWORM_TESTS_SERVER_TEST_AUTHORITY_H_

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

#include "absl/time/time.h"

namespace glowworm {

struct KeyAndCertificate {
  std::string key;          // PEM
  std::string certificate;  // PEM
};

class TestAuthority {
 public:
  TestAuthority();

  const std::string& certificate() const { return pem_; }
  // Of this common name; with `alternative`, for example "DNS:localhost,IP:127.0.0.1", also of these.
  KeyAndCertificate Issue(const std::string& name, const std::string& alternative = "",
                          absl::Duration lifetime = absl::Hours(1));
  // With a key of 512 bits, too weak for OpenSSL.
  KeyAndCertificate IssueWeak(const std::string& name);

 private:
  KeyAndCertificate IssueFor(EVP_PKEY* key, const std::string& name, const std::string& alternative,
                             absl::Duration lifetime);

  struct Free {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    void operator()(X509* certificate) const { X509_free(certificate); }
  };
  std::unique_ptr<EVP_PKEY, Free> key_;
  std::unique_ptr<X509, Free> certificate_;
  std::string pem_;
  int issued_ = 1;
};

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_SERVER_TEST_AUTHORITY_H_
