#include "tests/server/test_authority.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <utility>

namespace glowworm {
namespace {

template <typename Write>
std::string Pem(Write write) {
  BIO* bio = BIO_new(BIO_s_mem());
  write(bio);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string out(data, static_cast<size_t>(size));
  BIO_free(bio);
  return out;
}

std::string CertificatePem(X509* certificate) {
  return Pem([certificate](BIO* bio) { PEM_write_bio_X509(bio, certificate); });
}

void Extend(X509* certificate, int nid, const std::string& value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

// Signed by `issuer`, or by its own key if that is null.
X509* NewCertificate(const std::string& name, EVP_PKEY* key, int serial, absl::Duration lifetime,
                     const X509* issuer) {
  X509* out = X509_new();
  X509_set_version(out, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(out), serial);
  X509_gmtime_adj(X509_getm_notBefore(out), -7200);
  X509_gmtime_adj(X509_getm_notAfter(out), static_cast<long>(absl::ToInt64Seconds(lifetime)));
  X509_set_pubkey(out, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(out), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(out, X509_get_subject_name(issuer == nullptr ? out : issuer));
  return out;
}

}  // namespace

TestAuthority::TestAuthority() : key_(EVP_EC_gen("P-256")) {
  certificate_.reset(NewCertificate("test authority", key_.get(), 1, absl::Hours(1), nullptr));
  Extend(certificate_.get(), NID_basic_constraints, "critical,CA:TRUE");
  X509_sign(certificate_.get(), key_.get(), EVP_sha256());
  pem_ = CertificatePem(certificate_.get());
}

KeyAndCertificate TestAuthority::Issue(const std::string& name, const std::string& alternative,
                                       absl::Duration lifetime) {
  const std::unique_ptr<EVP_PKEY, Free> key(EVP_EC_gen("P-256"));
  return IssueFor(key.get(), name, alternative, lifetime);
}

KeyAndCertificate TestAuthority::IssueWeak(const std::string& name) {
  const std::unique_ptr<EVP_PKEY, Free> key(EVP_RSA_gen(512));
  return IssueFor(key.get(), name, "", absl::Hours(1));
}

KeyAndCertificate TestAuthority::IssueFor(EVP_PKEY* key, const std::string& name,
                                          const std::string& alternative, absl::Duration lifetime) {
  const std::unique_ptr<X509, Free> certificate(
      NewCertificate(name, key, ++issued_, lifetime, certificate_.get()));
  if (!alternative.empty()) Extend(certificate.get(), NID_subject_alt_name, alternative);
  X509_sign(certificate.get(), key_.get(), EVP_sha256());
  KeyAndCertificate out;
  out.certificate = CertificatePem(certificate.get());
  out.key =
      Pem([key](BIO* bio) { PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr); });
  return out;
}

}  // namespace glowworm
