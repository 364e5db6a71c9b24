// PEM by OpenSSL, the library that gRPC itself reads it with.

#include "server/tls_material.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/secret_file.h"

namespace glowworm {
namespace {

constexpr size_t kMaxCertificates = 1000;  // of one file: a system's bundle of authorities has some 150

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using Certificate = std::unique_ptr<X509, Free>;

// OpenSSL's errors pile up in a queue of the thread's; ours are told in our own words.
struct ErrorQueue {
  ~ErrorQueue() { ERR_clear_error(); }
};

std::unique_ptr<BIO, Free> Open(const std::string& pem) {
  return std::unique_ptr<BIO, Free>(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// A key with a passphrase must not make the server ask for it at the terminal.
int NoPassphrase(char*, int, int, void*) { return 0; }

absl::StatusOr<std::vector<Certificate>> Certificates(const std::string& pem) {
  const ErrorQueue errors;
  std::vector<Certificate> out;
  const auto bio = Open(pem);
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, NoPassphrase, nullptr)) {
    out.emplace_back(certificate);
    if (out.size() > kMaxCertificates) {
      return absl::InvalidArgumentError(absl::StrCat("expected at most ", kMaxCertificates, " certificates"));
    }
  }
  // The end of the file is an error of OpenSSL's too.
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (out.empty() || !at_end) return absl::InvalidArgumentError("expected certificates in PEM form");
  return out;
}

absl::StatusOr<absl::Time> NotAfter(const X509* certificate) {
  std::tm parts = {};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &parts) != 1) {
    return absl::InvalidArgumentError("the certificate's end cannot be read");
  }
  return absl::FromTM(parts, absl::UTCTimeZone());
}

// gRPC does not tell that OpenSSL refuses a pair, as it does when a key or a signature is too weak for its
// security level: the old one would go on being shown, or the server would seem to find its port taken.
absl::Status CheckUsable(X509* certificate, EVP_PKEY* key) {
  const std::unique_ptr<SSL_CTX, Free> context(SSL_CTX_new(TLS_server_method()));
  if (context == nullptr) return absl::ResourceExhaustedError("there is no memory to check the key");
  if (SSL_CTX_use_certificate(context.get(), certificate) == 1 &&
      SSL_CTX_use_PrivateKey(context.get(), key) == 1) {
    return absl::OkStatus();
  }
  const char* const why = ERR_reason_error_string(ERR_peek_last_error());
  return absl::InvalidArgumentError(
      absl::StrCat("OpenSSL does not take this pair: ", why == nullptr ? "it does not say why" : why));
}

absl::Status CheckKey(const std::string& pem, X509* certificate) {
  const ErrorQueue errors;
  const auto bio = Open(pem);
  const std::unique_ptr<EVP_PKEY, Free> key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  if (key == nullptr) {
    return absl::InvalidArgumentError("expected a private key in PEM form, without a passphrase");
  }
  if (X509_check_private_key(certificate, key.get()) != 1) {
    return absl::InvalidArgumentError("the key does not belong to the certificate");
  }
  return CheckUsable(certificate, key.get());
}

absl::Status At(const char* flag, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat("--", flag, ": ", status.message()));
}

}  // namespace

TlsMaterial::~TlsMaterial() { Wipe(&private_key); }

absl::StatusOr<TlsMaterial> ReadTlsMaterial(const TlsPaths& paths) {
  TlsMaterial out;
  absl::StatusOr<SecretFile> cert = ReadSecretFile(paths.cert, kMaxPemBytes);
  if (!cert.ok()) return At("tls_cert", cert.status());
  const auto chain = Certificates(cert->bytes);
  if (!chain.ok()) return At("tls_cert", chain.status());
  const absl::StatusOr<absl::Time> end = NotAfter(chain->front().get());
  if (!end.ok()) return At("tls_cert", end.status());

  absl::StatusOr<SecretFile> key = ReadSecretFile(paths.key, kMaxPemBytes);
  if (!key.ok()) return At("tls_key", key.status());
  absl::Status status = CheckKey(key->bytes, chain->front().get());
  if (!status.ok()) return At("tls_key", status);

  if (!paths.client_ca.empty()) {
    absl::StatusOr<SecretFile> ca = ReadSecretFile(paths.client_ca, kMaxPemBytes);
    if (!ca.ok()) return At("tls_client_ca", ca.status());
    const auto authorities = Certificates(ca->bytes);
    if (!authorities.ok()) return At("tls_client_ca", authorities.status());
    out.client_ca = std::move(ca->bytes);
  }
  out.not_after = *end;
  out.key_readable_by_all = key->readable_by_all;
  out.cert_chain = std::move(cert->bytes);
  out.private_key = std::move(key->bytes);
  return out;
}

}  // namespace glowworm
