// Healthcheck: what `glowworm-server --healthcheck` does, for images that hold no other client. Asks a
// running server whether it serves; starts none. Entry point: Healthcheck. Tested by
// tests/e2e/health_test.py.

#ifndef GLOWWORM_SERVER_HEALTHCHECK_H_
#define GLOWWORM_SERVER_HEALTHCHECK_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/options.h"

namespace glowworm {

inline constexpr absl::Duration kHealthcheckTimeout = absl::Seconds(3);

// Asks grpc.health.v1 for the whole server at options.health or, if that is empty, at options.listen, in
// plaintext. Blocks for kHealthcheckTimeout at most. InvalidArgument if no address that speaks plaintext is
// known; Unavailable if the server does not answer or is not SERVING.
absl::Status Healthcheck(const ServerOptions& options);

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_HEALTHCHECK_H_
