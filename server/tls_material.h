// TlsMaterial: a server's certificate chain, its key and the authorities of its clients, checked before
// gRPC gets them. Tested by tests/server/tls_material_test.cc.

#ifndef GLOWWORM_SERVER_TLS_MATERIAL_H_
#define GLOWWORM_SERVER_TLS_MATERIAL_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace glowworm {

inline constexpr int64_t kMaxPemBytes = 1 << 20;

// Where the PEM files lie.
struct TlsPaths {
  std::string cert;
  std::string key;
  std::string client_ca;  // empty: clients show no certificate
};

// Immutable once made.
struct TlsMaterial {
  TlsMaterial() = default;
  TlsMaterial(TlsMaterial&&) = default;
  TlsMaterial& operator=(TlsMaterial&&) = default;
  ~TlsMaterial();  // overwrites the key

  std::string cert_chain;  // PEM, the server's own first
  std::string private_key;
  std::string client_ca;  // empty: clients show no certificate
  absl::Time not_after;   // when the server's certificate ends
  bool key_readable_by_all = false;
};

// Reads the files and checks them: each holds what it should, the key is the certificate's, and OpenSSL takes
// both. A
// certificate that has expired is none of its business: see not_after. Blocks. The error begins with the
// flag whose file is wrong; no error names a path.
absl::StatusOr<TlsMaterial> ReadTlsMaterial(const TlsPaths& paths);

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_TLS_MATERIAL_H_
