// Credentials: what --tls_cert, --tls_key, --tls_client_ca and --tokens say, for all listeners. The files are
// read again every credentials_poll; what is new and good is used from the next handshake or call on, what is
// bad leaves the old in force. Tested by tests/server/credentials_test.cc and tests/e2e/security_test.py.

#ifndef GLOWWORM_SERVER_CREDENTIALS_H_
#define GLOWWORM_SERVER_CREDENTIALS_H_

#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/latest.h"
#include "server/metrics.h"
#include "server/mutex.h"
#include "server/options.h"
#include "server/port_credentials.h"
#include "server/tls_material.h"
#include "server/token_table.h"

namespace glowworm {

// Thread-safe.
class Credentials {
 public:
  // Reads the files; blocks. The error names the flag whose file is wrong, and no path. REQUIRES: *metrics
  // outlives the listeners that use what For() gives.
  static absl::StatusOr<std::unique_ptr<Credentials>> Create(const ServerOptions& options, Metrics* metrics);
  ~Credentials();
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;

  // For a listener whose calls need a token of this role, if tokens are used at all.
  std::shared_ptr<grpc::ServerCredentials> For(Role needed) const;

  // Reads the files again now.
  void Reload() ABSL_LOCKS_EXCLUDED(reload_mutex_);

  bool uses_tokens() const { return !token_path_.empty(); }
  bool asks_for_certificates() const { return !tls_paths_.client_ca.empty(); }
  // The name of the bearer of a token, "" if nobody's.
  std::string NameOf(absl::string_view token) const;

 private:
  Credentials(const ServerOptions& options, Metrics* metrics);
  absl::Status ReadTls();
  absl::Status ReadTokens();
  CallCheck CheckFor(Role needed) const;
  void Poll();

  const TlsPaths tls_paths_;
  const std::string token_path_;
  const absl::Duration interval_;
  Metrics* const metrics_;
  const std::shared_ptr<Latest<TlsMaterial>> tls_ = std::make_shared<Latest<TlsMaterial>>();
  const std::shared_ptr<Latest<TokenTable>> tokens_ = std::make_shared<Latest<TokenTable>>();

  Mutex reload_mutex_;  // held while files are read; calls and handshakes do not wait for it
  // What was wrong with the last reading: a file that stays bad is told of once.
  std::string tls_trouble_ ABSL_GUARDED_BY(reload_mutex_);
  std::string token_trouble_ ABSL_GUARDED_BY(reload_mutex_);

  Mutex mutex_;
  CondVar wake_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread poller_;
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_CREDENTIALS_H_
