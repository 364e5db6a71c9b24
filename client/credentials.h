// What a client proves itself with, and what it asks of the server: certificates and tokens from files.
// Tested by tests/client/credentials_test.cc and tests/e2e/security_test.py.

#ifndef GLOWWORM_CLIENT_CREDENTIALS_H_
#define GLOWWORM_CLIENT_CREDENTIALS_H_

#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "grpcpp/security/credentials.h"

namespace glowworm {
namespace client {

inline constexpr char kAuthorization[] = "authorization";  // the metadata that carries a token

// PEM files; each may be empty.
struct TlsFiles {
  std::string ca;         // the authorities that may sign the server's certificate; empty: the system's
  std::string cert, key;  // the client's own, for servers that ask for one; both or neither
};

// For ClientOptions::credentials. Blocks. InvalidArgument names the file that cannot be used.
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> TlsCredentials(const TlsFiles& files);

// Whether a server at `address` (HOST:PORT) is on this machine, so that plaintext leaves it not: 127.0.0.0/8,
// [::1] or localhost.
bool IsLoopback(absl::string_view address);

// A bearer token in a file, which is read again for each call: whoever renews the file need not start the
// client anew. Thread-safe.
class TokenFile {
 public:
  // Blocks. InvalidArgument if the file holds no token, and nothing else.
  static absl::StatusOr<std::unique_ptr<TokenFile>> Open(std::string path);

  // "Bearer TOKEN", with the token of the last time if the file cannot be used now. Blocks for as long as a
  // small file takes to read.
  std::string Authorization();

 private:
  TokenFile(std::string path, std::string token) : path_(std::move(path)), token_(std::move(token)) {}

  const std::string path_;
  std::mutex mutex_;
  std::string token_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace client
}  // namespace glowworm

#endif  // GLOWWORM_CLIENT_CREDENTIALS_H_
