// The one place where grpc::Status becomes absl::Status. Tested by tests/client/retry_test.cc.

#ifndef GLOWWORM_CLIENT_CONVERT_H_
#define GLOWWORM_CLIENT_CONVERT_H_

#include <string>

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace glowworm {
namespace client {

// The same code; the message behind `what` ("rows 0 to 99"; may be empty). Marked so that FromServer() knows
// it.
absl::Status ToAbsl(const grpc::Status& status, const std::string& what);

// Whether an RPC ended with this status, rather than a check on this side of the wire.
bool FromServer(const absl::Status& status);

}  // namespace client
}  // namespace glowworm

#endif  // GLOWWORM_CLIENT_CONVERT_H_
